import { readFileSync } from 'node:fs';
import { isElf, parseElf } from './elf.js';
import { parseUf2, Piece } from './uf2.js';

/** Reads firmware, UF2 or ELF, by what the file contains rather than by its name. */
export function readFirmware(path: string): Piece[] {
  const file = readFileSync(path);
  return isElf(file) ? parseElf(file) : parseUf2(file);
}
