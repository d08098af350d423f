/** The DHCP server: one lease, for one device [RFC 2131, RFC 2132]. */
import { Ipv4Address, MacAddress } from './addresses.js';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

const BOOTREQUEST = 1;
const BOOTREPLY = 2;
const MAGIC_COOKIE = 0x63825363;
const FIXED_BYTES = 240;

const OPTION_SUBNET_MASK = 1;
const OPTION_ROUTER = 3;
const OPTION_DNS = 6;
const OPTION_NTP = 42;
const OPTION_REQUESTED_ADDRESS = 50;
const OPTION_LEASE_TIME = 51;
const OPTION_MESSAGE_TYPE = 53;
const OPTION_SERVER = 54;
const OPTION_PARAMETERS = 55;
const OPTION_END = 255;

const MESSAGE_TYPES = { 1: 'discover', 3: 'request', 4: 'decline', 7: 'release', 8: 'inform' } as const;
const OFFER = 2;
const ACK = 5;
const NAK = 6;

/** The options a client always gets, in this order; NTP servers only when it asks for them. */
export interface DhcpSettings {
  readonly server: Ipv4Address;
  readonly station: Ipv4Address;
  readonly subnetMask: Ipv4Address;
  readonly leaseSeconds: number;
  /** Time servers for option 42; none leaves the option out. */
  readonly ntpServers: readonly Ipv4Address[];
}

export type DhcpMessageType = (typeof MESSAGE_TYPES)[keyof typeof MESSAGE_TYPES];

export interface DhcpRequest {
  readonly type: DhcpMessageType;
  readonly transaction: number;
  readonly clientAddress: Ipv4Address;
  readonly hardwareAddress: MacAddress;
  readonly options: ReadonlyMap<number, Buffer>;
}

export function parseDhcpRequest(payload: Buffer): DhcpRequest | null {
  if (payload.length < FIXED_BYTES || payload[0] !== BOOTREQUEST || payload.readUInt32BE(236) !== MAGIC_COOKIE) {
    return null;
  }
  const options = parseOptions(payload.subarray(FIXED_BYTES));
  const code = options.get(OPTION_MESSAGE_TYPE)?.[0];
  const type = MESSAGE_TYPES[code as keyof typeof MESSAGE_TYPES];
  if (type === undefined) {
    return null;
  }
  return {
    type,
    transaction: payload.readUInt32BE(4),
    clientAddress: Ipv4Address.at(payload, 12),
    hardwareAddress: new MacAddress(Uint8Array.from(payload.subarray(28, 34))),
    options,
  };
}

/** What a request is answered with; null for one that needs no answer. */
export function answerDhcp(request: DhcpRequest, settings: DhcpSettings): Buffer | null {
  switch (request.type) {
    case 'discover':
      return encodeReply(request, OFFER, settings);
    case 'request':
      return encodeReply(request, wantsOurAddress(request, settings) ? ACK : NAK, settings);
    case 'inform':
      return encodeReply(request, ACK, settings);
    case 'decline':
    case 'release':
      return null;
  }
}

/** A client names the address it wants in option 50, or, when it renews its lease, uses it already. */
function wantsOurAddress(request: DhcpRequest, settings: DhcpSettings): boolean {
  const requested = request.options.get(OPTION_REQUESTED_ADDRESS);
  const wanted = requested?.length === 4 ? Ipv4Address.at(requested, 0) : request.clientAddress;
  return wanted.equals(settings.station);
}

function encodeReply(request: DhcpRequest, type: number, settings: DhcpSettings): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES);
  fixed[0] = BOOTREPLY;
  fixed[1] = 1;
  fixed[2] = 6;
  fixed.writeUInt32BE(request.transaction, 4);
  fixed.set(request.clientAddress.bytes, 12);
  // [RFC 2131 4.3.5] The answer to INFORM gives no address away, and says nothing of a lease.
  const leases = request.type !== 'inform' && type !== NAK;
  if (leases) {
    fixed.set(settings.station.bytes, 16);
  }
  fixed.set(settings.server.bytes, 20);
  fixed.set(request.hardwareAddress.bytes, 28);
  fixed.writeUInt32BE(MAGIC_COOKIE, 236);

  const options: [number, Uint8Array][] = [
    [OPTION_MESSAGE_TYPE, Uint8Array.of(type)],
    [OPTION_SERVER, settings.server.bytes],
  ];
  if (leases) {
    const seconds = Buffer.alloc(4);
    seconds.writeUInt32BE(settings.leaseSeconds);
    options.push([OPTION_LEASE_TIME, seconds]);
  }
  if (type !== NAK) {
    options.push([OPTION_SUBNET_MASK, settings.subnetMask.bytes]);
    options.push([OPTION_ROUTER, settings.server.bytes]);
    options.push([OPTION_DNS, settings.server.bytes]);
    if (settings.ntpServers.length > 0 && asksFor(request, OPTION_NTP)) {
      options.push([OPTION_NTP, Buffer.concat(settings.ntpServers.map((server) => server.bytes))]);
    }
  }
  const encoded = options.map(([code, value]) => Buffer.from([code, value.length, ...value]));
  return Buffer.concat([fixed, ...encoded, Buffer.from([OPTION_END])]);
}

function asksFor(request: DhcpRequest, option: number): boolean {
  return request.options.get(OPTION_PARAMETERS)?.includes(option) ?? false;
}

function parseOptions(bytes: Buffer): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length && bytes[at] !== OPTION_END; ) {
    if (bytes[at] === 0) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    options.set(bytes[at], bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}
