/** A device on the emulated network without a chip: it joins at once, and its frames are made by the test. */
import { EmulatedClock } from '../../src/clock.js';
import { BoardEvent } from '../../src/events.js';
import { Ipv4Address, MacAddress } from '../../src/network/addresses.js';
import { HostAddress, HostConnector, HostListener, HostStream } from '../../src/network/host-stream.js';
import { GATEWAY, Network, STATION } from '../../src/network/network.js';
import {
  encodeEthernet,
  encodeIpv4,
  encodeUdp,
  ETHERTYPE_IPV4,
  parseEthernet,
  parseIpv4,
  parseUdp,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '../../src/network/packets.js';
import { encodeSegment, parseSegment, Segment } from '../../src/network/tcp-segment.js';
import type { Radio } from '../../src/radio/radio.js';
import { Random } from '../../src/random.js';

const DEVICE_MAC = MacAddress.parse('28:cd:c1:00:00:01');
const MS = 1_000_000;

/** The far end of a connection, in place of a server on the host. */
export class FakeStream implements HostStream {
  pendingBytes = 0;
  received = '';
  ended = false;
  wasReset = false;
  paused = false;

  constructor(
    readonly address: HostAddress,
    readonly listener: HostListener,
  ) {}

  write(data: Buffer): void {
    this.received += data.toString('latin1');
  }

  end(): void {
    this.ended = true;
  }

  reset(): void {
    this.wasReset = true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }
}

export class Device {
  readonly clock = new EmulatedClock();
  readonly events: BoardEvent[] = [];
  readonly frames: Buffer[] = [];
  readonly streams: FakeStream[] = [];
  readonly network: Network;

  constructor(wallClock: () => number = () => 0) {
    const connector: HostConnector = (address, listener) => {
      const stream = new FakeStream(address, listener);
      this.streams.push(stream);
      return stream;
    };
    this.network = new Network(
      this.clock,
      new Random(1),
      {
        accessPoint: { ssid: 'test', passphrase: null },
        tcpForwards: new Map([[8883, { host: '127.0.0.1', port: 40000 }]]),
        udpForwards: new Map(),
        names: new Map([['broker.test', GATEWAY]]),
        ntpServers: [GATEWAY],
      },
      { connector, wallClock },
      (event) => this.events.push(event),
    );
    this.network.attach({
      receive: (frame: Buffer) => this.frames.push(Buffer.from(frame)),
      joinEnded: () => {},
      linkLost: () => {},
    } as unknown as Radio);
    this.network.join('test', null);
    this.wait(1000);
  }

  wait(milliseconds: number): void {
    this.clock.advanceTo(this.clock.nanos + milliseconds * MS);
  }

  sendFrame(type: number, payload: Uint8Array): void {
    this.network.send(encodeEthernet(MacAddress.BROADCAST, DEVICE_MAC, type, payload));
    this.wait(5);
  }

  sendUdp(fromPort: number, toPort: number, payload: Uint8Array, to: Ipv4Address = GATEWAY): void {
    const datagram = encodeUdp(STATION, to, { fromPort, toPort, payload });
    this.sendFrame(ETHERTYPE_IPV4, encodeIpv4({ from: STATION, to, protocol: PROTOCOL_UDP, payload: datagram }, 1));
  }

  /** The payloads of the datagrams that have come since the last call. */
  takeUdp(): Buffer[] {
    return this.takePackets(PROTOCOL_UDP).map((packet) => parseUdp(packet)!.payload);
  }

  sendTcp(segment: Partial<Segment>): void {
    const whole: Segment = {
      fromPort: 50000,
      toPort: 8883,
      sequence: 0,
      acknowledgement: 0,
      flags: 0,
      window: 4096,
      data: Buffer.alloc(0),
      ...segment,
    };
    const payload = encodeSegment(STATION, GATEWAY, whole);
    this.sendFrame(ETHERTYPE_IPV4, encodeIpv4({ from: STATION, to: GATEWAY, protocol: PROTOCOL_TCP, payload }, 1));
  }

  takeTcp(): Segment[] {
    return this.takePackets(PROTOCOL_TCP).map((packet) => parseSegment(packet)!);
  }

  private takePackets(protocol: number) {
    return this.frames
      .splice(0)
      .map((frame) => parseIpv4(parseEthernet(frame)!.payload))
      .filter((packet) => packet !== null && packet.protocol === protocol)
      .map((packet) => packet!);
  }
}
