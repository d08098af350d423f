import { Alarm, EmulatedClock } from '../clock.js';

/**
 * The clock as one boot of the chip sees it: it starts at zero, and its alarms die with the boot.
 *
 * A reset builds a new chip. Whatever the old one had scheduled, a DMA word or a timer, must not reach the new one.
 */
export class BootClock {
  private readonly startNanos: number;
  private readonly alarms: Alarm[] = [];
  private ended = false;

  constructor(private readonly clock: EmulatedClock) {
    this.startNanos = clock.nanos;
  }

  get nanos(): number {
    return this.clock.nanos - this.startNanos;
  }

  createAlarm(callback: () => void): Alarm {
    const alarm = this.clock.createAlarm(() => {
      if (!this.ended) {
        callback();
      }
    });
    this.alarms.push(alarm);
    return alarm;
  }

  end(): void {
    this.ended = true;
    for (const alarm of this.alarms) {
      alarm.cancel();
    }
  }
}
