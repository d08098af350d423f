import { RP2040 } from 'rp2040js';
import { EmulatedClock } from '../clock.js';
import { Random } from '../random.js';
import { BootClock } from './boot-clock.js';
import { installDmaAbort } from './dma.js';
import { Executor } from './executor.js';
import { Flash } from './flash.js';
import { installInterrupts } from './interrupts.js';
import { stopPrograms } from './pio.js';
import { PlainRegisters } from './registers.js';
import { buildRom } from './rom.js';
import { romFunctions } from './rom-functions.js';
import { installRingOscillator } from './rosc.js';
import { adoptMemories, indexPeripherals, PERIPHERAL } from './rp2040js.js';
import { installSystemReset } from './system-reset.js';
import { AnalogInputs, installAnalogInputs } from './temperature.js';
import { installUartTransmit } from './uart.js';
import { installWatchdog, readWatchdogMemory, WatchdogMemory } from './watchdog.js';

/** The control registers of the execute-in-place cache, which rp2040js does not map. */
const XIP_CTRL = 0x14000;

/** VREG_AND_CHIP_RESET after power-on [RP2040 datasheet 2.10.7]: regulator, brown-out detector, reset by power. */
const VOLTAGE_REGULATOR_REGISTERS = [
  [0x00, 0xb1],
  [0x04, 0x91],
  [0x08, 0x100],
] as const;

/** Why the chip started. */
export type ResetReason = 'power' | 'watchdog' | 'watchdog_forced' | 'software' | 'usb_boot';

/** What of the board outlasts a reset of the chip. */
export interface Surroundings {
  readonly clock: EmulatedClock;
  readonly flash: Flash;
  readonly sram: Uint8Array;
  readonly random: Random;
  readonly analogInputs: AnalogInputs;
  /** How often the processor must come by a piece of code before it is translated; infinity translates none. */
  readonly translateAfter: number;
}

/**
 * One boot of an RP2040: rp2040js with its gaps filled from outside.
 *
 * A reset is a new `Chip` in the same surroundings. That leaves no register of the old boot behind, which resetting
 * rp2040js in place would: most of its peripherals cannot be reset.
 */
export class Chip {
  readonly rp2040: RP2040;
  readonly executor: Executor;

  /** Set when the chip has asked to be reset; it must not run any further. */
  resetRequest: ResetReason | null = null;

  /** A byte the firmware sends on UART 0. */
  onUartByte: (byte: number) => void = () => {};

  /** A HardFault, with the address of the instruction that caused it. */
  onFault: (address: number) => void = () => {};

  private readonly bootClock: BootClock;

  constructor(surroundings: Surroundings, watchdog: WatchdogMemory) {
    const { clock, flash, sram, random, analogInputs } = surroundings;
    this.bootClock = new BootClock(clock);
    const chip = new RP2040(this.bootClock);
    this.rp2040 = chip;
    adoptMemories(chip, { flash: flash.bytes, sram });

    chip.bootrom.set(buildRom());
    chip.core.reset();
    const interrupts = installInterrupts(chip);
    installSystemReset(chip, () => this.requestReset('software'));
    installWatchdog(chip, watchdog, () => this.requestReset(this.watchdogReason()));
    installDmaAbort(chip);
    installRingOscillator(chip, random);
    installAnalogInputs(chip, analogInputs);
    chip.pio.forEach(stopPrograms);
    chip.uart.forEach(installUartTransmit);
    chip.uart[0].onByte = (byte) => this.onUartByte(byte);
    chip.peripherals[XIP_CTRL] = new PlainRegisters(chip, 'XIP_CTRL');
    chip.peripherals[PERIPHERAL.ioQspi] = new PlainRegisters(chip, 'IO_QSPI');
    chip.peripherals[PERIPHERAL.voltageRegulator] = new PlainRegisters(
      chip,
      'VREG_AND_CHIP_RESET',
      VOLTAGE_REGULATOR_REGISTERS,
    );

    indexPeripherals(chip);
    this.executor = new Executor(chip, clock, flash, interrupts, {
      romFunctions: romFunctions(chip, flash, () => this.requestReset('usb_boot')),
      translateAfter: surroundings.translateAfter,
      onFault: (address) => this.onFault(address),
    });
    // rp2040js has stepped over the first half of the instruction when it reports it.
    chip.onBreak = () => this.executor.fault(chip.core.PC - 2);
    this.installLogger();
  }

  /** Ends the boot: nothing this chip has scheduled happens any more. */
  end(): WatchdogMemory {
    this.bootClock.end();
    return readWatchdogMemory(this.rp2040);
  }

  private requestReset(reason: ResetReason): void {
    this.resetRequest ??= reason;
    this.executor.stop = 'reset';
    // The chip is gone from this moment on. Its watchdog would even fire again and again at this same moment.
    this.bootClock.end();
  }

  private watchdogReason(): ResetReason {
    return readWatchdogMemory(this.rp2040).reason === 1 ? 'watchdog' : 'watchdog_forced';
  }

  /**
   * rp2040js tells its logger about every access it does not model, and about SEV, which it does not execute. The
   * first is noise here; the second wakes a core that goes to sleep next, without which an async executor loses tasks.
   */
  private installLogger(): void {
    const { core } = this.rp2040;
    this.rp2040.logger = {
      debug() {},
      info(_component, message) {
        if (message === 'SEV') {
          core.eventRegistered = true;
        }
      },
      warn() {},
      error() {},
    };
  }
}
