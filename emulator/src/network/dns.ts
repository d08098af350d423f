/** The DNS server: it knows the names it was given and denies all others [RFC 1035]. */
import { Ipv4Address } from './addresses.js';

export const DNS_PORT = 53;

const HEADER_BYTES = 12;
const TYPE_A = 1;
const CLASS_IN = 1;
const TIME_TO_LIVE_SECONDS = 60;

/** Header flags: a response to a standard query, recursion desired and available. */
const FLAGS_RESPONSE = 0x8180;
const RESPONSE_CODE_NAME_ERROR = 3;

export interface DnsQuery {
  readonly id: number;
  readonly name: string;
  readonly type: number;
  /** The question as it came, to be repeated in the answer. */
  readonly question: Buffer;
}

/** Null unless it is a query with one question: no resolver asks several. */
export function parseDnsQuery(payload: Buffer): DnsQuery | null {
  if (payload.length < HEADER_BYTES || (payload[2] & 0x80) !== 0 || payload.readUInt16BE(4) !== 1) {
    return null;
  }
  const labels: string[] = [];
  let at = HEADER_BYTES;
  while (at < payload.length && payload[at] !== 0) {
    const length = payload[at];
    // Lengths from 64 on are pointers, which have no place in a question.
    if (length > 63) {
      return null;
    }
    labels.push(payload.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  if (end > payload.length) {
    return null;
  }
  return {
    id: payload.readUInt16BE(0),
    name: labels.join('.').toLowerCase(),
    type: payload.readUInt16BE(at + 1),
    question: payload.subarray(HEADER_BYTES, end),
  };
}

/** Looks the name up. A known name asked for another type than A gets an answer without records. */
export function answerDns(query: DnsQuery, names: ReadonlyMap<string, Ipv4Address>): Buffer {
  const address = names.get(query.name);
  const records = address !== undefined && query.type === TYPE_A ? [encodeAddress(address)] : [];
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.id, 0);
  header.writeUInt16BE(FLAGS_RESPONSE | (address === undefined ? RESPONSE_CODE_NAME_ERROR : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, query.question, ...records]);
}

function encodeAddress(address: Ipv4Address): Buffer {
  const record = Buffer.alloc(16);
  // The name: a pointer to the question's.
  record.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  record.writeUInt16BE(TYPE_A, 2);
  record.writeUInt16BE(CLASS_IN, 4);
  record.writeUInt32BE(TIME_TO_LIVE_SECONDS, 6);
  record.writeUInt16BE(4, 10);
  record.set(address.bytes, 12);
  return record;
}
