/**
 * Events from the radio: what the driver hears about joining and losing a network.
 *
 * An event travels as an Ethernet frame of type 0x886c with Broadcom's identifier, then 48 bytes, big endian:
 *   version u16, flags u16, type u32, status u32, reason u32, auth type u32, data length u32, address 6, interface 16, 2
 *
 * Source: the open driver `cyw43` 0.7, `structs.rs` and `events.rs`; what each one makes it do, `runner.rs`.
 */
import { MacAddress } from '../network/addresses.js';

export interface RadioEvent {
  readonly type: number;
  readonly status?: number;
  readonly reason?: number;
  readonly flags?: number;
}

const SET_SSID = 0;
const JOIN = 1;
const AUTHENTICATED = 3;
const DEAUTHENTICATED = 5;
const ASSOCIATED = 7;
const LINK = 16;
const KEY_EXCHANGE = 46;
const SCAN_RESULT = 69;

const SUCCESS = 0;
const NO_NETWORKS = 3;

/** Statuses of KEY_EXCHANGE, which has its own: the key is agreed; the access point went away in the middle. */
const KEY_AGREED = 6;
const KEY_TIMEOUT = 8;

/** Reasons: a frame of the handshake did not come, the message integrity code was wrong as with a wrong passphrase. */
const REASON_HANDSHAKE = 15;
const REASON_SIGNAL_LOST = 1;
const REASON_LEFT = 2;

/** A join that succeeds, in the order of the chip. An open network has no key exchange. */
export function joinedEvents(secured: boolean): RadioEvent[] {
  return [
    { type: AUTHENTICATED, status: SUCCESS },
    { type: ASSOCIATED, status: SUCCESS },
    { type: JOIN, status: SUCCESS },
    { type: LINK, status: SUCCESS, flags: 1 },
    ...(secured ? [{ type: KEY_EXCHANGE, status: KEY_AGREED }] : []),
    { type: SET_SSID, status: SUCCESS },
  ];
}

export const NETWORK_NOT_FOUND_EVENTS: RadioEvent[] = [{ type: SET_SSID, status: NO_NETWORKS }];

export const WRONG_PASSPHRASE_EVENTS: RadioEvent[] = [
  { type: AUTHENTICATED, status: SUCCESS },
  { type: ASSOCIATED, status: SUCCESS },
  { type: KEY_EXCHANGE, status: KEY_TIMEOUT, reason: REASON_HANDSHAKE },
];

/** The access point is gone. */
export const LINK_LOST_EVENTS: RadioEvent[] = [
  { type: DEAUTHENTICATED, status: SUCCESS, reason: REASON_SIGNAL_LOST },
  { type: LINK, status: SUCCESS, flags: 0, reason: REASON_SIGNAL_LOST },
];

/** The device has left by itself. */
export const LEFT_EVENTS: RadioEvent[] = [{ type: LINK, status: SUCCESS, flags: 0, reason: REASON_LEFT }];

/** The end of a scan. Results are not modelled: a scan finds nothing. */
export const SCAN_ENDED_EVENTS: RadioEvent[] = [{ type: SCAN_RESULT, status: SUCCESS }];

const ETHERTYPE_BROADCOM = 0x886c;
const SUBTYPE_VENDOR_LONG = 0x8001;
const BROADCOM = [0x00, 0x10, 0x18];
const EVENT_BYTES = 48;

export function encodeEvent(event: RadioEvent, station: MacAddress, accessPoint: MacAddress): Buffer {
  const frame = Buffer.alloc(14 + 10 + EVENT_BYTES);
  frame.set(station.bytes, 0);
  frame.set(accessPoint.bytes, 6);
  frame.writeUInt16BE(ETHERTYPE_BROADCOM, 12);

  frame.writeUInt16BE(SUBTYPE_VENDOR_LONG, 14);
  frame.writeUInt16BE(EVENT_BYTES, 16);
  frame.set(BROADCOM, 19);
  frame.writeUInt16BE(1, 22);

  frame.writeUInt16BE(2, 24);
  frame.writeUInt16BE(event.flags ?? 0, 26);
  frame.writeUInt32BE(event.type, 28);
  frame.writeUInt32BE(event.status ?? SUCCESS, 32);
  frame.writeUInt32BE(event.reason ?? 0, 36);
  frame.set(accessPoint.bytes, 48);
  frame.write('wl0', 54, 'latin1');
  return frame;
}
