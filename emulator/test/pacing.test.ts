import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEAD_NANOS_MAX, Pacer } from '../src/pacing.js';

const MS = 1_000_000;

/** Runs a board that only sleeps for `milliseconds` of emulated time; returns how long that took outside. */
function sleepThrough(pacer: Pacer, milliseconds: number): number {
  let emulated = 0;
  let outside = 0;
  while (emulated < milliseconds * MS) {
    if (pacer.mustWait) {
      pacer.waited(5 * MS);
      outside += 5 * MS;
    } else {
      const step = Math.min(pacer.roomNanos, milliseconds * MS - emulated);
      pacer.ran(step, 0);
      emulated += step;
    }
  }
  return outside / MS;
}

function engaged(): Pacer {
  const pacer = new Pacer();
  pacer.engage(true);
  return pacer;
}

test('emulated time never leads by more than the little that is allowed', () => {
  const pacer = engaged();
  pacer.ran(pacer.roomNanos, 0);
  assert.equal(pacer.roomNanos, 0);
  assert.equal(pacer.waitNanos, LEAD_NANOS_MAX);
  pacer.waited(0.25 * MS);
  assert.equal(pacer.roomNanos, 0.25 * MS);
});

test('stretches of running do not get shorter and shorter', () => {
  const pacer = engaged();
  let stretches = 0;
  for (let emulated = 0; emulated < 100 * MS; stretches++) {
    if (pacer.mustWait) {
      pacer.waited(pacer.waitNanos);
    } else {
      emulated += pacer.roomNanos;
      // The host's own bookkeeping takes a little of the time that has passed.
      pacer.ran(pacer.roomNanos, pacer.roomNanos * 0.4);
    }
  }
  assert.ok(stretches < 1000, `${stretches} stretches`);
});

test('sleeping time passes as fast as time outside', () => {
  const outside = sleepThrough(engaged(), 1000);
  assert.ok(Math.abs(outside - 1000) <= 6, `${outside} ms`);
});

test('a slow emulation is not waited for', () => {
  const pacer = engaged();
  for (let slice = 0; slice < 100; slice++) {
    pacer.ran(1 * MS, 4 * MS);
    assert.equal(pacer.waitNanos, 0);
  }
});

test('time lost to slow emulation is not made up for in a burst', () => {
  const pacer = engaged();
  pacer.ran(1000 * MS, 4000 * MS);
  const outside = sleepThrough(pacer, 1000);
  assert.ok(outside >= 994, `${outside} ms`);
});

test('nor is time that was waited before the host was spoken to', () => {
  const pacer = engaged();
  pacer.waited(20 * MS);
  assert.equal(pacer.roomNanos, 20 * MS + LEAD_NANOS_MAX);
  pacer.hostInteraction();
  assert.equal(pacer.roomNanos, LEAD_NANOS_MAX);
});

test('a lead is kept through an interaction: the host has not had that time yet', () => {
  const pacer = engaged();
  pacer.ran(1 * MS, 0);
  pacer.hostInteraction();
  assert.equal(pacer.roomNanos, 0);
});

test('each barrier begins anew', () => {
  const pacer = engaged();
  pacer.ran(1 * MS, 0);
  pacer.engage(false);
  pacer.engage(true);
  assert.equal(pacer.roomNanos, LEAD_NANOS_MAX);
});
