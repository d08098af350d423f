/**
 * The boot ROM: ours, as small as the firmware allows.
 *
 * The chip's own ROM boots from USB, carries floating-point routines, and starts the second core. This one does what
 * a firmware in flash relies on: it copies the second boot stage to RAM and jumps to it, and it holds the table in
 * which a firmware looks up the functions that erase and program flash. Those functions are single instructions here;
 * the emulator does their work when the processor arrives at one ([`rom-functions.ts`]).
 *
 * Layout of the fixed words: RP2040 datasheet 2.8.2 and 2.8.3.
 */
import { FLASH_ADDRESS } from './memory-map.js';
import { UDF, WFI, beq, bne, bx, b, ldmia, ldrh, ldrLiteral, LowRegister, LR, mov, movs, adds, subs, cmp, cmpRegisters, stmia } from './thumb.js';

export const ROM_BYTES = 16 * 1024;

/** Where the ROM puts the second boot stage: the last 256 bytes of the upper scratch bank. */
export const BOOT_STAGE_2_ADDRESS = 0x20041f00;
export const BOOT_STAGE_2_BYTES = 256;


/** Below the second boot stage, which also uses this stack. */
const INITIAL_STACK_POINTER = BOOT_STAGE_2_ADDRESS;

const HALT = 0x40;
/** Where a test sends a program that is to be stuck: it sleeps and goes nowhere, but interrupts are served. */
export const STUCK = 0x48;
/** Where a test sends a program that is to crash: no instruction at all [ARMv6-M A6.7.72]. */
export const CRASH = 0x4c;
const RESET = 0x50;
const TABLE_LOOKUP = 0x80;
const FUNCTION_TABLE = 0x100;
const FUNCTIONS = 0x200;

/** The codes of the functions in the table, in the order of their addresses from `FUNCTIONS` on, four bytes each. */
export const ROM_FUNCTION_CODES = ['IF', 'EX', 'RE', 'RP', 'FC', 'CX', 'MS', 'S4', 'MC', 'C4', 'UB'] as const;
export type RomFunctionCode = (typeof ROM_FUNCTION_CODES)[number];

export function romFunctionAddress(code: RomFunctionCode): number {
  return FUNCTIONS + 4 * ROM_FUNCTION_CODES.indexOf(code);
}

/** The ROM as the words that rp2040js takes. */
export function buildRom(): Uint32Array {
  const bytes = new Uint8Array(ROM_BYTES);
  const view = new DataView(bytes.buffer);

  // The vectors of reset, NMI and HardFault. Bit 0 marks Thumb code.
  view.setUint32(0x00, INITIAL_STACK_POINTER, true);
  view.setUint32(0x04, RESET | 1, true);
  view.setUint32(0x08, HALT | 1, true);
  view.setUint32(0x0c, HALT | 1, true);

  // The magic 'Mu', the table format 1, and the version of the silicon: 2 is B1, which the Pico W carries.
  bytes.set([0x4d, 0x75, 0x01, 0x02], 0x10);
  view.setUint16(0x14, FUNCTION_TABLE, true);
  view.setUint16(0x16, emptyTableAddress(), true);
  view.setUint16(0x18, TABLE_LOOKUP | 1, true);

  place(view, HALT, [b(HALT, HALT)]);
  place(view, STUCK, [WFI, b(STUCK + 2, STUCK)]);
  place(view, CRASH, [UDF]);
  place(view, RESET, resetCode());
  place(view, TABLE_LOOKUP, tableLookupCode());
  ROM_FUNCTION_CODES.forEach((code, index) => {
    const entry = FUNCTION_TABLE + 4 * index;
    view.setUint8(entry, code.charCodeAt(0));
    view.setUint8(entry + 1, code.charCodeAt(1));
    view.setUint16(entry + 2, romFunctionAddress(code) | 1, true);
    place(view, romFunctionAddress(code), [bx(LR)]);
  });
  return new Uint32Array(bytes.buffer);
}

/** The zero code that ends the function table is also the table of data: there is none. */
function emptyTableAddress(): number {
  return FUNCTION_TABLE + 4 * ROM_FUNCTION_CODES.length;
}

/** Copies the second boot stage and jumps to it with LR = 0, which tells it to go on to the firmware's vectors. */
function resetCode(): number[] {
  const [from, to, words, word]: LowRegister[] = [0, 1, 2, 3];
  const loop = RESET + 6;
  const literals = RESET + 24;
  return [
    ldrLiteral(from, RESET, literals),
    ldrLiteral(to, RESET + 2, literals + 4),
    movs(words, BOOT_STAGE_2_BYTES / 4),
    /* loop: */ ldmia(from, word),
    stmia(to, word),
    subs(words, 1),
    bne(RESET + 12, loop),
    ldrLiteral(to, RESET + 14, literals + 8),
    movs(from, 0),
    mov(LR, from),
    bx(to),
    0,
    ...halves(FLASH_ADDRESS),
    ...halves(BOOT_STAGE_2_ADDRESS),
    ...halves(BOOT_STAGE_2_ADDRESS | 1),
  ];
}

/** `rom_table_lookup(table, code)`: the entry of the code, or zero [RP2040 datasheet 2.8.3]. */
function tableLookupCode(): number[] {
  const [table, code, candidate]: LowRegister[] = [0, 1, 2];
  const found = TABLE_LOOKUP + 16;
  return [
    /* loop: */ ldrh(candidate, table),
    cmpRegisters(candidate, code),
    beq(TABLE_LOOKUP + 4, found),
    adds(table, 4),
    cmp(candidate, 0),
    bne(TABLE_LOOKUP + 10, TABLE_LOOKUP),
    movs(table, 0),
    bx(LR),
    /* found: */ ldrh(table, table, 2),
    bx(LR),
  ];
}

function place(view: DataView, address: number, instructions: readonly number[]): void {
  instructions.forEach((instruction, index) => view.setUint16(address + 2 * index, instruction, true));
}

function halves(word: number): [number, number] {
  return [word & 0xffff, word >>> 16];
}
