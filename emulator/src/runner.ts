/** The main loop: gives the board time to run, the host time to speak, and keeps the two clocks in step. */
import { Board } from './board.js';
import { NANOS_PER_MS } from './clock.js';
import { Pacer } from './pacing.js';

/** The longest stretch without looking at the host, in emulated time, when it owes us nothing. */
const FREE_SLICE_NANOS = 10 * NANOS_PER_MS;

/** The longest wait at the barrier, outside. Bytes that arrive end it at once. */
const WAIT_MS_MAX = 20;

export class Runner {
  private stopped = false;
  private readonly pacer = new Pacer();
  private wake: () => void = () => {};
  private readonly actions: (() => void)[] = [];

  constructor(
    private readonly board: Board,
    /** A clock of the outside that never jumps, in nanoseconds. */
    private readonly outsideNanos: () => number,
    /** Emulated time passes at most this many times as fast as outside; infinity lets outages pass in a moment. */
    private readonly speedMax: number,
  ) {
    board.onHostInteraction = () => {
      this.pacer.hostInteraction();
      this.wake();
    };
  }

  stop(): void {
    this.stopped = true;
    this.wake();
  }

  /** Does something to the board between two stretches of running, never in the middle of one. */
  between(action: () => void): void {
    this.actions.push(action);
    this.wake();
  }

  async run(): Promise<void> {
    while (!this.stopped) {
      for (const action of this.actions.splice(0)) {
        action();
      }
      if (this.stopped) {
        return;
      }
      const awaitsHost = this.board.network.awaitsHost;
      const speed = awaitsHost ? 1 : this.speedMax;
      this.pacer.engage(speed !== Infinity);
      if (speed === Infinity) {
        await this.runFreely();
      } else {
        await this.runPaced(speed);
      }
    }
  }

  /** The host owes nothing: emulated time costs only what the processor needs. */
  private async runFreely(): Promise<void> {
    const { board } = this;
    if (board.nextAlarmNanos === Infinity && (board.asleep || board.halted)) {
      // Nothing will ever happen by itself. Time may pass, but not a whole core of the host with it.
      await this.wait(WAIT_MS_MAX);
    }
    board.run(board.clock.nanos + FREE_SLICE_NANOS);
    await immediate();
  }

  private async runPaced(speed: number): Promise<void> {
    const { board, pacer } = this;
    if (pacer.mustWait) {
      await this.waitAtBarrier(speed);
      return;
    }
    const emulatedBefore = board.clock.nanos;
    const outsideBefore = this.outsideNanos();
    board.run(emulatedBefore + Math.min(FREE_SLICE_NANOS, pacer.roomNanos));
    await immediate();
    pacer.ran(board.clock.nanos - emulatedBefore, (this.outsideNanos() - outsideBefore) * speed);
  }

  /** Lets time pass outside: until the lead is gone, and longer while the board sleeps anyway. */
  private async waitAtBarrier(speed: number): Promise<void> {
    const { board, pacer } = this;
    const sleepNanos = board.asleep ? board.nextAlarmNanos - board.clock.nanos : 0;
    const nanos = pacer.waitNanos + Math.max(0, sleepNanos);
    const outsideBefore = this.outsideNanos();
    await this.wait(Math.min(WAIT_MS_MAX, Math.max(1, nanos / speed / NANOS_PER_MS)));
    pacer.waited((this.outsideNanos() - outsideBefore) * speed);
  }

  private wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, milliseconds);
      function done(): void {
        clearTimeout(timer);
        resolve();
      }
      this.wake = done;
    });
  }
}

/** Lets the host's sockets and streams speak: everything that has arrived is handled before this resolves. */
function immediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
