/** The pacing rule in the main loop: with a real board, a fake host, and a clock outside that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { b, WFI } from '../src/chip/thumb.js';
import { Runner } from '../src/runner.js';
import { boardWith, CODE } from './support/firmware.js';

/** Firmware that sleeps for ever: nothing of its own is ever due. */
const SLEEPS = { code: [WFI, b(CODE + 2, CODE)] };

test('an outage of two minutes passes in a moment', async () => {
  const { board } = boardWith(SLEEPS);
  let outside = 0n;
  const runner = new Runner(board, () => Number((outside += 1000n)), Infinity);
  board.clock.createAlarm(() => runner.stop()).schedule(120_000 * 1e6);
  await runner.run();
  assert.ok(board.clock.milliseconds >= 120_000);
  assert.ok(outside < 5_000_000_000n);
});

test('with a limit to its speed, emulated time keeps to it', async () => {
  const { board } = boardWith(SLEEPS);
  const start = process.hrtime.bigint();
  const runner = new Runner(board, () => Number(process.hrtime.bigint()), 10);
  board.clock.createAlarm(() => runner.stop()).schedule(500 * 1e6);
  await runner.run();
  const outsideMs = Number(process.hrtime.bigint() - start) / 1e6;
  assert.ok(outsideMs >= 45, `${outsideMs} ms`);
});

test('what is asked of the board is done between two stretches of running', async () => {
  const { board, events } = boardWith(SLEEPS);
  const runner = new Runner(board, () => 0, Infinity);
  runner.between(() => board.cutPower());
  runner.between(() => runner.stop());
  await runner.run();
  assert.deepEqual(events.at(-1), { event: 'reset', reason: 'power', boot: 2 });
});

