import { RP2040 } from 'rp2040js';
import { Core } from './rp2040js.js';

/**
 * Exceptions of the processor: which one is taken, when, and what wakes a sleeping core.
 *
 * Replaces the rules of rp2040js, which takes an exception through PRIMASK when the core sleeps, cannot end an
 * interrupt that software has raised on a peripheral's line, and lets a core in a handler be preempted by its equal.
 */

/** [ARMv6-M B1.5.2] Exception numbers. External interrupts begin at 16. */
const NMI = 2;
const HARD_FAULT = 3;
const SVCALL = 11;
const PENDSV = 14;
const SYSTICK = 15;
const FIRST_INTERRUPT = 16;

/** [ARMv6-M B1.5.4] Four levels of configurable priority, 0 the most urgent; thread mode lies below them all. */
const LEVELS = 4;
const THREAD_PRIORITY = LEVELS;

/** [ARMv6-M B3.4.6] Interrupt Clear-Pending, offset in the System Control Space. */
const NVIC_ICPR = 0x280;

/** [Cortex-M0+ TRM 3.8] Cycles from an interrupt to the first instruction of its handler. */
export const EXCEPTION_ENTRY_CYCLES = 15;

export class Interrupts {
  /** The level of each peripheral's interrupt line, one bit each. */
  private lines = 0;

  /** The interrupts whose handler has begun and not ended. */
  private active = 0;

  constructor(private readonly core: Core) {}

  /**
   * [ARMv6-M B3.4.1] A line that rises leaves its interrupt pending even when it falls again; a line that is still
   * up when the handler ends asks for another round.
   */
  setLine(irq: number, up: boolean): void {
    const bit = 1 << irq;
    if (!up) {
      this.lines &= ~bit;
      return;
    }
    if ((this.lines & bit) === 0) {
      this.lines |= bit;
      this.core.pendingInterrupts |= bit;
      this.core.interruptsUpdated = true;
      if (this.core.waiting) {
        this.takeNext();
      }
    }
  }

  /**
   * Enters the handler of the most urgent exception that may run now.
   *
   * Returns whether one was entered. Wakes the core also for an interrupt that PRIMASK keeps from running.
   */
  takeNext(): boolean {
    const { core } = this;
    core.interruptsUpdated = false;
    const exception = this.mostUrgent();
    if (exception === 0) {
      return false;
    }
    const priority = core.exceptionPriority(exception);
    const running = core.IPSR === 0 ? THREAD_PRIORITY : core.exceptionPriority(core.IPSR);
    if (priority >= running) {
      return false;
    }
    core.waiting = false;
    if (core.PM && priority >= 0) {
      return false;
    }
    this.acknowledge(exception);
    core.exceptionEntry(exception);
    return true;
  }

  /** Called with the number of the exception whose handler has just returned. */
  ended(exception: number): void {
    if (exception >= FIRST_INTERRUPT) {
      this.active &= ~(1 << (exception - FIRST_INTERRUPT));
    }
  }

  /** The pending, enabled exception of the best priority; among equals the lowest number wins. Zero if none. */
  private mostUrgent(): number {
    const { core } = this;
    if (core.pendingNMI) {
      return NMI;
    }
    const ready = (core.pendingInterrupts | (this.lines & ~this.active)) & core.enabledInterrupts;
    let best = 0;
    let bestPriority = LEVELS;
    const consider = (exception: number, priority: number): void => {
      if (priority < bestPriority) {
        best = exception;
        bestPriority = priority;
      }
    };
    if (core.pendingSVCall) consider(SVCALL, core.svCallPriority);
    if (core.pendingPendSV) consider(PENDSV, core.pendSVPriority);
    if (core.pendingSystick) consider(SYSTICK, core.systickPriority);
    for (let priority = 0; priority < bestPriority; priority++) {
      const atThisLevel = ready & core.interruptPriorities[priority];
      if (atThisLevel !== 0) {
        consider(FIRST_INTERRUPT + lowestBit(atThisLevel), priority);
      }
    }
    return best;
  }

  private acknowledge(exception: number): void {
    const { core } = this;
    switch (exception) {
      case NMI:
        core.pendingNMI = false;
        return;
      case SVCALL:
        core.pendingSVCall = false;
        return;
      case PENDSV:
        core.pendingPendSV = false;
        return;
      case SYSTICK:
        core.pendingSystick = false;
        return;
      default: {
        const bit = 1 << (exception - FIRST_INTERRUPT);
        core.pendingInterrupts &= ~bit;
        this.active |= bit;
      }
    }
  }
}

/** Puts our rules in the place of those of rp2040js. */
export function installInterrupts(chip: RP2040): Interrupts {
  const { core, ppb } = chip;
  const interrupts = new Interrupts(core);
  core.setInterrupt = (irq, up) => interrupts.setLine(irq, up);
  core.checkForInterrupts = () => interrupts.takeNext();

  const exceptionReturn = core.exceptionReturn.bind(core);
  core.exceptionReturn = (code) => {
    interrupts.ended(core.IPSR);
    exceptionReturn(code);
  };

  const write = ppb.writeUint32.bind(ppb);
  ppb.writeUint32 = (offset, value) => {
    if (offset === NVIC_ICPR) {
      core.pendingInterrupts &= ~value;
      return;
    }
    write(offset, value);
  };
  return interrupts;
}

/**
 * Takes the HardFault exception. Returns false when the core locks up instead: a fault inside the handler of a fault
 * [ARMv6-M B1.5.13].
 */
export function takeHardFault(core: Core): boolean {
  if (core.IPSR === HARD_FAULT || core.IPSR === NMI) {
    return false;
  }
  core.exceptionEntry(HARD_FAULT);
  return true;
}

function lowestBit(mask: number): number {
  return 31 - Math.clz32(mask & -mask);
}
