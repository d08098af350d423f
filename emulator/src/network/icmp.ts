/** Ping [RFC 792]. */
import { checksum } from './packets.js';

const HEADER_BYTES = 8;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;

/** The reply to an echo request; null for anything else. */
export function answerEcho(message: Buffer): Buffer | null {
  if (message.length < HEADER_BYTES || message[0] !== ECHO_REQUEST || checksum(message) !== 0) {
    return null;
  }
  const reply = Buffer.from(message);
  reply[0] = ECHO_REPLY;
  reply.writeUInt16BE(0, 2);
  reply.writeUInt16BE(checksum(reply), 2);
  return reply;
}
