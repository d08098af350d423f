/**
 * Packets between driver and radio firmware: SDPCM around control messages (CDC), events and Ethernet frames (BDC).
 *
 * SDPCM header, 12 bytes, little endian:
 *   length u16, ~length u16, sequence u8, channel u8, next length u8, header length u8, flow control u8, credit u8, 0 u16
 * CDC header, 16 bytes: command u32, length u32, flags u16, id u16, status u32
 * BDC header, 4 bytes: version in the upper half of the first byte, priority, flags, data offset in words
 *
 * Source: the open driver `cyw43` 0.7, `structs.rs`.
 */

export const CHANNEL_CONTROL = 0;
export const CHANNEL_EVENT = 1;
export const CHANNEL_DATA = 2;

const SDPCM_BYTES = 12;
const CDC_BYTES = 16;
const BDC_BYTES = 4;
const BDC_VERSION_2 = 0x20;

/** The radio puts two bytes between the SDPCM header and a frame, which aligns the frame's IP header. */
const FRAME_PADDING_BYTES = 2;

const CDC_FLAG_SET = 2;

/** A packet from the driver. */
export interface HostPacket {
  readonly sequence: number;
  readonly channel: number;
  readonly payload: Buffer;
}

/** A control request: the driver sets or gets something and waits for the answer with the same id. */
export interface ControlRequest {
  readonly command: number;
  readonly set: boolean;
  readonly flags: number;
  readonly id: number;
  readonly data: Buffer;
}

/** Null when the two lengths of the header disagree: the packet did not survive the bus. */
export function parseHostPacket(bytes: Uint8Array): HostPacket | null {
  const packet = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (packet.length < SDPCM_BYTES) {
    return null;
  }
  const length = packet.readUInt16LE(0);
  const headerBytes = packet[7];
  if ((length ^ packet.readUInt16LE(2)) !== 0xffff || headerBytes > length || length > packet.length) {
    return null;
  }
  return { sequence: packet[4], channel: packet[5] & 0xf, payload: packet.subarray(headerBytes, length) };
}

export function parseControlRequest(payload: Buffer): ControlRequest | null {
  if (payload.length < CDC_BYTES) {
    return null;
  }
  const flags = payload.readUInt16LE(8);
  return {
    command: payload.readUInt32LE(0),
    set: (flags & CDC_FLAG_SET) !== 0,
    flags,
    id: payload.readUInt16LE(10),
    data: payload.subarray(CDC_BYTES, CDC_BYTES + payload.readUInt32LE(4)),
  };
}

/** The Ethernet frame in a data packet from the driver. */
export function parseFrame(payload: Buffer): Buffer | null {
  if (payload.length < BDC_BYTES) {
    return null;
  }
  return payload.subarray(BDC_BYTES + 4 * payload[3]);
}

/** The answer to a request. Its status is always success: the driver panics on any other. */
export function controlAnswer(request: ControlRequest, data: Uint8Array): Buffer {
  const answer = Buffer.alloc(CDC_BYTES + data.length);
  answer.writeUInt32LE(request.command, 0);
  answer.writeUInt32LE(data.length, 4);
  answer.writeUInt16LE(request.flags, 8);
  answer.writeUInt16LE(request.id, 10);
  answer.set(data, CDC_BYTES);
  return answer;
}

/** A control message that answers nothing: the driver only reads the credit in its SDPCM header. */
export function creditOnly(): Buffer {
  return Buffer.alloc(CDC_BYTES);
}

export function withBdcHeader(content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([BDC_VERSION_2, 0, 0, 0]), content]);
}

/** Numbers packets to the driver and tells it how many more it may send. */
export class SdpcmSender {
  /** Packets the driver may have under way: it stops at the sequence number we allow, and waits for a higher one. */
  private static readonly CREDIT = 16;

  private sequence = 0;
  private allowed = SdpcmSender.CREDIT;

  /** The driver has used a sequence number: it may use as many more as before. */
  acknowledge(sequence: number): void {
    this.allowed = (sequence + SdpcmSender.CREDIT) & 0xff;
  }

  packet(channel: number, payload: Uint8Array): Buffer {
    const headerBytes = SDPCM_BYTES + (channel === CHANNEL_DATA ? FRAME_PADDING_BYTES : 0);
    const packet = Buffer.alloc(headerBytes + payload.length);
    packet.writeUInt16LE(packet.length, 0);
    packet.writeUInt16LE(~packet.length & 0xffff, 2);
    packet[4] = this.sequence;
    packet[5] = channel;
    packet[7] = headerBytes;
    packet[9] = this.allowed;
    packet.set(payload, headerBytes);
    this.sequence = (this.sequence + 1) & 0xff;
    return packet;
  }
}
