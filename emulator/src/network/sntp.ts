/** The time server [RFC 4330]: the time of day it is told, at stratum 2. */

export const NTP_PORT = 123;

const PACKET_BYTES = 48;
const MODE_CLIENT = 3;
const MODE_SERVER = 4;
const VERSION_SHIFT = 3;
const STRATUM = 2;

/** From 1900, where NTP begins, to 1970, where Unix time does. */
const SECONDS_1900_TO_1970 = 2_208_988_800;

/** The answer to a client's request at `unixMilliseconds`; null for what is no request. */
export function answerSntp(payload: Buffer, unixMilliseconds: number): Buffer | null {
  if (payload.length < PACKET_BYTES || (payload[0] & 7) !== MODE_CLIENT) {
    return null;
  }
  const version = (payload[0] >> VERSION_SHIFT) & 7;
  const answer = Buffer.alloc(PACKET_BYTES);
  answer[0] = (version << VERSION_SHIFT) | MODE_SERVER;
  answer[1] = STRATUM;
  answer[2] = payload[2];
  // Precision 2^-20 s, and the reference: an address, as for any server of stratum 2 and more.
  answer.writeInt8(-20, 3);
  answer.set([10, 0, 2, 2], 12);
  writeTimestamp(answer, 16, unixMilliseconds);
  // The client recognises its request by the transmit time, which comes back as the originate time.
  payload.copy(answer, 24, 40, 48);
  writeTimestamp(answer, 32, unixMilliseconds);
  writeTimestamp(answer, 40, unixMilliseconds);
  return answer;
}

function writeTimestamp(packet: Buffer, offset: number, unixMilliseconds: number): void {
  const seconds = unixMilliseconds / 1000 + SECONDS_1900_TO_1970;
  packet.writeUInt32BE(Math.floor(seconds) % 2 ** 32, offset);
  packet.writeUInt32BE(Math.floor((seconds % 1) * 2 ** 32), offset + 4);
}
