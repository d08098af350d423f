import { RP2040 } from 'rp2040js';
import { EmulatedClock } from '../clock.js';
import { EXCEPTION_ENTRY_CYCLES, Interrupts, takeHardFault } from './interrupts.js';
import { ROM_BYTES } from './rom.js';

/** Why the processor stopped before the time it was given was over. */
export type Stop = 'reset' | 'lockup';

/** The processor: executes instructions and sleeps, and moves the emulated clock by what that takes. */
export class Executor {
  /** Set from within an instruction to have the processor stop after it. */
  stop: Stop | null = null;

  /** Set from within a run to end it early: something went to the host, and its clock counts from here. */
  yieldRequested = false;

  /** Instructions executed by rp2040js, one at a time, and cycles executed in all. */
  interpretedInstructions = 0;
  cycles = 0;

  private faulted = false;

  constructor(
    private readonly chip: RP2040,
    private readonly clock: EmulatedClock,
    private readonly interrupts: Interrupts,
    private readonly romFunctions: ReadonlyMap<number, () => number>,
  ) {
  }

  /** A breakpoint or an undefined instruction: without a debugger both are faults. */
  fault(): void {
    this.faulted = true;
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
      this.step();
      clock.fireDueAlarms();
    }
  }

  private step(): void {
    const { core } = this.chip;
    if (core.PC < ROM_BYTES) {
      const romFunction = this.romFunctions.get(core.PC & ~1);
      if (romFunction !== undefined) {
        this.clock.advanceTo(this.clock.nanos + romFunction());
      }
    }
    const at = core.PC;
    this.spend(core.executeInstruction());
    this.interpretedInstructions++;
    if (this.faulted) {
      this.faulted = false;
      core.PC = at;
      if (!takeHardFault(core)) {
        this.stop = 'lockup';
      }
    }
  }

  private spend(cycles: number): void {
    this.cycles += cycles;
    this.clock.nanos += (cycles * 1e9) / this.chip.clkSys;
  }
}
