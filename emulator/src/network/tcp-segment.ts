/** TCP segments [RFC 9293 3.1], and arithmetic on their sequence numbers. */
import { Ipv4Address } from './addresses.js';
import { Ipv4Packet, PROTOCOL_TCP, transportChecksum } from './packets.js';

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;

/** What fits into an Ethernet frame beside the headers of IPv4 and TCP. */
export const SEGMENT_BYTES_MAX = 1460;

const HEADER_BYTES = 20;
const OPTION_END = 0;
const OPTION_NONE = 1;
const OPTION_SEGMENT_BYTES_MAX = 2;

export interface Segment {
  readonly fromPort: number;
  readonly toPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
  /** Only in a SYN: the largest segment its sender takes. */
  readonly segmentBytesMax?: number;
  readonly data: Buffer;
}

export function parseSegment(packet: Ipv4Packet): Segment | null {
  const { payload } = packet;
  if (payload.length < HEADER_BYTES || transportChecksum(packet.from, packet.to, PROTOCOL_TCP, payload) !== 0) {
    return null;
  }
  const headerBytes = (payload[12] >> 4) * 4;
  if (headerBytes < HEADER_BYTES || headerBytes > payload.length) {
    return null;
  }
  const segmentBytesMax = parseSegmentBytesMax(payload.subarray(HEADER_BYTES, headerBytes));
  return {
    fromPort: payload.readUInt16BE(0),
    toPort: payload.readUInt16BE(2),
    sequence: payload.readUInt32BE(4),
    acknowledgement: payload.readUInt32BE(8),
    flags: payload[13],
    window: payload.readUInt16BE(14),
    ...(segmentBytesMax === null ? {} : { segmentBytesMax }),
    data: Buffer.from(payload.subarray(headerBytes)),
  };
}

export function encodeSegment(from: Ipv4Address, to: Ipv4Address, segment: Segment): Buffer {
  const options =
    segment.segmentBytesMax === undefined
      ? []
      : [OPTION_SEGMENT_BYTES_MAX, 4, segment.segmentBytesMax >> 8, segment.segmentBytesMax & 0xff];
  const headerBytes = HEADER_BYTES + options.length;
  const bytes = Buffer.alloc(headerBytes + segment.data.length);
  bytes.writeUInt16BE(segment.fromPort, 0);
  bytes.writeUInt16BE(segment.toPort, 2);
  bytes.writeUInt32BE(segment.sequence, 4);
  bytes.writeUInt32BE(segment.acknowledgement, 8);
  bytes[12] = (headerBytes / 4) << 4;
  bytes[13] = segment.flags;
  bytes.writeUInt16BE(segment.window, 14);
  bytes.set(options, HEADER_BYTES);
  bytes.set(segment.data, headerBytes);
  bytes.writeUInt16BE(transportChecksum(from, to, PROTOCOL_TCP, bytes), 16);
  return bytes;
}

/** How far `later` is ahead of `earlier`, negative when it is behind; sequence numbers wrap at 2^32. */
export function ahead(later: number, earlier: number): number {
  return (later - earlier) | 0;
}

export function advance(sequence: number, by: number): number {
  return (sequence + by) >>> 0;
}

function parseSegmentBytesMax(options: Buffer): number | null {
  for (let at = 0; at < options.length && options[at] !== OPTION_END; ) {
    if (options[at] === OPTION_NONE) {
      at++;
      continue;
    }
    if (options[at] === OPTION_SEGMENT_BYTES_MAX && at + 4 <= options.length) {
      return options.readUInt16BE(at + 2);
    }
    // A length below two would not move on.
    at += Math.max(2, options[at + 1] ?? 2);
  }
  return null;
}
