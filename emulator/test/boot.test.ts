import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BOOT_STAGE_2_ADDRESS, romFunctionAddress } from '../src/chip/rom.js';
import { adds, b, beq, bx, cmp, CPSID, CPSIE, ldr, ldrLiteral, LowRegister, LR, mov, movs, NOP, str, subs, WFI } from '../src/chip/thumb.js';
import { boardWith, CODE, peek, word } from './support/firmware.js';

const MS = 1_000_000;
const MARK = 0x20000000;
const WATCHDOG = 0x40058000;
const WATCHDOG_CTRL_ENABLE = 1 << 30;
const WATCHDOG_CTRL_TRIGGER = 0x80000000;

/** Instructions, with literals behind them that they name by index. */
function withLiterals(literals: readonly number[], write: (literal: (rt: LowRegister, index: number, at: number) => number) => number[]): number[] {
  // Twice: once to learn how long the code is.
  const length = write(() => NOP).length;
  const start = CODE + 2 * (length + (length & 1));
  const code = write((rt, index, at) => ldrLiteral(rt, CODE + 2 * at, start + 4 * index));
  return [...code, ...(length & 1 ? [NOP] : []), ...literals.flatMap(word)];
}

const halt = (at: number): number => b(CODE + 2 * at, CODE + 2 * at);

test('the ROM copies the second stage to RAM, and it starts the firmware', () => {
  const { board } = boardWith({
    code: withLiterals([MARK], (literal) => [literal(0, 0, 0), movs(1, 42), str(1, 0), halt(3)]),
  });
  board.run(1 * MS);
  assert.equal(peek(board, MARK), 42);
  assert.equal(peek(board, BOOT_STAGE_2_ADDRESS), peek(board, 0x10000000));
});

test('the ROM has the magic and a table in which its functions are found', () => {
  const { board } = boardWith({
    // Calls rom_table_lookup(table, 'RP') through the pointers in the ROM, as firmware does.
    code: withLiterals([MARK, 0x5052, 0x14, 0x18], (literal) => [
      literal(4, 0, 0),
      literal(1, 1, 1),
      literal(2, 2, 2),
      0x8810, // ldrh r0, [r2]
      literal(3, 3, 4),
      0x881b, // ldrh r3, [r3]
      0x4798, // blx r3
      str(0, 4),
      halt(8),
    ]),
  });
  assert.equal(peek(board, 0x10) & 0xffffff, 0x01754d);
  board.run(1 * MS);
  assert.equal(peek(board, MARK), romFunctionAddress('RP') | 1);
});

test('flash is erased and programmed by the functions of the ROM, and that takes its time', () => {
  const offset = 0x100000;
  const { board } = boardWith({
    code: withLiterals(
      [offset, 4096, romFunctionAddress('RE') | 1, 0x20001000, 256, romFunctionAddress('RP') | 1, 0x12345678],
      (literal) => [
        literal(0, 0, 0),
        literal(1, 1, 1),
        literal(4, 2, 2),
        0x47a0, // blx r4
        literal(1, 3, 4),
        literal(2, 6, 5),
        str(2, 1),
        literal(0, 0, 7),
        literal(2, 4, 8),
        literal(4, 5, 9),
        0x47a0, // blx r4
        halt(11),
      ],
    ),
  });
  board.flash.bytes.fill(0, offset, offset + 4096);
  board.run(44 * MS);
  assert.equal(board.flash.sectorsErased, 1);
  assert.equal(board.flash.pagesProgrammed, 0);
  board.run(60 * MS);
  assert.equal(board.flash.pagesProgrammed, 1);
  assert.equal(Buffer.from(board.flash.bytes.buffer).readUInt32LE(offset), 0x12345678);
});

test('a page is programmed around its end, and bits are only cleared', () => {
  const { flash } = boardWith({ code: [halt(0)] }).board;
  flash.erase(0x1000, 1);
  flash.program(0x10fe, Uint8Array.of(1, 2, 3));
  assert.deepEqual([...flash.bytes.subarray(0x10fe, 0x1100), flash.bytes[0x1000], flash.bytes[0x1100]], [1, 2, 3, 0xff]);
  flash.program(0x10fe, Uint8Array.of(0xfe));
  assert.equal(flash.bytes[0x10fe], 0);
});

/** Counts its boots in RAM and in a scratch register, then starts the watchdog for 1 ms and waits. */
const countsBoots = withLiterals([WATCHDOG, MARK, 2000, WATCHDOG_CTRL_ENABLE], (literal) => [
  literal(0, 0, 0),
  literal(1, 1, 1),
  ldr(2, 1),
  adds(2, 1),
  str(2, 1),
  ldr(2, 0, 0x0c),
  adds(2, 1),
  str(2, 0, 0x0c),
  literal(2, 2, 8),
  str(2, 0, 4),
  literal(2, 3, 10),
  str(2, 0, 0),
  halt(12),
]);

test('the watchdog reboots: RAM, scratch registers and reason stay', () => {
  const { board, events } = boardWith({ code: countsBoots });
  const atFirst = peek(board, MARK);
  board.run(0.9 * MS);
  assert.equal(peek(board, WATCHDOG + 0x0c), 1);
  assert.equal(peek(board, WATCHDOG + 0x08), 0);
  for (let slice = 0; slice < 4; slice++) {
    board.run(3.5 * MS);
  }
  assert.deepEqual(
    events.map((event) => event.event === 'reset' && event.reason),
    ['power', 'watchdog', 'watchdog', 'watchdog'],
  );
  assert.equal(peek(board, WATCHDOG + 0x0c), 4);
  assert.equal(peek(board, WATCHDOG + 0x08), 1);
  assert.equal((peek(board, MARK) - atFirst) >>> 0, 4);
});

test('the watchdog that firmware triggers tells so in its reason', () => {
  const { board, events } = boardWith({
    code: withLiterals([WATCHDOG, WATCHDOG_CTRL_TRIGGER], (literal) => [
      literal(0, 0, 0),
      ldr(1, 0, 8),
      cmp(1, 0),
      beq(CODE + 6, CODE + 10),
      halt(4),
      literal(1, 1, 5),
      str(1, 0),
      halt(7),
    ]),
  });
  board.run(1 * MS);
  board.run(1 * MS);
  assert.equal(peek(board, WATCHDOG + 8), 2);
  assert.deepEqual(events.at(-1), { event: 'reset', reason: 'watchdog_forced', boot: 2 });
});

test('losing power loses RAM and scratch registers, flash stays', () => {
  const { board, events } = boardWith({ code: countsBoots });
  board.run(0.9 * MS);
  board.flash.bytes[0x1f0000] = 7;
  const before = peek(board, MARK);
  board.cutPower(100);
  assert.equal(board.clock.nanos >= 100 * MS, true);
  assert.notEqual(peek(board, MARK), before);
  assert.equal(peek(board, WATCHDOG + 0x0c), 0);
  assert.equal(board.flash.bytes[0x1f0000], 7);
  assert.deepEqual(events.at(-1), { event: 'reset', reason: 'power', boot: 2 });
});

test('an interrupt that software raises preempts, and waits while masked', () => {
  const NVIC_ENABLE = 0xe000e100;
  const NVIC_PEND = 0xe000e200;
  const software = 1 << 27;
  const { board } = boardWith({
    code: withLiterals([NVIC_ENABLE, NVIC_PEND, software, MARK], (literal) => [
      literal(0, 0, 0),
      literal(1, 1, 1),
      literal(2, 2, 2),
      literal(3, 3, 3),
      movs(4, 0),
      str(4, 3),
      str(2, 0),
      CPSID,
      str(2, 1),
      NOP,
      ldr(5, 3), // still 0
      str(5, 3, 4),
      CPSIE,
      NOP,
      ldr(5, 3), // the handler has run
      str(5, 3, 8),
      halt(16),
    ]),
    handlers: { [16 + 27]: [ldr(4, 3), adds(4, 1), str(4, 3), bx(LR)] },
  });
  board.run(1 * MS);
  assert.deepEqual([peek(board, MARK), peek(board, MARK + 4), peek(board, MARK + 8)], [1, 0, 1]);
});

test('an interrupt wakes a core that sleeps with interrupts masked, without running its handler', () => {
  const TIMER = 0x40054000;
  const { board } = boardWith({
    code: withLiterals([0xe000e100, TIMER, MARK], (literal) => [
      CPSID,
      literal(0, 0, 1),
      literal(1, 1, 2),
      literal(3, 2, 3),
      movs(2, 1),
      str(2, 0), // enable interrupt 0
      str(2, 1, 0x38), // and in the timer
      ldr(4, 1, 0x28),
      adds(4, 200),
      str(4, 1, 0x10), // alarm 0 in 200 µs
      movs(5, 0),
      str(5, 3),
      WFI,
      movs(5, 1),
      str(5, 3),
      halt(15),
    ]),
    handlers: { 16: [movs(5, 9), str(5, 3), bx(LR)] },
  });
  board.run(0.15 * MS);
  assert.equal(peek(board, MARK), 0);
  board.run(0.5 * MS);
  assert.equal(peek(board, MARK), 1);
});

test('an undefined instruction is a HardFault, and a fault in its handler locks up', () => {
  const handled = boardWith({
    code: withLiterals([MARK], (literal) => [literal(3, 0, 0), 0xde00, halt(2)]),
    handlers: { 3: [movs(0, 3), str(0, 3), b(0, 0)] },
  });
  handled.board.run(1 * MS);
  assert.equal(peek(handled.board, MARK), 3);
  assert.deepEqual(handled.events.at(-1), { event: 'fault', what: 'hard_fault', pc: `0x${(CODE + 2).toString(16)}` });

  const locked = boardWith({ code: [0xde00], handlers: { 3: [0xde00] } });
  locked.board.run(1 * MS);
  assert.deepEqual(
    locked.events.map((event) => event.event === 'fault' && event.what),
    [false, 'hard_fault', 'hard_fault', 'lockup'],
  );
});

test('a program that is sent to crash takes a HardFault', () => {
  const { board, events } = boardWith({ code: [halt(0)] });
  board.run(1 * MS);
  board.crash();
  board.run(2 * MS);
  const fault = events.at(-1);
  assert.equal(fault?.event === 'fault' && fault.what, 'hard_fault');
});

test('a loop of a million rounds gives the same, interpreted and translated', () => {
  const code = withLiterals([MARK, 1_000_000], (literal) => [
    literal(3, 0, 0),
    literal(0, 1, 1),
    movs(1, 7),
    0x1849, // adds r1, r1, r1
    0x4041, // eors r1, r0
    subs(0, 1),
    0xd1fb, // bne -3
    str(1, 3),
    mov(2, 1),
    halt(9),
  ]);
  const results = [Infinity, 200].map((translateAfter) => {
    const { board } = boardWith({ code }, { translateAfter });
    while (board.clock.milliseconds < 50) {
      board.run(board.clock.nanos + MS);
    }
    return peek(board, MARK);
  });
  assert.equal(results[0], results[1]);
});
