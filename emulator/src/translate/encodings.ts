/**
 * The instructions that are translated: ARMv6-M, less what only the interpreter executes (WFE, WFI, SVC, breakpoints,
 * undefined instructions, and most special registers).
 *
 * A pattern is the encoding as the manual draws it [ARMv6-M A6.7]: letters are fields, spaces are for the eye. Cycles
 * are those of the Cortex-M0+ with the RP2040's single-cycle multiplier [Cortex-M0+ TRM 3.3].
 */
import { Emitter } from './emitter.js';
import { ALL_FLAGS, CONDITIONS, FLAG_C, FLAGS_NZ } from './flags.js';

/** The values of an instruction's fields, by their letter. */
export type Fields = Readonly<Record<string, number>>;

/** How an instruction leaves the row of instructions it stands in. */
export type Flow =
  /** It does not. */
  | 'next'
  /** To a known address, always or on a condition. */
  | 'jump'
  | 'branch'
  /** To a known address, from where it comes back behind the instruction. */
  | 'call'
  /** To an address only known when it runs. */
  | 'leave'
  | 'call and leave';

export interface Encoding {
  readonly name: string;
  readonly pattern: string;
  readonly cycles: number | ((fields: Fields) => number);
  readonly flow?: Flow;
  /** For `jump`, `branch` and `call`: where to. */
  readonly target?: (fields: Fields, address: number) => number;
  readonly reads?: number | ((fields: Fields) => number);
  readonly writes?: number | ((fields: Fields) => number);
  readonly emit: (fields: Fields, emitter: Emitter) => void;
}

const LR = 14;
const SP = 13;

const signed = (value: number, bits: number): number => (value << (32 - bits)) >> (32 - bits);
const registersIn = (mask: number): number[] => [0, 1, 2, 3, 4, 5, 6, 7].filter((register) => (mask & (1 << register)) !== 0);
const count = (mask: number): number => registersIn(mask).length;

/** Shifts by a constant. Zero stands for 32, except for the left shift, where it is a plain move. */
const SHIFTS_BY_CONSTANT: readonly Encoding[] = [
  {
    name: 'lsls rd, rm, #i',
    pattern: '00000 iiiii mmm ddd',
    cycles: 1,
    writes: ({ i }) => (i === 0 ? FLAGS_NZ : FLAGS_NZ | FLAG_C),
    emit: ({ i, m, d }, e) => {
      if (i !== 0) e.carry(`${e.read(m)} >>> ${32 - i} & 1`);
      e.writeResult(d, i === 0 ? e.read(m) : `${e.read(m)} << ${i}`);
    },
  },
  {
    name: 'lsrs rd, rm, #i',
    pattern: '00001 iiiii mmm ddd',
    cycles: 1,
    writes: FLAGS_NZ | FLAG_C,
    emit: ({ i, m, d }, e) => {
      e.carry(`${e.read(m)} >>> ${(i + 31) & 31} & 1`);
      e.writeResult(d, i === 0 ? '0' : `${e.read(m)} >>> ${i} | 0`);
    },
  },
  {
    name: 'asrs rd, rm, #i',
    pattern: '00010 iiiii mmm ddd',
    cycles: 1,
    writes: FLAGS_NZ | FLAG_C,
    emit: ({ i, m, d }, e) => {
      e.carry(`${e.read(m)} >>> ${(i + 31) & 31} & 1`);
      e.writeResult(d, `${e.read(m)} >> ${i === 0 ? 31 : i}`);
    },
  },
];

/** Shifts by the low byte of a register: 0 changes nothing but N and Z, 32 and more shift everything out. */
const SHIFTS_BY_REGISTER: readonly Encoding[] = [
  shiftByRegister('lsls', '010000 0010', {
    small: 'a << n',
    smallCarry: 'a >>> 32 - n & 1',
    large: '0',
    largeCarry: 'n === 32 ? a & 1 : 0',
  }),
  shiftByRegister('lsrs', '010000 0011', {
    small: 'a >>> n | 0',
    smallCarry: 'a >>> n - 1 & 1',
    large: '0',
    largeCarry: 'n === 32 ? a >>> 31 : 0',
  }),
  shiftByRegister('asrs', '010000 0100', {
    small: 'a >> n',
    smallCarry: 'a >>> n - 1 & 1',
    large: 'a >> 31',
    largeCarry: 'a >>> 31',
  }),
  shiftByRegister('rors', '010000 0111', {
    small: '(a >>> n | a << 32 - n) | 0',
    smallCarry: 'a >>> n - 1 & 1',
    // JavaScript takes shift distances modulo 32, as a rotation does.
    large: '(a >>> n | a << 32 - n) | 0',
    largeCarry: '(a >>> (n + 31 & 31)) & 1',
  }),
];

interface RegisterShift {
  readonly small: string;
  readonly smallCarry: string;
  readonly large: string;
  readonly largeCarry: string;
}

function shiftByRegister(name: string, prefix: string, shift: RegisterShift): Encoding {
  return {
    name: `${name} rd, rm`,
    pattern: `${prefix} mmm ddd`,
    cycles: 1,
    // By zero, carry stays what it was.
    reads: FLAG_C,
    writes: FLAGS_NZ,
    emit: ({ m, d }, e) => {
      const target = e.target(d);
      e.line(`{ const a = ${e.read(d)}, n = ${e.read(m)} & 255; let s = a;`);
      e.line(`if (n > 31) { c = ${shift.largeCarry}; s = ${shift.large}; }`);
      e.line(`else if (n > 0) { c = ${shift.smallCarry}; s = ${shift.small}; }`);
      e.line(`${target} = s;`);
      e.resultFlags('s');
      e.line('}');
    },
  };
}

const ARITHMETIC: readonly Encoding[] = [
  arithmetic('adds rd, rn, rm', '0001100 mmm nnn ddd', ({ m, n, d }, e) => e.add(d, e.read(n), e.read(m))),
  arithmetic('subs rd, rn, rm', '0001101 mmm nnn ddd', ({ m, n, d }, e) => e.subtract(d, e.read(n), e.read(m))),
  arithmetic('adds rd, rn, #i', '0001110 iii nnn ddd', ({ i, n, d }, e) => e.add(d, e.read(n), `${i}`)),
  arithmetic('subs rd, rn, #i', '0001111 iii nnn ddd', ({ i, n, d }, e) => e.subtract(d, e.read(n), `${i}`)),
  arithmetic('cmp rn, #i', '00101 nnn iiiiiiii', ({ i, n }, e) => e.subtract(null, e.read(n), `${i}`)),
  arithmetic('adds rd, #i', '00110 ddd iiiiiiii', ({ i, d }, e) => e.add(d, e.read(d), `${i}`)),
  arithmetic('subs rd, #i', '00111 ddd iiiiiiii', ({ i, d }, e) => e.subtract(d, e.read(d), `${i}`)),
  arithmetic('negs rd, rn', '010000 1001 nnn ddd', ({ n, d }, e) => e.subtract(d, '0', e.read(n))),
  arithmetic('cmp rn, rm', '010000 1010 mmm nnn', ({ m, n }, e) => e.subtract(null, e.read(n), e.read(m))),
  arithmetic('cmn rn, rm', '010000 1011 mmm nnn', ({ m, n }, e) => e.add(null, e.read(n), e.read(m))),
  arithmetic('cmp rn, rm, high', '010001 01 h mmmm nnn', ({ h, m, n }, e) =>
    e.subtract(null, e.read(8 * h + n), e.read(m)),
  ),
  {
    ...arithmetic('adcs rd, rm', '010000 0101 mmm ddd', ({ m, d }, e) => e.addWithCarry(d, e.read(d), e.read(m))),
    reads: FLAG_C,
  },
  {
    ...arithmetic('sbcs rd, rm', '010000 0110 mmm ddd', ({ m, d }, e) => e.addWithCarry(d, e.read(d), `~${e.read(m)}`)),
    reads: FLAG_C,
  },
];

function arithmetic(name: string, pattern: string, emit: Encoding['emit']): Encoding {
  return { name, pattern, cycles: 1, writes: ALL_FLAGS, emit };
}

const LOGIC: readonly Encoding[] = [
  logic('movs rd, #i', '00100 ddd iiiiiiii', ({ i, d }, e) => e.writeResult(d, `${i}`)),
  logic('ands rd, rm', '010000 0000 mmm ddd', ({ m, d }, e) => e.writeResult(d, `${e.read(d)} & ${e.read(m)}`)),
  logic('eors rd, rm', '010000 0001 mmm ddd', ({ m, d }, e) => e.writeResult(d, `${e.read(d)} ^ ${e.read(m)}`)),
  logic('tst rn, rm', '010000 1000 mmm nnn', ({ m, n }, e) => e.resultFlags(`${e.read(n)} & ${e.read(m)}`)),
  logic('orrs rd, rm', '010000 1100 mmm ddd', ({ m, d }, e) => e.writeResult(d, `${e.read(d)} | ${e.read(m)}`)),
  logic('muls rd, rn', '010000 1101 nnn ddd', ({ n, d }, e) => e.writeResult(d, `Math.imul(${e.read(d)}, ${e.read(n)})`)),
  logic('bics rd, rm', '010000 1110 mmm ddd', ({ m, d }, e) => e.writeResult(d, `${e.read(d)} & ~${e.read(m)}`)),
  logic('mvns rd, rm', '010000 1111 mmm ddd', ({ m, d }, e) => e.writeResult(d, `~${e.read(m)}`)),
];

function logic(name: string, pattern: string, emit: Encoding['emit']): Encoding {
  return { name, pattern, cycles: 1, writes: FLAGS_NZ, emit };
}

/** Moves, extensions and reversals: no flags. */
const MOVES: readonly Encoding[] = [
  plain('sxth rd, rm', '1011001000 mmm ddd', ({ m, d }, e) => e.write(d, `${e.read(m)} << 16 >> 16`)),
  plain('sxtb rd, rm', '1011001001 mmm ddd', ({ m, d }, e) => e.write(d, `${e.read(m)} << 24 >> 24`)),
  plain('uxth rd, rm', '1011001010 mmm ddd', ({ m, d }, e) => e.write(d, `${e.read(m)} & 0xffff`)),
  plain('uxtb rd, rm', '1011001011 mmm ddd', ({ m, d }, e) => e.write(d, `${e.read(m)} & 0xff`)),
  plain('rev rd, rm', '1011101000 mmm ddd', ({ m, d }, e) => {
    const x = e.read(m);
    e.write(d, `${x} << 24 | (${x} & 0xff00) << 8 | ${x} >>> 8 & 0xff00 | ${x} >>> 24`);
  }),
  plain('rev16 rd, rm', '1011101001 mmm ddd', ({ m, d }, e) => {
    const x = e.read(m);
    e.write(d, `(${x} & 0x00ff00ff) << 8 | ${x} >>> 8 & 0x00ff00ff`);
  }),
  plain('revsh rd, rm', '1011101011 mmm ddd', ({ m, d }, e) => {
    const x = e.read(m);
    e.write(d, `(${x} << 24 >> 16) | ${x} >>> 8 & 0xff`);
  }),
  plain('adr rd, #i', '10100 ddd iiiiiiii', ({ i, d }, e) => e.write(d, `${wordAhead(e, i)}`)),
  plain('add rd, sp, #i', '10101 ddd iiiiiiii', ({ i, d }, e) => e.write(d, `${e.read(SP)} + ${4 * i} | 0`)),
  plain('add sp, #i', '10110000 0 iiiiiii', ({ i }, e) => e.write(SP, `${e.read(SP)} + ${4 * i} | 0`)),
  plain('sub sp, #i', '10110000 1 iiiiiii', ({ i }, e) => e.write(SP, `${e.read(SP)} - ${4 * i} | 0`)),
];

function plain(name: string, pattern: string, emit: Encoding['emit']): Encoding {
  return { name, pattern, cycles: 1, emit };
}

/** With the program counter as destination these are jumps, and come first. */
const HIGH_REGISTERS: readonly Encoding[] = [
  {
    name: 'add pc, rm',
    pattern: '010001 00 1 mmmm 111',
    cycles: 2,
    flow: 'leave',
    emit: ({ m }, e) => e.leaveTo(`${e.read(15)} + ${e.read(m)} & ~1`),
  },
  {
    name: 'mov pc, rm',
    pattern: '010001 10 1 mmmm 111',
    cycles: 2,
    flow: 'leave',
    emit: ({ m }, e) => e.leaveTo(`${e.read(m)} & ~1`),
  },
  plain('add rd, rm', '010001 00 h mmmm ddd', ({ h, m, d }, e) =>
    e.write(8 * h + d, `${e.read(8 * h + d)} + ${e.read(m)} | 0`),
  ),
  plain('mov rd, rm', '010001 10 h mmmm ddd', ({ h, m, d }, e) => e.write(8 * h + d, e.read(m))),
];

const LOADS_AND_STORES: readonly Encoding[] = [
  access('ldr rt, [pc, #i]', '01001 ttt iiiiiiii', ({ t, i }, e) => {
    const address = wordAhead(e, i);
    const constant = e.constantWord(address);
    if (constant === undefined) {
      e.load(4, t, `${address}`, false);
    } else {
      e.write(t, `${constant}`);
    }
  }),
  access('str rt, [rn, rm]', '0101000 mmm nnn ttt', ({ m, n, t }, e) => e.store(4, t, sum(e, n, m))),
  access('strh rt, [rn, rm]', '0101001 mmm nnn ttt', ({ m, n, t }, e) => e.store(2, t, sum(e, n, m))),
  access('strb rt, [rn, rm]', '0101010 mmm nnn ttt', ({ m, n, t }, e) => e.store(1, t, sum(e, n, m))),
  access('ldrsb rt, [rn, rm]', '0101011 mmm nnn ttt', ({ m, n, t }, e) => e.load(1, t, sum(e, n, m), true)),
  access('ldr rt, [rn, rm]', '0101100 mmm nnn ttt', ({ m, n, t }, e) => e.load(4, t, sum(e, n, m), false)),
  access('ldrh rt, [rn, rm]', '0101101 mmm nnn ttt', ({ m, n, t }, e) => e.load(2, t, sum(e, n, m), false)),
  access('ldrb rt, [rn, rm]', '0101110 mmm nnn ttt', ({ m, n, t }, e) => e.load(1, t, sum(e, n, m), false)),
  access('ldrsh rt, [rn, rm]', '0101111 mmm nnn ttt', ({ m, n, t }, e) => e.load(2, t, sum(e, n, m), true)),
  access('str rt, [rn, #i]', '01100 iiiii nnn ttt', ({ i, n, t }, e) => e.store(4, t, offset(e, n, 4 * i))),
  access('ldr rt, [rn, #i]', '01101 iiiii nnn ttt', ({ i, n, t }, e) => e.load(4, t, offset(e, n, 4 * i), false)),
  access('strb rt, [rn, #i]', '01110 iiiii nnn ttt', ({ i, n, t }, e) => e.store(1, t, offset(e, n, i))),
  access('ldrb rt, [rn, #i]', '01111 iiiii nnn ttt', ({ i, n, t }, e) => e.load(1, t, offset(e, n, i), false)),
  access('strh rt, [rn, #i]', '10000 iiiii nnn ttt', ({ i, n, t }, e) => e.store(2, t, offset(e, n, 2 * i))),
  access('ldrh rt, [rn, #i]', '10001 iiiii nnn ttt', ({ i, n, t }, e) => e.load(2, t, offset(e, n, 2 * i), false)),
  access('str rt, [sp, #i]', '10010 ttt iiiiiiii', ({ i, t }, e) => e.store(4, t, offset(e, SP, 4 * i))),
  access('ldr rt, [sp, #i]', '10011 ttt iiiiiiii', ({ i, t }, e) => e.load(4, t, offset(e, SP, 4 * i), false)),
];

function access(name: string, pattern: string, emit: Encoding['emit']): Encoding {
  return { name, pattern, cycles: 2, emit };
}

const sum = (e: Emitter, n: number, m: number): string => `${e.read(n)} + ${e.read(m)} | 0`;
const offset = (e: Emitter, n: number, by: number): string => (by === 0 ? e.read(n) : `${e.read(n)} + ${by} | 0`);

/** The address `words` after the aligned program counter. */
const wordAhead = (e: Emitter, words: number): number => ((e.place.address + 4) & ~3) + 4 * words;

const MANY: readonly Encoding[] = [
  {
    name: 'push {…}',
    pattern: '1011010 l rrrrrrrr',
    cycles: ({ l, r }) => 1 + count(r) + l,
    emit: ({ l, r }, e) => {
      const registers = [...registersIn(r), ...(l === 1 ? [LR] : [])];
      const address = `${e.read(SP)} - ${4 * registers.length} | 0`;
      e.storeMany(registers, address, `${e.target(SP)} = a;`);
    },
  },
  {
    name: 'pop {…, pc}',
    pattern: '1011110 1 rrrrrrrr',
    cycles: ({ r }) => 4 + count(r),
    flow: 'leave',
    emit: ({ r }, e) => {
      e.loadMany(registersIn(r), e.read(SP), true, `${e.target(SP)} = a + ${4 * count(r) + 4} | 0;`);
      e.leaveTo('pc');
    },
  },
  {
    name: 'pop {…}',
    pattern: '1011110 0 rrrrrrrr',
    cycles: ({ r }) => 1 + count(r),
    emit: ({ r }, e) => e.loadMany(registersIn(r), e.read(SP), false, `${e.target(SP)} = a + ${4 * count(r)} | 0;`),
  },
  {
    name: 'stmia rn!, {…}',
    pattern: '11000 nnn rrrrrrrr',
    cycles: ({ r }) => 1 + count(r),
    emit: ({ n, r }, e) => e.storeMany(registersIn(r), e.read(n), `${e.target(n)} = a + ${4 * count(r)} | 0;`),
  },
  {
    name: 'ldmia rn!, {…}',
    pattern: '11001 nnn rrrrrrrr',
    cycles: ({ r }) => 1 + count(r),
    emit: ({ n, r }, e) => {
      // A base that is loaded itself is not written back.
      const writeBack = (r & (1 << n)) === 0 ? `${e.target(n)} = a + ${4 * count(r)} | 0;` : '';
      e.loadMany(registersIn(r), e.read(n), false, writeBack);
    },
  },
];

const BRANCHES: readonly Encoding[] = [
  ...CONDITIONS.map(
    (condition, code): Encoding => ({
      name: `b${condition.name} target`,
      pattern: `1101 ${code.toString(2).padStart(4, '0')} iiiiiiii`,
      cycles: 1,
      flow: 'branch',
      target: ({ i }, address) => address + 4 + 2 * signed(i, 8),
      reads: condition.reads,
      emit: ({ i }, e) => {
        e.line(`if (${condition.test}) {`);
        e.goTo(e.place.address + 4 + 2 * signed(i, 8), 1);
        e.line('}');
      },
    }),
  ),
  {
    name: 'b target',
    pattern: '11100 iiiiiiiiiii',
    cycles: 2,
    flow: 'jump',
    target: ({ i }, address) => address + 4 + 2 * signed(i, 11),
    emit: ({ i }, e) => e.goTo(e.place.address + 4 + 2 * signed(i, 11), 0),
  },
  {
    name: 'bx rm',
    pattern: '010001110 mmmm 000',
    cycles: 2,
    flow: 'leave',
    emit: ({ m }, e) => e.leaveTo(e.read(m)),
  },
  {
    name: 'blx rm',
    pattern: '010001111 mmmm 000',
    cycles: 2,
    flow: 'call and leave',
    emit: ({ m }, e) => {
      e.line(`pc = ${e.read(m)};`);
      e.write(LR, `${e.place.next | 1}`);
      e.leaveTo('pc');
    },
  },
];

/** Hints, barriers, and the interrupt mask. */
const SYSTEM: readonly Encoding[] = [
  plain('nop', '1011111100000000', () => {}),
  plain('sev', '1011111101000000', (_, e) => e.line('core.eventRegistered = true;')),
  plain('cpsid i', '1011011001110010', (_, e) => e.line('core.PM = true;')),
  {
    name: 'cpsie i',
    pattern: '1011011001100010',
    cycles: 1,
    flow: 'leave',
    // An interrupt that was held back comes right after it.
    emit: (_, e) => {
      e.line('core.PM = false; core.interruptsUpdated = true;');
      e.leaveTo(`${e.place.next}`);
    },
  },
];

/** Instructions of two halves; the pattern covers both. */
const WIDE: readonly Encoding[] = [
  {
    name: 'bl target',
    pattern: '11110 s hhhhhhhhhh 11 j 1 k lllllllllll',
    cycles: 3,
    flow: 'call',
    target: callTarget,
    emit: (fields, e) => {
      e.write(LR, `${e.place.next | 1}`);
      e.leaveTo(`${callTarget(fields, e.place.address)}`);
    },
  },
  { name: 'dsb, dmb, isb', pattern: '1111001110111111 10001111 01 bb 1111', cycles: 3, emit: () => {} },
  {
    name: 'mrs rd, primask',
    pattern: '1111001111101111 1000 dddd 00010000',
    cycles: 3,
    emit: ({ d }, e) => e.write(d, 'core.PM ? 1 : 0'),
  },
];

/** [ARMv6-M A6.7.13] Bits 23 and 22 of the distance are stored as their difference from the sign. */
function callTarget({ s, h, j, k, l }: Fields, address: number): number {
  const bit23 = 1 - (s ^ j);
  const bit22 = 1 - (s ^ k);
  return address + 4 + signed((s << 24) | (bit23 << 23) | (bit22 << 22) | (h << 12) | (l << 1), 25);
}

export const NARROW_ENCODINGS: readonly Encoding[] = [
  ...SHIFTS_BY_CONSTANT,
  ...ARITHMETIC,
  ...LOGIC,
  ...SHIFTS_BY_REGISTER,
  ...HIGH_REGISTERS,
  ...MOVES,
  ...LOADS_AND_STORES,
  ...MANY,
  ...BRANCHES,
  ...SYSTEM,
];

export const WIDE_ENCODINGS: readonly Encoding[] = WIDE;

