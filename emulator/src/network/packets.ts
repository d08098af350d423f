/** Ethernet, IPv4 and UDP: the envelopes. Each parser gives null for what is not well formed. */
import { Ipv4Address, MacAddress } from './addresses.js';

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const UDP_BYTES = 8;
const TIME_TO_LIVE = 64;

export interface EthernetFrame {
  readonly to: MacAddress;
  readonly from: MacAddress;
  readonly type: number;
  readonly payload: Buffer;
}

export interface Ipv4Packet {
  readonly from: Ipv4Address;
  readonly to: Ipv4Address;
  readonly protocol: number;
  readonly payload: Buffer;
}

export interface UdpDatagram {
  readonly fromPort: number;
  readonly toPort: number;
  readonly payload: Buffer;
}

export function parseEthernet(frame: Buffer): EthernetFrame | null {
  if (frame.length < ETHERNET_BYTES) {
    return null;
  }
  return {
    to: new MacAddress(frame.subarray(0, 6)),
    from: new MacAddress(Uint8Array.from(frame.subarray(6, 12))),
    type: frame.readUInt16BE(12),
    payload: frame.subarray(ETHERNET_BYTES),
  };
}

export function encodeEthernet(to: MacAddress, from: MacAddress, type: number, payload: Uint8Array): Buffer {
  const frame = Buffer.alloc(ETHERNET_BYTES + payload.length);
  frame.set(to.bytes, 0);
  frame.set(from.bytes, 6);
  frame.writeUInt16BE(type, 12);
  frame.set(payload, ETHERNET_BYTES);
  return frame;
}

export function parseIpv4(packet: Buffer): Ipv4Packet | null {
  if (packet.length < IPV4_BYTES || packet[0] >> 4 !== 4) {
    return null;
  }
  const headerBytes = (packet[0] & 0xf) * 4;
  const length = packet.readUInt16BE(2);
  if (headerBytes < IPV4_BYTES || length < headerBytes || length > packet.length) {
    return null;
  }
  if (checksum(packet.subarray(0, headerBytes)) !== 0) {
    return null;
  }
  return {
    from: Ipv4Address.at(packet, 12),
    to: Ipv4Address.at(packet, 16),
    protocol: packet[9],
    payload: packet.subarray(headerBytes, length),
  };
}

export function encodeIpv4(packet: Omit<Ipv4Packet, 'payload'> & { payload: Uint8Array }, identification: number): Buffer {
  const bytes = Buffer.alloc(IPV4_BYTES + packet.payload.length);
  bytes[0] = 0x45;
  bytes.writeUInt16BE(bytes.length, 2);
  bytes.writeUInt16BE(identification & 0xffff, 4);
  bytes[8] = TIME_TO_LIVE;
  bytes[9] = packet.protocol;
  bytes.set(packet.from.bytes, 12);
  bytes.set(packet.to.bytes, 16);
  bytes.writeUInt16BE(checksum(bytes.subarray(0, IPV4_BYTES)), 10);
  bytes.set(packet.payload, IPV4_BYTES);
  return bytes;
}

export function parseUdp(packet: Ipv4Packet): UdpDatagram | null {
  const { payload } = packet;
  if (payload.length < UDP_BYTES) {
    return null;
  }
  const length = payload.readUInt16BE(4);
  if (length < UDP_BYTES || length > payload.length) {
    return null;
  }
  // A checksum of zero means that the sender made none [RFC 768].
  if (payload.readUInt16BE(6) !== 0 && transportChecksum(packet.from, packet.to, PROTOCOL_UDP, payload.subarray(0, length)) !== 0) {
    return null;
  }
  return {
    fromPort: payload.readUInt16BE(0),
    toPort: payload.readUInt16BE(2),
    payload: payload.subarray(UDP_BYTES, length),
  };
}

export function encodeUdp(from: Ipv4Address, to: Ipv4Address, datagram: Omit<UdpDatagram, 'payload'> & { payload: Uint8Array }): Buffer {
  const bytes = Buffer.alloc(UDP_BYTES + datagram.payload.length);
  bytes.writeUInt16BE(datagram.fromPort, 0);
  bytes.writeUInt16BE(datagram.toPort, 2);
  bytes.writeUInt16BE(bytes.length, 4);
  bytes.set(datagram.payload, UDP_BYTES);
  // Zero would mean no checksum; its other representation takes its place [RFC 768].
  bytes.writeUInt16BE(transportChecksum(from, to, PROTOCOL_UDP, bytes) || 0xffff, 6);
  return bytes;
}

/** [RFC 1071] The Internet checksum of the chunks in a row, each but the last of even length. Zero when it is right. */
export function checksum(...chunks: readonly Uint8Array[]): number {
  let sum = 0;
  for (const chunk of chunks) {
    for (let index = 0; index < chunk.length; index += 2) {
      sum += (chunk[index] << 8) | (chunk[index + 1] ?? 0);
    }
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  }
  return ~sum & 0xffff;
}

/** The checksum of TCP and UDP, which also covers the addresses [RFC 9293 3.1]. */
export function transportChecksum(from: Ipv4Address, to: Ipv4Address, protocol: number, segment: Uint8Array): number {
  const pseudoHeader = Uint8Array.of(...from.bytes, ...to.bytes, 0, protocol, segment.length >> 8, segment.length & 0xff);
  return checksum(pseudoHeader, segment);
}
