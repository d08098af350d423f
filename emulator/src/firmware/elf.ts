/** ELF, as the linker writes it: for running a firmware straight out of its build directory. */
import { FLASH_ADDRESS, FLASH_BYTES } from '../chip/memory-map.js';
import { FirmwareError, Piece } from './uf2.js';

const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const MACHINE_ARM = 40;
const SEGMENT_LOAD = 1;

export function isElf(file: Buffer): boolean {
  return file.subarray(0, 4).equals(MAGIC);
}

/** The loadable segments at their physical addresses: data that the firmware copies to RAM lies in flash, too. */
export function parseElf(file: Buffer): Piece[] {
  if (file.length < 52 || file[4] !== 1 || file.readUInt16LE(18) !== MACHINE_ARM) {
    throw new FirmwareError('not a 32-bit ELF file for ARM');
  }
  const table = file.readUInt32LE(28);
  const entryBytes = file.readUInt16LE(42);
  const pieces: Piece[] = [];
  for (let index = 0; index < file.readUInt16LE(44); index++) {
    const entry = table + index * entryBytes;
    const length = file.readUInt32LE(entry + 16);
    if (file.readUInt32LE(entry) !== SEGMENT_LOAD || length === 0) {
      continue;
    }
    const start = file.readUInt32LE(entry + 4);
    const offset = file.readUInt32LE(entry + 12) - FLASH_ADDRESS;
    if (offset < 0 || offset + length > FLASH_BYTES) {
      throw new FirmwareError(`segment ${index} lies outside the 2 MiB of flash`);
    }
    pieces.push({ offset, bytes: file.subarray(start, start + length) });
  }
  return pieces;
}
