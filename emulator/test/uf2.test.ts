import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FirmwareError, parseUf2 } from '../src/firmware/uf2.js';

interface BlockFields {
  number?: number;
  blocks?: number;
  address?: number;
  family?: number;
  flags?: number;
  magicEnd?: number;
}

function block(fields: BlockFields = {}): Buffer {
  const bytes = Buffer.alloc(512, 0xab);
  bytes.writeUInt32LE(0x0a324655, 0);
  bytes.writeUInt32LE(0x9e5d5157, 4);
  bytes.writeUInt32LE(fields.flags ?? 0x2000, 8);
  bytes.writeUInt32LE(fields.address ?? 0x10000000, 12);
  bytes.writeUInt32LE(256, 16);
  bytes.writeUInt32LE(fields.number ?? 0, 20);
  bytes.writeUInt32LE(fields.blocks ?? 1, 24);
  bytes.writeUInt32LE(fields.family ?? 0xe48bff56, 28);
  bytes.writeUInt32LE(fields.magicEnd ?? 0x0ab16f30, 508);
  return bytes;
}

const refused = (file: Buffer, why: RegExp): void =>
  assert.throws(() => parseUf2(file), (error) => error instanceof FirmwareError && why.test(error.message));

test('each block goes to its address', () => {
  const file = Buffer.concat([block({ blocks: 2 }), block({ number: 1, blocks: 2, address: 0x10001000 })]);
  assert.deepEqual(
    parseUf2(file).map(({ offset, bytes }) => [offset, bytes.length]),
    [
      [0, 256],
      [0x1000, 256],
    ],
  );
});

test('a block that is not for flash is passed over', () => {
  const file = Buffer.concat([block({ blocks: 2, flags: 0x2001 }), block({ number: 1, blocks: 2 })]);
  assert.equal(parseUf2(file).length, 1);
});

test('what is wrong with a file is said', () => {
  refused(Buffer.alloc(0), /blocks of 512 bytes/);
  refused(block().subarray(1), /511 bytes/);
  refused(block({ magicEnd: 0 }), /block 0: .*magic/);
  refused(block({ number: 3 }), /number 3 of 1/);
  refused(Buffer.concat([block({ blocks: 2 }), block({ number: 1, blocks: 3 })]), /block 1: .*number 1 of 3/);
  refused(block({ family: 0xe48bff59 }), /family 0xe48bff59, not for the RP2040/);
  refused(block({ flags: 0 }), /not for the RP2040/);
  refused(block({ address: 0x101fff80 }), /outside the 2 MiB/);
  refused(block({ address: 0x20000000 }), /outside the 2 MiB/);
  refused(block({ flags: 0x2001 }), /no block for flash/);
});
