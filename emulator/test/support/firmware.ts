/** Firmware for tests: a few instructions by hand, and a board to run them on. */
import { Board, BoardSettings } from '../../src/board.js';
import { FLASH_ADDRESS } from '../../src/chip/memory-map.js';
import { b, bx, ldr, ldrLiteral, mov, NOP, str } from '../../src/chip/thumb.js';
import { BOOT_STAGE_2_ADDRESS } from '../../src/chip/rom.js';
import { BoardEvent } from '../../src/events.js';
import { Piece } from '../../src/firmware/uf2.js';
import { Ipv4Address } from '../../src/network/addresses.js';

const VECTORS = FLASH_ADDRESS + 0x100;
const VECTORS_COUNT = 48;
const VTOR = 0xe000ed08;
const STACK = 0x20010000;
const IMAGE_BYTES = 0x10000;

/** Where the code of a test begins. */
export const CODE = FLASH_ADDRESS + 0x200;

export interface TestFirmware {
  /** The instructions at `CODE`, where the processor begins. */
  readonly code: readonly number[];
  /** Handlers, by the number of their exception, and the instructions of each; they are placed after the code. */
  readonly handlers?: Readonly<Record<number, readonly number[]>>;
}

/** Second boot stage, vectors and code, as a linker would place them. */
export function assemble({ code, handlers = {} }: TestFirmware): Piece[] {
  const image = Buffer.alloc(IMAGE_BYTES, 0xff);
  const at = (address: number): number => address - FLASH_ADDRESS;
  writeHalves(image, 0, bootStage2());
  const halt = FLASH_ADDRESS + IMAGE_BYTES - 4;
  writeHalves(image, at(halt), [b(halt, halt)]);
  for (let vector = 0; vector < VECTORS_COUNT; vector++) {
    image.writeUInt32LE(halt | 1, at(VECTORS) + 4 * vector);
  }
  image.writeUInt32LE(STACK, at(VECTORS));
  image.writeUInt32LE(CODE | 1, at(VECTORS) + 4);
  writeHalves(image, at(CODE), code);
  let place = FLASH_ADDRESS + IMAGE_BYTES - 0x400;
  for (const [exception, instructions] of Object.entries(handlers)) {
    image.writeUInt32LE(place | 1, at(VECTORS) + 4 * Number(exception));
    writeHalves(image, at(place), instructions);
    place += 0x80;
  }
  return [{ offset: 0, bytes: image }];
}

/** A word as the two halves an instruction stream holds it in. */
export function word(value: number): [number, number] {
  return [value & 0xffff, value >>> 16];
}

/** A board with the firmware, and what it reports. */
export function boardWith(firmware: TestFirmware, settings: Partial<BoardSettings> = {}): { board: Board; events: BoardEvent[] } {
  const events: BoardEvent[] = [];
  const board = new Board(
    {
      network: {
        accessPoint: { ssid: 'test', passphrase: 'password' },
        tcpForwards: new Map(),
        udpForwards: new Map(),
        names: new Map([['known.test', Ipv4Address.parse('10.0.2.2')]]),
        ntpServers: [],
      },
      host: {
        connector: () => {
          throw new Error('this test has no host');
        },
        wallClock: () => 0,
      },
      seed: 1,
      ...settings,
    },
    assemble(firmware),
    (event) => events.push(event),
  );
  return { board, events };
}

/** A word of the chip's memory or registers, as its processor would read it. */
export function peek(board: Board, address: number): number {
  return board.chipForTests.readUint32(address) >>> 0;
}

/** Sets the vector table, takes the stack pointer from it, and jumps: what a real second stage does after its flash. */
function bootStage2(): number[] {
  const base = BOOT_STAGE_2_ADDRESS;
  const literals = base + 16;
  return [
    ldrLiteral(0, base, literals),
    ldrLiteral(1, base + 2, literals + 4),
    str(0, 1),
    ldr(1, 0),
    mov(13, 1),
    ldr(1, 0, 4),
    bx(1),
    NOP,
    ...word(VECTORS),
    ...word(VTOR),
  ];
}

function writeHalves(image: Buffer, offset: number, halves: readonly number[]): void {
  halves.forEach((half, index) => image.writeUInt16LE(half, offset + 2 * index));
}
