/**
 * One TCP connection of the device, ended here and continued by a connection on the host [RFC 9293].
 *
 * Bytes are acknowledged to the device when they have been given to the host, and sent to it again until it
 * acknowledges them: the link to the device may lose frames. No congestion control: the link is one hop.
 */
import { Alarm, EmulatedClock, NANOS_PER_MS } from '../clock.js';
import { HostAddress, HostConnector, HostListener, HostStream } from './host-stream.js';
import { ACK, advance, ahead, FIN, PSH, RST, Segment, SEGMENT_BYTES_MAX, SYN } from './tcp-segment.js';

/** The largest window without scaling, which we do not offer. */
const WINDOW_BYTES_MAX = 65535;

/** Bytes for the device that may wait here before the host is made to wait. */
const QUEUE_BYTES_MAX = 64 * 1024;

/** The first wait for an acknowledgement; it doubles each time, up to the second value. In emulated time. */
const RETRANSMIT_NANOS = 300 * NANOS_PER_MS;
const RETRANSMIT_NANOS_MAX = 5000 * NANOS_PER_MS;

/** After this many waits in a row the device is taken for gone: some 40 seconds. */
const RETRANSMITS_MAX = 10;

/** How long a closed connection still answers what arrives late. */
const LINGER_NANOS = 10_000 * NANOS_PER_MS;

export type CloseReason = 'closed' | 'reset_by_device' | 'reset_by_host' | 'refused' | 'timeout' | 'fault' | 'replaced';

export interface ConnectionOwner {
  send(segment: Segment): void;
  opened(connection: TcpConnection): void;
  closed(connection: TcpConnection, reason: CloseReason): void;
  /** It answers nothing any more and may be forgotten. */
  forget(connection: TcpConnection): void;
}

type State = 'connecting' | 'answered' | 'open' | 'closed';

export class TcpConnection implements HostListener {
  /** Bytes that have gone through, towards the host and towards the device. */
  bytesToHost = 0;
  bytesToDevice = 0;

  /** The device that opened it has been reset since: whatever the host still says concerns nobody. */
  orphaned = false;

  private state: State = 'connecting';
  private blackHoled = false;
  private readonly stream: HostStream;

  // Receiving from the device.
  private receiveNext: number;
  private deviceEnded = false;
  private windowWasClosed = false;

  // Sending to the device. `queue` begins with the byte of sequence number `unacknowledged`.
  private queue: Buffer = Buffer.alloc(0);
  private unacknowledged: number;
  private sendNext: number;
  private sendEnd: number;
  private window: number;
  private readonly segmentBytesMax: number;
  private hostEnded = false;
  private endSent = false;

  private readonly alarm: Alarm;
  private retransmits = 0;

  constructor(
    clock: EmulatedClock,
    private readonly owner: ConnectionOwner,
    private readonly syn: Segment,
    initialSequence: number,
    readonly target: HostAddress,
    connector: HostConnector,
  ) {
    this.receiveNext = advance(syn.sequence, 1);
    this.unacknowledged = initialSequence;
    this.sendNext = initialSequence;
    this.sendEnd = initialSequence;
    this.window = syn.window;
    this.segmentBytesMax = Math.min(syn.segmentBytesMax ?? 536, SEGMENT_BYTES_MAX);
    this.alarm = clock.createAlarm(() => this.alarmRang());
    this.stream = connector(target, this);
  }

  get devicePort(): number {
    return this.syn.fromPort;
  }

  get port(): number {
    return this.syn.toPort;
  }

  get isClosed(): boolean {
    return this.state === 'closed';
  }

  /** Whether the host may still say something that would reach the device. */
  get awaitsHost(): boolean {
    return this.state !== 'closed' && !this.hostEnded && !this.blackHoled && !this.orphaned;
  }

  // --- From the device.

  segment(segment: Segment): void {
    if (this.blackHoled) {
      return;
    }
    if ((segment.flags & RST) !== 0) {
      this.close('reset_by_device');
      return;
    }
    if ((segment.flags & SYN) !== 0) {
      this.repeatAnswer();
      return;
    }
    if (this.state === 'connecting' || (segment.flags & ACK) === 0) {
      return;
    }
    this.acknowledged(segment);
    const needsAnswer = this.receive(segment);
    if (needsAnswer) {
      this.sendControl(ACK);
    }
    this.pump();
    this.finishIfDone();
  }

  /** Whether a SYN is the one this connection began with, come again. */
  beganWith(syn: Segment): boolean {
    return syn.sequence === this.syn.sequence && this.state !== 'closed';
  }

  // --- From the host.

  connected(): void {
    if (this.state !== 'connecting') {
      return;
    }
    this.state = 'answered';
    this.sendSynAnswer();
    this.sendNext = advance(this.sendNext, 1);
    this.sendEnd = this.sendNext;
    this.startTimer();
    this.owner.opened(this);
  }

  data(data: Buffer): void {
    this.queue = Buffer.concat([this.queue, data]);
    if (this.queue.length > QUEUE_BYTES_MAX) {
      this.stream.pause();
    }
    this.pump();
  }

  ended(): void {
    this.hostEnded = true;
    this.pump();
    this.finishIfDone();
  }

  failed(): void {
    if (this.state === 'closed') {
      return;
    }
    const reason = this.state === 'connecting' ? 'refused' : 'reset_by_host';
    if (!this.blackHoled) {
      this.sendControl(RST | ACK);
    }
    this.close(reason);
  }

  drained(): void {
    if (this.windowWasClosed && this.receiveWindow > 0 && this.state !== 'closed') {
      this.sendControl(ACK);
    }
  }

  // --- Faults.

  /** From now on nothing passes in either direction, and both sides believe in the connection. */
  blackHole(): void {
    this.blackHoled = true;
    this.stream.pause();
    this.alarm.cancel();
  }

  /** Both sides see a reset. */
  abort(): void {
    if (this.state !== 'closed') {
      this.sendControl(RST | ACK);
      this.close('fault');
    }
  }

  /** The device has begun anew with the same ports. The host sees a reset; to the device nothing is sent. */
  replace(): void {
    if (this.state !== 'closed') {
      this.close('replaced');
    }
  }

  // --- Receiving.

  /** Takes what is new in the segment. Returns whether it must be acknowledged. */
  private receive(segment: Segment): boolean {
    const { data } = segment;
    const ends = (segment.flags & FIN) !== 0;
    if (data.length === 0 && !ends) {
      // A probe of a closed window, or a keep-alive, is one before what we expect.
      return ahead(this.receiveNext, segment.sequence) > 0;
    }
    const known = ahead(this.receiveNext, segment.sequence);
    if (known >= 0 && known < data.length && this.receiveWindow > 0) {
      const fresh = data.subarray(known);
      this.receiveNext = advance(this.receiveNext, fresh.length);
      this.bytesToHost += fresh.length;
      this.stream.write(fresh);
    }
    if (ends && !this.deviceEnded && advance(segment.sequence, data.length) === this.receiveNext) {
      this.receiveNext = advance(this.receiveNext, 1);
      this.deviceEnded = true;
      this.stream.end();
    }
    return true;
  }

  private get receiveWindow(): number {
    return Math.max(0, WINDOW_BYTES_MAX - this.stream.pendingBytes);
  }

  // --- Sending.

  private acknowledged(segment: Segment): void {
    const progress = ahead(segment.acknowledgement, this.unacknowledged);
    if (progress < 0 || ahead(segment.acknowledgement, this.sendEnd) > 0) {
      return;
    }
    this.window = segment.window;
    if (progress === 0) {
      return;
    }
    let bytes = progress;
    if (this.state === 'answered') {
      this.state = 'open';
      bytes -= 1;
    }
    const taken = Math.min(bytes, this.queue.length);
    this.bytesToDevice += taken;
    this.queue = this.queue.subarray(taken);
    if (bytes > taken) {
      // One more than there was data: our end has arrived, even if we were about to send it again.
      this.endSent = true;
    }
    this.unacknowledged = segment.acknowledgement;
    if (ahead(this.unacknowledged, this.sendNext) > 0) {
      this.sendNext = this.unacknowledged;
    }
    this.retransmits = 0;
    this.alarm.cancel();
    if (this.queue.length <= QUEUE_BYTES_MAX / 2 && !this.hostEnded) {
      this.stream.resume();
    }
  }

  /** Sends what the device's window has room for, and starts waiting for the acknowledgement. */
  private pump(): void {
    if (this.state !== 'open' || this.blackHoled) {
      return;
    }
    for (;;) {
      const inFlight = ahead(this.sendNext, this.unacknowledged);
      const unsent = this.queue.length - inFlight;
      const bytes = Math.min(unsent, this.segmentBytesMax, this.window - inFlight);
      if (bytes <= 0) {
        break;
      }
      this.sendData(this.queue.subarray(inFlight, inFlight + bytes), bytes === unsent ? PSH : 0);
    }
    if (this.hostEnded && !this.endSent && ahead(this.sendNext, this.unacknowledged) === this.queue.length) {
      this.sendControl(FIN | ACK);
      this.endSent = true;
      this.moveSendNext(1);
    }
    const waits = this.sendNext !== this.unacknowledged || this.queue.length > 0;
    if (waits && !this.alarm.scheduled) {
      this.startTimer();
    }
  }

  private startTimer(): void {
    this.alarm.schedule(Math.min(RETRANSMIT_NANOS * 2 ** this.retransmits, RETRANSMIT_NANOS_MAX));
  }

  private alarmRang(): void {
    if (this.state === 'closed') {
      this.owner.forget(this);
      return;
    }
    this.retransmits++;
    if (this.retransmits > RETRANSMITS_MAX) {
      this.sendControl(RST | ACK);
      this.close('timeout');
      return;
    }
    if (this.state === 'answered') {
      this.sendSynAnswer();
    } else if (this.window === 0 && this.queue.length > 0) {
      this.probeWindow();
    } else {
      // Begin again with the first byte that is not acknowledged. What the device has already, it drops.
      this.sendNext = this.unacknowledged;
      this.endSent = false;
      this.pump();
    }
    this.startTimer();
  }

  /** One byte beyond a closed window makes the device say whether it has opened [RFC 9293 3.8.6.1]. */
  private probeWindow(): void {
    this.sendNext = this.unacknowledged;
    this.sendData(this.queue.subarray(0, 1), 0);
  }

  private sendData(data: Buffer, flags: number): void {
    this.owner.send(this.outgoing(flags | ACK, this.sendNext, data));
    this.moveSendNext(data.length);
  }

  private moveSendNext(by: number): void {
    this.sendNext = advance(this.sendNext, by);
    if (ahead(this.sendNext, this.sendEnd) > 0) {
      this.sendEnd = this.sendNext;
    }
  }

  private sendControl(flags: number): void {
    this.owner.send(this.outgoing(flags, this.sendNext, Buffer.alloc(0)));
  }

  private sendSynAnswer(): void {
    const segment = this.outgoing(SYN | ACK, this.unacknowledged, Buffer.alloc(0));
    this.owner.send({ ...segment, segmentBytesMax: SEGMENT_BYTES_MAX });
  }

  private repeatAnswer(): void {
    if (this.state === 'answered') {
      this.sendSynAnswer();
    } else if (this.state !== 'connecting') {
      this.sendControl(ACK);
    }
  }

  private outgoing(flags: number, sequence: number, data: Buffer): Segment {
    const window = this.receiveWindow;
    this.windowWasClosed = window === 0;
    return {
      fromPort: this.syn.toPort,
      toPort: this.syn.fromPort,
      sequence,
      acknowledgement: this.receiveNext,
      flags,
      window,
      data,
    };
  }

  // --- Ending.

  private finishIfDone(): void {
    const allSent = this.endSent && this.unacknowledged === this.sendEnd;
    if (this.state !== 'closed' && this.deviceEnded && allSent) {
      this.state = 'closed';
      this.owner.closed(this, 'closed');
      this.alarm.schedule(LINGER_NANOS);
    }
  }

  private close(reason: CloseReason): void {
    const wasOpen = this.state !== 'closed';
    this.state = 'closed';
    this.alarm.cancel();
    if (wasOpen) {
      this.stream.reset();
      this.owner.closed(this, reason);
    }
    this.owner.forget(this);
  }
}
