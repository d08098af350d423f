/**
 * The radio chip, a CYW43439: what it does on the bus, and what it does on the air.
 *
 * The model behaves like the chip with its firmware loaded. There is no radio, no handshake of keys, no power saving:
 * the access point decides over a join by comparing names and passphrases.
 */
import { MacAddress } from '../network/addresses.js';
import { Backplane } from './backplane.js';
import { ControlState } from './control.js';
import {
  encodeEvent,
  joinedEvents,
  LEFT_EVENTS,
  LINK_LOST_EVENTS,
  NETWORK_NOT_FOUND_EVENTS,
  RadioEvent,
  SCAN_ENDED_EVENTS,
  WRONG_PASSPHRASE_EVENTS,
} from './events.js';
import { Command, GspiBus, PacketPort } from './gspi-bus.js';
import { RadioPins } from './gspi-port.js';
import {
  CHANNEL_CONTROL,
  CHANNEL_DATA,
  CHANNEL_EVENT,
  controlAnswer,
  creditOnly,
  parseControlRequest,
  parseFrame,
  parseHostPacket,
  SdpcmSender,
  withBdcHeader,
} from './sdpcm.js';

/** The pin of the radio that the board's LED hangs on. */
const LED_PIN = 0;

/**
 * Packets that may wait for the driver before frames from the air are dropped.
 *
 * The chip has room for a few dozen. Events and answers are never dropped: the driver would wait for them for ever.
 */
const WAITING_PACKETS_MAX = 48;

/** After this many frames from the driver it gets a packet with nothing but fresh credit. */
const FRAMES_PER_CREDIT = 4;

export type JoinOutcome = 'joined' | 'network_not_found' | 'wrong_passphrase';

/** The other side of the radio link. */
export interface Air {
  /** Asks to join; the access point answers later with [`Radio.joinEnded`]. A passphrase of null is an open network. */
  join(ssid: string, passphrase: string | null): void;
  /** The station is gone: it said so, or it lost power. */
  left(reason: 'left' | 'power_off'): void;
  send(frame: Buffer): void;
}

export interface RadioCounters {
  framesSent: number;
  framesReceived: number;
  framesDropped: number;
}

export class Radio implements RadioPins, PacketPort {
  readonly counters: RadioCounters = { framesSent: 0, framesReceived: 0, framesDropped: 0 };

  /** A broken radio: every bit it drives is zero, and it hears nothing. */
  dead = false;

  /** Called when the interrupt line may have changed. */
  onInterrupt: () => void = () => {};
  onLed: (on: boolean) => void = () => {};
  /** Called when the driver turns sleeping between beacons on or off. Nothing here gets slower by it. */
  onPowerSave: (on: boolean) => void = () => {};

  private joined = false;
  private ledOn = false;
  private bus: GspiBus;
  private sender = new SdpcmSender();
  private control: ControlState;
  private waiting: Buffer[] = [];
  private framesSinceCredit = 0;

  constructor(
    private readonly address: MacAddress,
    private readonly accessPointAddress: MacAddress,
    private readonly air: Air,
  ) {
    this.bus = new GspiBus(new Backplane(), this);
    this.control = new ControlState(address);
  }

  // --- The pins.

  /** Without power the radio forgets everything: firmware, configuration, the network it was in. */
  powered(on: boolean): void {
    if (on) {
      return;
    }
    const wasJoined = this.joined;
    this.joined = false;
    this.bus = new GspiBus(new Backplane(), this);
    this.sender = new SdpcmSender();
    this.control = new ControlState(this.address);
    this.waiting = [];
    this.setLed(false);
    if (wasJoined) {
      this.air.left('power_off');
    }
  }

  decode(word: number): Command {
    return this.bus.decode(word);
  }

  read(command: Command): Uint32Array {
    return this.dead ? new Uint32Array(0) : this.bus.read(command);
  }

  write(command: Command, words: readonly number[]): void {
    if (!this.dead) {
      this.bus.write(command, words);
    }
  }

  status(): number {
    return this.dead ? 0 : this.bus.status();
  }

  get interruptLine(): boolean {
    return !this.dead && this.bus.interruptLine;
  }

  // --- Packets of the bus.

  peek(): Uint8Array | undefined {
    return this.waiting[0];
  }

  take(): Uint8Array | undefined {
    return this.waiting.shift();
  }

  put(bytes: Uint8Array): void {
    const packet = parseHostPacket(bytes);
    if (packet === null) {
      return;
    }
    this.sender.acknowledge(packet.sequence);
    if (packet.channel === CHANNEL_CONTROL) {
      this.answerControl(packet.payload);
    } else if (packet.channel === CHANNEL_DATA) {
      this.transmit(packet.payload);
    }
  }

  // --- The air.

  joinEnded(outcome: JoinOutcome, secured: boolean): void {
    switch (outcome) {
      case 'joined':
        this.joined = true;
        this.raise(joinedEvents(secured));
        return;
      case 'network_not_found':
        this.raise(NETWORK_NOT_FOUND_EVENTS);
        return;
      case 'wrong_passphrase':
        this.raise(WRONG_PASSPHRASE_EVENTS);
    }
  }

  linkLost(): void {
    if (this.joined) {
      this.joined = false;
      this.raise(LINK_LOST_EVENTS);
    }
  }

  receive(frame: Uint8Array): void {
    if (!this.joined || this.dead) {
      return;
    }
    if (this.waiting.length >= WAITING_PACKETS_MAX) {
      this.counters.framesDropped++;
      return;
    }
    this.counters.framesReceived++;
    this.queue(CHANNEL_DATA, withBdcHeader(frame));
  }

  private transmit(payload: Buffer): void {
    const frame = parseFrame(payload);
    if (frame !== null && this.joined) {
      this.counters.framesSent++;
      this.air.send(Buffer.from(frame));
    }
    this.framesSinceCredit++;
    if (this.framesSinceCredit >= FRAMES_PER_CREDIT) {
      this.framesSinceCredit = 0;
      this.queue(CHANNEL_CONTROL, creditOnly());
    }
  }

  private answerControl(payload: Buffer): void {
    const request = parseControlRequest(payload);
    if (request === null) {
      return;
    }
    const { data, action } = this.control.handle(request);
    this.queue(CHANNEL_CONTROL, controlAnswer(request, data));
    switch (action?.kind) {
      case 'join':
        this.air.join(action.ssid, action.passphrase);
        break;
      case 'leave':
        this.leave();
        break;
      case 'scan':
        this.raise(SCAN_ENDED_EVENTS);
        break;
      case 'power_save':
        this.onPowerSave(action.on);
        break;
      case 'gpio':
        if ((action.mask & (1 << LED_PIN)) !== 0) {
          this.setLed((action.values & (1 << LED_PIN)) !== 0);
        }
    }
  }

  private leave(): void {
    if (this.joined) {
      this.joined = false;
      this.air.left('left');
    }
    this.raise(LEFT_EVENTS);
  }

  private setLed(on: boolean): void {
    if (on !== this.ledOn) {
      this.ledOn = on;
      this.onLed(on);
    }
  }

  private raise(events: readonly RadioEvent[]): void {
    for (const event of events) {
      this.queue(CHANNEL_EVENT, withBdcHeader(encodeEvent(event, this.address, this.accessPointAddress)));
    }
  }

  private queue(channel: number, payload: Uint8Array): void {
    this.waiting.push(this.sender.packet(channel, payload));
    this.onInterrupt();
  }
}
