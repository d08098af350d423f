/**
 * The network the device joins: an access point, and behind it one gateway that is also every server.
 *
 * The gateway answers ARP, ping, DHCP, DNS and time requests itself, and leads chosen TCP and UDP ports to the host's
 * loopback. Nothing else exists: no route leads out.
 */
import { EmulatedClock } from '../clock.js';
import { Report } from '../events.js';
import type { Air, JoinOutcome, Radio } from '../radio/radio.js';
import { Random } from '../random.js';
import { AccessPoint, AccessPointSettings } from './access-point.js';
import { Ipv4Address, MacAddress } from './addresses.js';
import { answerArp } from './arp.js';
import { answerDhcp, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpSettings, parseDhcpRequest } from './dhcp.js';
import { answerDns, DNS_PORT, parseDnsQuery } from './dns.js';
import { HostAddress, HostConnector } from './host-stream.js';
import { answerEcho } from './icmp.js';
import { Link } from './link.js';
import {
  encodeEthernet,
  encodeIpv4,
  encodeUdp,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  Ipv4Packet,
  parseEthernet,
  parseIpv4,
  parseUdp,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from './packets.js';
import { answerSntp, NTP_PORT } from './sntp.js';
import { TcpConnection } from './tcp-connection.js';
import { TcpGateway } from './tcp-gateway.js';
import { encodeSegment, parseSegment, Segment } from './tcp-segment.js';
import { UdpForwarder } from './udp-forward.js';

/** Addresses as in QEMU's user network, which people know. */
export const GATEWAY = Ipv4Address.parse('10.0.2.2');
export const STATION = Ipv4Address.parse('10.0.2.15');
const SUBNET_MASK = Ipv4Address.parse('255.255.255.0');
const GATEWAY_MAC = MacAddress.parse('52:54:00:12:35:02');

const LEASE_SECONDS = 86_400;

export type Service = 'dhcp' | 'dns' | 'sntp';
export type Direction = 'to_device' | 'from_device';

export interface NetworkSettings {
  readonly accessPoint: AccessPointSettings;
  readonly tcpForwards: ReadonlyMap<number, HostAddress>;
  readonly udpForwards: ReadonlyMap<number, HostAddress>;
  readonly names: ReadonlyMap<string, Ipv4Address>;
  readonly ntpServers: readonly Ipv4Address[];
  readonly leaseSeconds?: number;
}

/** What of the host the network uses. */
export interface Host {
  readonly connector: HostConnector;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

export class Network implements Air {
  readonly accessPoint: AccessPoint;
  readonly tcp: TcpGateway;
  readonly links: Record<Direction, Link>;

  /** Services that keep silent. */
  readonly silent = new Set<Service>();
  private readonly startedAtUnixMs: number;
  /** How far the time server is wrong, in seconds. */
  sntpOffsetSeconds = 0;

  /** Called when something went to the host or came from it: emulated time must not run away from the answer. */
  onHostInteraction: () => void = () => {};

  private radio: Radio | null = null;
  private joined = false;
  private stationMac = MacAddress.BROADCAST;
  private identification = 0;
  private readonly udp: UdpForwarder;
  private readonly dhcp: DhcpSettings;

  constructor(
    private readonly clock: EmulatedClock,
    random: Random,
    private readonly settings: NetworkSettings,
    host: Host,
    private readonly report: Report,
  ) {
    this.accessPoint = new AccessPoint(clock, settings.accessPoint, (ssid, outcome, secured) =>
      this.joinEnded(ssid, outcome, secured),
    );
    this.links = {
      to_device: new Link(clock, random, (frame) => this.radio?.receive(frame)),
      from_device: new Link(clock, random, (frame) => this.arrived(frame)),
    };
    this.tcp = new TcpGateway(
      clock,
      random,
      settings.tcpForwards,
      this.noticing(host.connector),
      { opened: (connection) => this.tcpOpened(connection), closed: (connection, reason) => this.tcpClosed(connection, reason) },
      (segment) => this.sendSegment(segment),
    );
    this.startedAtUnixMs = host.wallClock();
    this.udp = new UdpForwarder(settings.udpForwards, host.wallClock, (port, devicePort, data) => {
      this.onHostInteraction();
      this.sendUdp(port, devicePort, data, STATION);
    });
    this.dhcp = {
      server: GATEWAY,
      station: STATION,
      subnetMask: SUBNET_MASK,
      leaseSeconds: settings.leaseSeconds ?? LEASE_SECONDS,
      ntpServers: settings.ntpServers,
    };
  }

  static readonly MAC = GATEWAY_MAC;

  attach(radio: Radio): void {
    this.radio = radio;
  }

  /** Whether the host may still send something that would reach the device: the question of the pacing rule. */
  get awaitsHost(): boolean {
    return this.joined && (this.tcp.awaitsHost || this.udp.awaitsHost);
  }

  /** The device has lost all it knew; connections of its former life have no owner. */
  deviceRestarted(): void {
    this.tcp.deviceRestarted();
    this.udp.deviceRestarted();
  }

  /** The access point disappears, or comes back. */
  setPresent(present: boolean): void {
    this.accessPoint.present = present;
    if (!present) {
      this.loseStation();
    }
  }

  /** Throws the station out, as an access point does that restarts. */
  loseStation(): void {
    if (this.joined) {
      this.disconnected();
      this.radio?.linkLost();
      this.report({ event: 'wifi', what: 'link_lost' });
    }
  }

  // --- From the radio.

  join(ssid: string, passphrase: string | null): void {
    this.accessPoint.join(ssid, passphrase);
  }

  left(reason: 'left' | 'power_off'): void {
    this.accessPoint.cancelJoin();
    if (this.joined) {
      this.disconnected();
      this.report({ event: 'wifi', what: reason });
    }
  }

  send(frame: Buffer): void {
    this.links.from_device.send(frame);
  }

  private joinEnded(ssid: string, outcome: JoinOutcome, secured: boolean): void {
    this.joined = outcome === 'joined';
    this.report({ event: 'wifi', what: 'join', ssid, outcome });
    this.radio?.joinEnded(outcome, secured);
  }

  private disconnected(): void {
    this.joined = false;
    this.links.to_device.clear();
    this.links.from_device.clear();
  }

  // --- From the device.

  private arrived(bytes: Buffer): void {
    const frame = parseEthernet(bytes);
    if (frame === null) {
      return;
    }
    this.stationMac = frame.from;
    if (frame.type === ETHERTYPE_ARP) {
      const answer = answerArp(frame.payload, GATEWAY, GATEWAY_MAC);
      if (answer !== null) {
        this.sendFrame(ETHERTYPE_ARP, answer);
      }
    } else if (frame.type === ETHERTYPE_IPV4) {
      const packet = parseIpv4(frame.payload);
      if (packet !== null) {
        this.packet(packet);
      }
    }
  }

  private packet(packet: Ipv4Packet): void {
    const forUs = packet.to.equals(GATEWAY);
    if (packet.protocol === PROTOCOL_UDP && (forUs || packet.to.equals(Ipv4Address.BROADCAST))) {
      this.datagram(packet);
    } else if (packet.protocol === PROTOCOL_TCP && forUs) {
      const segment = parseSegment(packet);
      if (segment !== null) {
        this.tcp.segment(segment);
      }
    } else if (packet.protocol === PROTOCOL_ICMP && forUs) {
      const answer = answerEcho(packet.payload);
      if (answer !== null) {
        this.sendPacket(PROTOCOL_ICMP, answer, packet.from);
      }
    }
  }

  private datagram(packet: Ipv4Packet): void {
    const datagram = parseUdp(packet);
    if (datagram === null) {
      return;
    }
    const { fromPort, toPort, payload } = datagram;
    if (this.udp.datagram(fromPort, toPort, payload)) {
      this.onHostInteraction();
      return;
    }
    switch (toPort) {
      case DHCP_SERVER_PORT:
        this.askedForAddress(payload);
        return;
      case DNS_PORT:
        this.askedForName(payload, fromPort);
        return;
      case NTP_PORT:
        this.askedForTime(payload, fromPort);
    }
  }

  private askedForAddress(payload: Buffer): void {
    const request = parseDhcpRequest(payload);
    if (request === null) {
      return;
    }
    const answered = !this.silent.has('dhcp');
    this.report({ event: 'dhcp', message: request.type, answered });
    const answer = answered ? answerDhcp(request, this.dhcp) : null;
    if (answer !== null) {
      this.sendUdp(DHCP_SERVER_PORT, DHCP_CLIENT_PORT, answer, Ipv4Address.BROADCAST);
    }
  }

  private askedForName(payload: Buffer, devicePort: number): void {
    const query = parseDnsQuery(payload);
    if (query === null) {
      return;
    }
    const answered = !this.silent.has('dns');
    const address = this.settings.names.get(query.name)?.toString() ?? null;
    this.report({ event: 'dns', name: query.name, address, answered });
    if (answered) {
      this.sendUdp(DNS_PORT, devicePort, answerDns(query, this.settings.names), STATION);
    }
  }

  private askedForTime(payload: Buffer, devicePort: number): void {
    // The board's hours may pass in a second outside: two answers must be as far apart as its own clock says.
    const unixMilliseconds = this.startedAtUnixMs + this.clock.milliseconds + this.sntpOffsetSeconds * 1000;
    const answer = answerSntp(payload, unixMilliseconds);
    if (answer === null) {
      return;
    }
    const answered = !this.silent.has('sntp');
    this.report({ event: 'sntp', unix_s: answered ? Math.floor(unixMilliseconds / 1000) : null, answered });
    if (answered) {
      this.sendUdp(NTP_PORT, devicePort, answer, STATION);
    }
  }

  // --- To the device.

  private sendSegment(segment: Segment): void {
    this.sendPacket(PROTOCOL_TCP, encodeSegment(GATEWAY, STATION, segment), STATION);
  }

  private sendUdp(fromPort: number, toPort: number, payload: Uint8Array, to: Ipv4Address): void {
    this.sendPacket(PROTOCOL_UDP, encodeUdp(GATEWAY, to, { fromPort, toPort, payload }), to);
  }

  private sendPacket(protocol: number, payload: Uint8Array, to: Ipv4Address): void {
    this.sendFrame(ETHERTYPE_IPV4, encodeIpv4({ from: GATEWAY, to, protocol, payload }, this.identification++));
  }

  private sendFrame(type: number, payload: Uint8Array): void {
    if (this.joined) {
      this.links.to_device.send(encodeEthernet(this.stationMac, GATEWAY_MAC, type, payload));
    }
  }

  // --- What happens to connections.

  /** A connector that tells us whenever bytes cross between host and emulator. */
  private noticing(connector: HostConnector): HostConnector {
    return (address, listener) => {
      const notice = <Arguments extends unknown[]>(handle: (...args: Arguments) => void) => {
        return (...args: Arguments): void => {
          this.onHostInteraction();
          handle(...args);
        };
      };
      const stream = connector(address, {
        connected: notice(() => listener.connected()),
        data: notice((data) => listener.data(data)),
        ended: notice(() => listener.ended()),
        failed: notice((error) => listener.failed(error)),
        drained: () => listener.drained(),
      });
      this.onHostInteraction();
      return {
        get pendingBytes() {
          return stream.pendingBytes;
        },
        write: notice((data) => stream.write(data)),
        end: notice(() => stream.end()),
        reset: () => stream.reset(),
        pause: () => stream.pause(),
        resume: () => stream.resume(),
      };
    };
  }

  private tcpOpened(connection: TcpConnection): void {
    const { devicePort, port, target } = connection;
    this.report({ event: 'tcp', what: 'open', device_port: devicePort, port, target: `${target.host}:${target.port}` });
  }

  private tcpClosed(connection: TcpConnection, reason: string): void {
    const { devicePort, port, bytesToHost, bytesToDevice } = connection;
    this.report({
      event: 'tcp',
      what: 'close',
      device_port: devicePort,
      port,
      reason,
      bytes_to_host: bytesToHost,
      bytes_to_device: bytesToDevice,
    });
  }
}
