import { RP2040 } from 'rp2040js';
import { EmulatedClock } from '../clock.js';
import { CodeCache } from '../translate/code-cache.js';
import { Port } from '../translate/port.js';
import { Flash } from './flash.js';
import { EXCEPTION_ENTRY_CYCLES, Interrupts, takeHardFault } from './interrupts.js';
import { FLASH_ADDRESS, FLASH_BYTES } from './memory-map.js';
import { ROM_BYTES } from './rom.js';

/** Why the processor stopped before the time it was given was over. */
export type Stop = 'reset' | 'lockup';

/** An address at which an exception handler returns [ARMv6-M B1.5.8]. */
const EXCEPTION_RETURN = 0xf0000000;

const PC = 15;

export interface ExecutorSettings {
  readonly romFunctions: ReadonlyMap<number, () => number>;
  readonly translateAfter: number;
  /** Called for each HardFault, with the address of the instruction. */
  readonly onFault: (address: number) => void;
}

/**
 * The processor: executes instructions and sleeps, and moves the emulated clock by what that takes.
 *
 * Code in flash that runs often is translated to JavaScript ([`translate/`]); the rest, code in RAM and the few
 * instructions that are not translated, goes through the interpreter of rp2040js.
 */
export class Executor {
  /** Set from within an instruction to have the processor stop after it. */
  stop: Stop | null = null;

  /** Set from within a run to end it early: something went to the host, and its clock counts from here. */
  yieldRequested = false;

  /** Instructions that were interpreted, and cycles executed in all. */
  interpretedInstructions = 0;
  cycles = 0;

  private readonly port: Port;
  private readonly code: CodeCache;
  private nanosPerCycle: number;
  private faultAddress: number | null = null;

  constructor(
    private readonly chip: RP2040,
    private readonly clock: EmulatedClock,
    flash: Flash,
    private readonly interrupts: Interrupts,
    private readonly settings: ExecutorSettings,
  ) {
    this.port = new Port(chip, clock, () => this.leavesRegion(), (address) => (this.faultAddress = address));
    this.code = new CodeCache(flash, chip.sram, this.port, settings.translateAfter);
    this.nanosPerCycle = 1e9 / chip.clkSys;
    chip.addClockListener((hertz) => (this.nanosPerCycle = 1e9 / hertz));
  }

  /** The present instruction is a fault: a breakpoint without a debugger, or an undefined instruction. */
  fault(address: number): void {
    this.faultAddress = address;
  }

  /** Runs until the emulated time `untilNanos`, or until something stops the processor. */
  run(untilNanos: number): void {
    const { chip, clock } = this;
    const { core } = chip;
    while (clock.nanos < untilNanos && this.stop === null && !this.yieldRequested) {
      if (core.waiting) {
        clock.advanceTo(Math.min(untilNanos, clock.nextAlarmNanos));
        continue;
      }
      if (core.interruptsUpdated && this.interrupts.takeNext()) {
        this.spend(EXCEPTION_ENTRY_CYCLES);
      }
      if (!this.runRegions(untilNanos)) {
        this.interpret();
      }
      if (this.faultAddress !== null) {
        this.takeFault(this.faultAddress);
      }
      if (clock.nextAlarmNanos <= clock.nanos) {
        clock.fireDueAlarms();
      }
    }
  }

  /** Runs translated code from the present address, region after region. Returns false when there is none. */
  private runRegions(untilNanos: number): boolean {
    const { port, code, clock } = this;
    const { core } = this.chip;
    const { registers } = core;
    port.begin(clock.nanos, untilNanos, this.nanosPerCycle);
    let cycles = 0;
    do {
      // The address of an exception handler comes from the vector table with the bit that says Thumb.
      const address = registers[PC] & ~1;
      if ((address - FLASH_ADDRESS) >>> 0 >= FLASH_BYTES || !code.find(address)) {
        break;
      }
      cycles = code.region(core, code.block, cycles, port.budget);
    } while (cycles < port.budget && !this.leavesRegion());
    if (cycles === 0) {
      return false;
    }
    this.cycles += cycles;
    clock.nanos = port.startNanos + cycles * this.nanosPerCycle;
    if (registers[PC] >= EXCEPTION_RETURN) {
      core.BXWritePC(registers[PC]);
    }
    registers[PC] &= ~1;
    return true;
  }

  private interpret(): void {
    const { core } = this.chip;
    if (core.PC < ROM_BYTES) {
      this.runRomFunction(core.PC & ~1);
    }
    this.spend(core.executeInstruction());
    this.interpretedInstructions++;
  }

  private runRomFunction(address: number): void {
    const romFunction = this.settings.romFunctions.get(address);
    if (romFunction !== undefined) {
      this.clock.advanceTo(this.clock.nanos + romFunction());
    }
  }

  private takeFault(address: number): void {
    const { core } = this.chip;
    this.faultAddress = null;
    core.PC = address;
    this.settings.onFault(address);
    if (!takeHardFault(core)) {
      this.stop = 'lockup';
    }
  }

  private leavesRegion(): boolean {
    return this.chip.core.interruptsUpdated || this.stop !== null || this.yieldRequested || this.faultAddress !== null;
  }

  private spend(cycles: number): void {
    this.cycles += cycles;
    this.clock.nanos += cycles * this.nanosPerCycle;
  }
}
