/** One direction of the radio link: it takes time, it can be slow, and it can lose frames. */
import { Alarm, EmulatedClock, NANOS_PER_MS } from '../clock.js';
import { Random } from '../random.js';

/** A plausible quiet network: one millisecond each way, and what a Pico W reaches over TCP, about 20 Mbit/s. */
const LATENCY_MS = 1;
const BYTES_PER_SECOND = 2_500_000;

/** Frames under way at a time; more are lost, as in any queue. */
const FRAMES_MAX = 256;

export class Link {
  frames = 0;
  dropped = 0;

  private latencyMs = LATENCY_MS;
  private bytesPerSecond = BYTES_PER_SECOND;
  private dropPercent = 0;
  private dropNext = 0;

  private readonly underWay: { frame: Buffer; dueNanos: number }[] = [];
  private busyUntilNanos = 0;
  private readonly alarm: Alarm;

  constructor(
    private readonly clock: EmulatedClock,
    private readonly random: Random,
    private readonly deliver: (frame: Buffer) => void,
  ) {
    this.alarm = clock.createAlarm(() => this.arrive());
  }

  send(frame: Buffer): void {
    this.frames++;
    if (this.loses() || this.underWay.length >= FRAMES_MAX) {
      this.dropped++;
      return;
    }
    const startNanos = Math.max(this.clock.nanos, this.busyUntilNanos);
    this.busyUntilNanos = startNanos + (frame.length / this.bytesPerSecond) * 1e9;
    this.underWay.push({ frame, dueNanos: this.busyUntilNanos + this.latencyMs * NANOS_PER_MS });
    this.wait();
  }

  /** Sets the pace; without arguments, back to the normal one. */
  setPace(latencyMs = LATENCY_MS, bytesPerSecond = BYTES_PER_SECOND): void {
    this.latencyMs = latencyMs;
    this.bytesPerSecond = bytesPerSecond;
  }

  /** Loses frames by chance. Zero stops it. */
  setDropPercent(percent: number): void {
    this.dropPercent = percent;
  }

  /** Loses the next frames, whatever they are. */
  setDropNext(frames: number): void {
    this.dropNext = frames;
  }

  /** Forgets what is under way: the link is gone. */
  clear(): void {
    this.underWay.length = 0;
    this.busyUntilNanos = 0;
    this.alarm.cancel();
  }

  private loses(): boolean {
    if (this.dropNext > 0) {
      this.dropNext--;
      return true;
    }
    return this.dropPercent > 0 && this.random.fraction() * 100 < this.dropPercent;
  }

  private arrive(): void {
    while (this.underWay.length > 0 && this.underWay[0].dueNanos <= this.clock.nanos) {
      this.deliver(this.underWay.shift()!.frame);
    }
    this.wait();
  }

  private wait(): void {
    if (this.underWay.length > 0 && !this.alarm.scheduled) {
      this.alarm.schedule(Math.max(0, this.underWay[0].dueNanos - this.clock.nanos));
    }
  }
}
