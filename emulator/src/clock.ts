/**
 * The emulated time, and the alarms that wait for it.
 *
 * One clock serves the chip and the network, so that a frame and a timer never disagree about the order of events.
 */

/** Nanoseconds in a millisecond: the outside speaks milliseconds, the clock nanoseconds. */
export const NANOS_PER_MS = 1_000_000;

/** Something to be called at a moment of the emulated time. Scheduling it again moves it. */
export class Alarm {
  /** When it is due; meaningful only while `scheduled`. */
  dueNanos = 0;
  scheduled = false;
  next: Alarm | null = null;

  constructor(
    private readonly clock: EmulatedClock,
    readonly callback: () => void,
  ) {}

  schedule(deltaNanos: number): void {
    this.cancel();
    this.clock.insert(this, this.clock.nanos + deltaNanos);
  }

  cancel(): void {
    if (this.scheduled) {
      this.clock.remove(this);
    }
  }
}

/** Emulated nanoseconds since the board first got power. Only the main loop and the processor move it. */
export class EmulatedClock {
  nanos = 0;

  /** Alarms in the order they are due. A list, because there are a dozen at most and nearly all go to its head. */
  private first: Alarm | null = null;

  createAlarm(callback: () => void): Alarm {
    return new Alarm(this, callback);
  }

  /** When the next alarm is due; infinity when none is set. */
  get nextAlarmNanos(): number {
    return this.first === null ? Infinity : this.first.dueNanos;
  }

  get milliseconds(): number {
    return this.nanos / NANOS_PER_MS;
  }

  /** Calls what is due at the present moment, including what those calls schedule for it. */
  fireDueAlarms(): void {
    let alarm = this.first;
    while (alarm !== null && alarm.dueNanos <= this.nanos) {
      this.remove(alarm);
      alarm.callback();
      alarm = this.first;
    }
  }

  /** Moves to `targetNanos`, stopping at each alarm on the way so that it sees its own moment. */
  advanceTo(targetNanos: number): void {
    while (this.nextAlarmNanos <= targetNanos) {
      this.nanos = Math.max(this.nanos, this.nextAlarmNanos);
      this.fireDueAlarms();
    }
    this.nanos = Math.max(this.nanos, targetNanos);
  }

  insert(alarm: Alarm, dueNanos: number): void {
    alarm.dueNanos = dueNanos;
    alarm.scheduled = true;
    if (this.first === null || this.first.dueNanos > dueNanos) {
      alarm.next = this.first;
      this.first = alarm;
      return;
    }
    let before = this.first;
    while (before.next !== null && before.next.dueNanos <= dueNanos) {
      before = before.next;
    }
    alarm.next = before.next;
    before.next = alarm;
  }

  remove(alarm: Alarm): void {
    alarm.scheduled = false;
    if (this.first === alarm) {
      this.first = alarm.next;
      alarm.next = null;
      return;
    }
    for (let before = this.first; before !== null; before = before.next) {
      if (before.next === alarm) {
        before.next = alarm.next;
        alarm.next = null;
        return;
      }
    }
  }
}
