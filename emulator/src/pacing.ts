/**
 * How fast emulated time may pass.
 *
 * The rule: while the host may still answer something, emulated time must not run ahead of the host's time, or the
 * device's time-outs fire while an answer is on its way. It is a barrier, not a sleep: emulated time that the
 * processor needs anyway costs nothing, and sleeping time passes as fast as time does outside.
 *
 * What counts is the lead since the barrier began: emulated time that passed less time that passed outside. A slow
 * emulation falls behind, and that is not credit for later: it would be spent in one burst, just after the device has
 * asked the host something, and the host would have had no time to answer. Only time spent waiting at the barrier is.
 */

/**
 * How far emulated time may lead, in nanoseconds.
 *
 * Not zero, because the processor sleeps for microseconds at a time, for each word on the bus to the radio; small
 * against every time-out of a network protocol.
 */
export const LEAD_NANOS_MAX = 1_000_000;

export class Pacer {
  /** Positive: emulated time is ahead. Negative: time that was waited and may be caught up with. */
  private lead = 0;
  private engaged = false;

  /** Nanoseconds of emulated time that may pass now. */
  get roomNanos(): number {
    return Math.max(0, LEAD_NANOS_MAX - this.lead);
  }

  /**
   * Whether to wait now. Already when half of the lead is used up: stretches that shorten towards the limit would get
   * nowhere, at great expense.
   */
  get mustWait(): boolean {
    return this.lead > LEAD_NANOS_MAX / 2;
  }

  /** How long to wait, outside, until there is no lead any more. */
  get waitNanos(): number {
    return Math.max(0, this.lead);
  }

  /** The host may answer something from now on, or cannot any more. */
  engage(engaged: boolean): void {
    if (engaged !== this.engaged) {
      this.engaged = engaged;
      this.lead = 0;
    }
  }

  /** Something was sent to the host or came from it: from here on the other side needs its time. */
  hostInteraction(): void {
    this.lead = Math.max(0, this.lead);
  }

  /** Emulated time has passed, and so much outside meanwhile. */
  ran(emulatedNanos: number, outsideNanos: number): void {
    this.lead += Math.max(0, emulatedNanos - outsideNanos);
  }

  waited(outsideNanos: number): void {
    this.lead -= outsideNanos;
  }
}
