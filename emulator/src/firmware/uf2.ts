/**
 * UF2, the format in which the board takes firmware: blocks of 512 bytes, each with its address.
 *
 * Block, little endian: magic u32 ×2, flags u32, address u32, payload bytes u32, block number u32, blocks u32,
 * family u32, 476 bytes of payload, magic u32. Source: github.com/microsoft/uf2.
 */
import { FLASH_ADDRESS, FLASH_BYTES } from '../chip/memory-map.js';

const BLOCK_BYTES = 512;
const MAGIC_START_0 = 0x0a324655;
const MAGIC_START_1 = 0x9e5d5157;
const MAGIC_END = 0x0ab16f30;
const PAYLOAD_OFFSET = 32;
const PAYLOAD_BYTES_MAX = 476;

const FLAG_NOT_MAIN_FLASH = 0x0001;
const FLAG_FAMILY_PRESENT = 0x2000;
const FAMILY_RP2040 = 0xe48bff56;


/** A piece of firmware and its place in flash. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Why a file is not firmware for this board. The message says which block is wrong and how. */
export class FirmwareError extends Error {}

/** Reads a whole file. Stricter than the board, which ignores blocks it does not like: here they are mistakes. */
export function parseUf2(file: Buffer): Piece[] {
  if (file.length === 0 || file.length % BLOCK_BYTES !== 0) {
    throw new FirmwareError(`a UF2 file consists of blocks of ${BLOCK_BYTES} bytes; this one has ${file.length} bytes`);
  }
  const blocks = file.length / BLOCK_BYTES;
  const pieces: Piece[] = [];
  for (let number = 0; number < blocks; number++) {
    const block = file.subarray(number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES);
    const piece = parseBlock(block, number, blocks);
    if (piece !== null) {
      pieces.push(piece);
    }
  }
  if (pieces.length === 0) {
    throw new FirmwareError('the file has no block for flash');
  }
  return pieces;
}

function parseBlock(block: Buffer, number: number, blocks: number): Piece | null {
  const wrong = (what: string): FirmwareError => new FirmwareError(`block ${number}: ${what}`);
  const word = (offset: number): number => block.readUInt32LE(offset);
  const hex = (value: number): string => `0x${value.toString(16)}`;

  if (word(0) !== MAGIC_START_0 || word(4) !== MAGIC_START_1 || word(508) !== MAGIC_END) {
    throw wrong('not a UF2 block, its magic numbers are wrong');
  }
  if (word(20) !== number || word(24) !== blocks) {
    throw wrong(`says it is number ${word(20)} of ${word(24)}, but it is number ${number} of ${blocks}`);
  }
  const flags = word(8);
  if ((flags & FLAG_NOT_MAIN_FLASH) !== 0) {
    return null;
  }
  if ((flags & FLAG_FAMILY_PRESENT) === 0 || word(28) !== FAMILY_RP2040) {
    throw wrong(`is for family ${hex(word(28))}, not for the RP2040, ${hex(FAMILY_RP2040)}`);
  }
  const length = word(16);
  if (length === 0 || length > PAYLOAD_BYTES_MAX) {
    throw wrong(`has ${length} bytes of payload`);
  }
  const offset = word(12) - FLASH_ADDRESS;
  if (offset < 0 || offset + length > FLASH_BYTES) {
    throw wrong(`is for address ${hex(word(12))}, outside the 2 MiB of flash at ${hex(FLASH_ADDRESS)}`);
  }
  return { offset, bytes: block.subarray(PAYLOAD_OFFSET, PAYLOAD_OFFSET + length) };
}
