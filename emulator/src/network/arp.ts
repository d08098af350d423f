/** Address resolution [RFC 826]: the gateway is the only neighbour there is. */
import { Ipv4Address, MacAddress } from './addresses.js';

const PACKET_BYTES = 28;
const REQUEST = 1;
const REPLY = 2;

/** The reply to a request for `address`; null for anything else. */
export function answerArp(packet: Buffer, address: Ipv4Address, hardwareAddress: MacAddress): Buffer | null {
  if (packet.length < PACKET_BYTES || packet.readUInt16BE(6) !== REQUEST || !Ipv4Address.at(packet, 24).equals(address)) {
    return null;
  }
  const reply = Buffer.alloc(PACKET_BYTES);
  // Kinds and lengths of the addresses are those of the request.
  packet.copy(reply, 0, 0, 6);
  reply.writeUInt16BE(REPLY, 6);
  reply.set(hardwareAddress.bytes, 8);
  reply.set(address.bytes, 14);
  packet.copy(reply, 18, 8, 18);
  return reply;
}
