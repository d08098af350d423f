/**
 * The board: chip, radio and network together, and everything that can be done to it from outside.
 *
 * This is the interface for programs; the JSON lines ([`control/commands.ts`]) are a thin layer over it.
 */
import { Chip, ResetReason, Surroundings } from './chip/chip.js';
import { Flash } from './chip/flash.js';
import { SRAM_BYTES } from './chip/memory-map.js';
import { AnalogInputs } from './chip/temperature.js';
import { LineReader } from './chip/uart.js';
import { emptyWatchdogMemory, WatchdogMemory } from './chip/watchdog.js';
import { CRASH, STUCK } from './chip/rom.js';
import { EmulatedClock, NANOS_PER_MS } from './clock.js';
import { Report } from './events.js';
import { Piece } from './firmware/uf2.js';
import { MacAddress } from './network/addresses.js';
import { Direction, Host, Network, NetworkSettings, Service } from './network/network.js';
import { GspiPort } from './radio/gspi-port.js';
import { Radio } from './radio/radio.js';
import { Random } from './random.js';
import { TRANSLATE_AFTER } from './translate/code-cache.js';

/** A handler that does not return within a tenth of a second is stuck itself. */
const HANDLER_SLICE_NANOS = 10_000;
const HANDLER_SLICES_MAX = 10_000;

/** An address of Raspberry Pi's range, as boards carry it. */
const RADIO_MAC = MacAddress.parse('28:cd:c1:00:00:01');

export interface BoardSettings {
  readonly network: NetworkSettings;
  readonly host: Host;
  /** Makes the random numbers of chip and network repeatable; what the host sends is not. */
  readonly seed: number;
  /** See [`Surroundings.translateAfter`]. */
  readonly translateAfter?: number;
}

export interface Counters {
  readonly emulated_ms: number;
  readonly boots: number;
  readonly cycles: number;
  readonly interpreted_instructions: number;
  readonly frames_to_device: number;
  readonly frames_from_device: number;
  readonly frames_dropped: number;
  readonly tcp_connections: number;
  readonly flash_sectors_erased: number;
  readonly flash_pages_programmed: number;
}

export class Board {
  readonly clock = new EmulatedClock();
  readonly network: Network;
  readonly radio: Radio;
  readonly flash = new Flash();
  readonly analogInputs: AnalogInputs;

  /** Set when nothing runs any more: the core has locked up, or the boot ROM waits for a file over USB. */
  halted = false;

  private readonly random: Random;
  private readonly sram = new Uint8Array(SRAM_BYTES);
  private chip: Chip;
  private port: GspiPort;
  private boots = 0;
  private cyclesBefore = 0;
  private interpretedBefore = 0;
  private readonly serial = new LineReader((line) => this.report({ event: 'log', line }));

  constructor(
    private readonly settings: BoardSettings,
    firmware: readonly Piece[],
    private readonly report: Report,
  ) {
    this.random = new Random(settings.seed);
    this.analogInputs = new AnalogInputs(this.random, this.clock);
    this.network = new Network(this.clock, this.random, settings.network, settings.host, report);
    this.radio = new Radio(RADIO_MAC, Network.MAC, this.network);
    this.network.attach(this.radio);
    this.radio.onInterrupt = () => this.port.interruptChanged();
    this.radio.onLed = (on) => report({ event: 'led', on });
    this.radio.onPowerSave = (on) => report({ event: 'wifi', what: 'power_save', on });
    this.network.onHostInteraction = () => {
      this.chip.executor.yieldRequested = true;
      this.onHostInteraction();
    };
    for (const { offset, bytes } of firmware) {
      this.flash.load(offset, bytes);
    }
    this.scrambleMemory();
    [this.chip, this.port] = this.boot('power', emptyWatchdogMemory());
  }

  /** Called when bytes crossed between host and emulator. */
  onHostInteraction: () => void = () => {};

  /** The chip of the present boot, for tests that look into its memory. */
  get chipForTests() {
    return this.chip.rp2040;
  }

  // --- Running.

  get asleep(): boolean {
    return this.chip.rp2040.core.waiting;
  }

  /** When the sleeping board will do something by itself, in emulated time; infinity when never. */
  get nextAlarmNanos(): number {
    return this.clock.nextAlarmNanos;
  }

  /** Runs until the emulated time `untilNanos`, or until something went to the host. */
  run(untilNanos: number): void {
    if (this.halted) {
      this.clock.advanceTo(untilNanos);
      return;
    }
    const { chip } = this;
    chip.executor.yieldRequested = false;
    chip.executor.run(untilNanos);
    if (chip.resetRequest === 'usb_boot') {
      this.halt('usb_boot');
    } else if (chip.resetRequest !== null) {
      this.restart(chip.resetRequest);
    } else if (chip.executor.stop === 'lockup') {
      // A watchdog still resets a core that has locked up; only without one it is the end.
      this.report({ event: 'fault', what: 'lockup', pc: hex(chip.rp2040.core.PC) });
      chip.executor.stop = null;
      chip.rp2040.core.waiting = true;
      chip.rp2040.core.enabledInterrupts = 0;
    }
  }

  // --- Stimuli and faults.

  /** Takes the power away for `offMs` of emulated time: memory, radio and connections are lost, flash is not. */
  cutPower(offMs = 0): void {
    this.endBoot();
    this.clock.advanceTo(this.clock.nanos + offMs * NANOS_PER_MS);
    this.scrambleMemory();
    this.halted = false;
    [this.chip, this.port] = this.boot('power', emptyWatchdogMemory());
  }

  /** From now on every reading of an analogue input gives this voltage; input 4 is the temperature sensor. */
  setVolts(channel: number, volts: number): void {
    this.analogInputs.setVolts(channel, volts);
  }

  setTemperature(celsius: number, perSecond?: number): void {
    this.analogInputs.setTemperature(celsius, perSecond);
  }

  /**
   * The program is stuck from now on, as if a loop of its thread mode never ended; interrupts go on. Only a watchdog
   * helps.
   */
  hang(): void {
    this.divert(STUCK);
  }

  /** The program of the thread mode runs into something that is no instruction. */
  crash(): void {
    this.divert(CRASH);
  }

  /** Thread mode goes on at another address. */
  private divert(address: number): void {
    const { core } = this.chip.rp2040;
    // A handler that is just running must return to where it came from.
    for (let slices = 0; core.IPSR !== 0 && slices < HANDLER_SLICES_MAX; slices++) {
      this.chip.executor.run(this.clock.nanos + HANDLER_SLICE_NANOS);
    }
    core.waiting = false;
    core.PC = address;
  }

  setRadioDead(dead: boolean): void {
    this.radio.dead = dead;
  }

  /** Changes name or passphrase of the access point. A station that is in keeps its place. */
  setAccessPoint(ssid: string, passphrase: string | null): void {
    this.network.accessPoint.settings = { ssid, passphrase };
  }

  /** The link is lost and joins fail; with `forMs` it comes back after that much emulated time. */
  loseLink(forMs?: number): void {
    this.network.setPresent(false);
    if (forMs !== undefined) {
      this.clock.createAlarm(() => this.network.setPresent(true)).schedule(forMs * NANOS_PER_MS);
    }
  }

  restoreLink(): void {
    this.network.setPresent(true);
  }

  setAnswering(service: Service, answering: boolean): void {
    if (answering) {
      this.network.silent.delete(service);
    } else {
      this.network.silent.add(service);
    }
  }

  setSntpOffset(seconds: number): void {
    this.network.sntpOffsetSeconds = seconds;
  }

  dropFrames(direction: Direction, how: { percent: number } | { next: number }): void {
    const link = this.network.links[direction];
    if ('percent' in how) {
      link.setDropPercent(how.percent);
    } else {
      link.setDropNext(how.next);
    }
  }

  /** Slows both directions down; without arguments the network is as fast as before. */
  setPace(latencyMs?: number, bytesPerSecond?: number): void {
    this.network.links.to_device.setPace(latencyMs, bytesPerSecond);
    this.network.links.from_device.setPace(latencyMs, bytesPerSecond);
  }

  /** Returns how many connections were reset. */
  resetConnections(): number {
    return this.network.tcp.resetAll();
  }

  /** Returns how many connections nothing passes over any more. */
  blackHoleConnections(): number {
    return this.network.tcp.blackHoleAll();
  }

  get counters(): Counters {
    const { to_device, from_device } = this.network.links;
    const { executor } = this.chip;
    return {
      emulated_ms: this.clock.milliseconds,
      boots: this.boots,
      cycles: this.cyclesBefore + executor.cycles,
      interpreted_instructions: this.interpretedBefore + executor.interpretedInstructions,
      frames_to_device: to_device.frames,
      frames_from_device: from_device.frames,
      frames_dropped: to_device.dropped + from_device.dropped + this.radio.counters.framesDropped,
      tcp_connections: this.network.tcp.openConnections,
      flash_sectors_erased: this.flash.sectorsErased,
      flash_pages_programmed: this.flash.pagesProgrammed,
    };
  }

  // --- Resets.

  private boot(reason: ResetReason, watchdog: WatchdogMemory): [Chip, GspiPort] {
    const surroundings: Surroundings = {
      clock: this.clock,
      flash: this.flash,
      sram: this.sram,
      random: this.random,
      analogInputs: this.analogInputs,
      translateAfter: this.settings.translateAfter ?? TRANSLATE_AFTER,
    };
    const chip = new Chip(surroundings, watchdog);
    chip.onUartByte = (byte) => this.serial.push(byte);
    chip.onFault = (address) => this.report({ event: 'fault', what: 'hard_fault', pc: hex(address) });
    const pio = chip.rp2040.pio[0];
    const port = new GspiPort(chip.rp2040, pio, pio.machines[0], this.radio);
    this.boots++;
    this.report({ event: 'reset', reason, boot: this.boots });
    return [chip, port];
  }

  /** A reset of the chip: RAM and the watchdog's registers keep their contents, all else starts anew. */
  private restart(reason: ResetReason): void {
    const watchdog = this.endBoot();
    [this.chip, this.port] = this.boot(reason, watchdog);
  }

  private endBoot(): WatchdogMemory {
    const { chip } = this;
    const watchdog = chip.end();
    this.cyclesBefore += chip.executor.cycles;
    this.interpretedBefore += chip.executor.interpretedInstructions;
    this.serial.flush();
    // A reset releases the pin that powers the radio, and a resistor on the board pulls it low.
    this.radio.powered(false);
    this.network.deviceRestarted();
    return watchdog;
  }

  private halt(reason: ResetReason): void {
    this.endBoot();
    this.halted = true;
    this.report({ event: 'reset', reason, boot: this.boots });
  }

  /** RAM holds anything after power-on. Not zeros, so that firmware which relies on them is found out. */
  private scrambleMemory(): void {
    const words = new Uint32Array(this.sram.buffer);
    for (let index = 0; index < words.length; index++) {
      words[index] = this.random.next();
    }
  }
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
