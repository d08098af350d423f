/**
 * A region: code that hangs together, translated into one JavaScript function.
 *
 * Beginning with one address it takes in whatever can be reached by jumps to known addresses, and what follows a call,
 * as far as a limit: more or less a function of the firmware, with an entry at each place that is jumped to or
 * returned to. Calls themselves, and returns, leave the region.
 */
import { decode, Instruction } from './decoder.js';
import { Emitter } from './emitter.js';
import { ALL_FLAGS } from './flags.js';

/**
 * Instructions in a region.
 *
 * Measured with a P-256 multiplication and a 2048-bit Montgomery product: beyond some 200 V8's code gets twice as slow,
 * below 60 the changes between regions begin to cost.
 */
const INSTRUCTIONS_MAX = 150;

/** The code to translate, as the processor would fetch it. */
export interface CodeReader {
  /** Undefined outside the memory that is translated. */
  half(address: number): number | undefined;
  word(address: number): number | undefined;
}

export interface Block {
  readonly start: number;
  readonly instructions: readonly Instruction[];
  /** Where it goes on when its last instruction does not jump. */
  readonly end: number;
}

export interface Region {
  readonly blocks: readonly Block[];
  /** The body of the function, for `new Function`. */
  readonly source: string;
  /** Addresses whose contents the translation relies on: instructions, and constants they load. */
  readonly reliesOn: readonly number[];
}

/** Null when not even the first instruction can be translated. */
export function translateRegion(entry: number, reader: CodeReader): Region | null {
  const { instructions, leaders } = discover(entry, reader);
  if (!instructions.has(entry)) {
    return null;
  }
  const blocks = divide(instructions, leaders);
  const indexOf = new Map(blocks.map((block, index) => [block.start, index]));
  const constants: number[] = [];
  const emitter = new Emitter(
    (address) => indexOf.get(address),
    (address) => {
      constants.push(address);
      return reader.word(address);
    },
  );
  const live = liveFlags(blocks, indexOf);
  blocks.forEach((block, index) => emitBlock(emitter, block, index, indexOf, live[index]));
  return {
    blocks,
    source: wrap(emitter),
    reliesOn: [...instructions.keys(), ...constants],
  };
}

/** Follows the code from its entry, breadth first, so that a cut by the limit takes off what is far away. */
function discover(entry: number, reader: CodeReader): { instructions: Map<number, Instruction>; leaders: Set<number> } {
  const instructions = new Map<number, Instruction>();
  const leaders = new Set<number>([entry]);
  const toVisit = [entry];
  for (let address = toVisit.shift(); address !== undefined; address = toVisit.shift()) {
    for (let at = address; !instructions.has(at) && instructions.size < INSTRUCTIONS_MAX; ) {
      const instruction = read(at, reader);
      if (instruction === null) {
        break;
      }
      instructions.set(at, instruction);
      const next = at + instruction.bytes;
      const lead = (to: number): void => {
        leaders.add(to);
        toVisit.push(to);
      };
      if ((instruction.flow === 'jump' || instruction.flow === 'branch') && instruction.target !== null) {
        lead(instruction.target);
      }
      if (instruction.flow === 'call' || instruction.flow === 'call and leave') {
        lead(next);
      }
      if (instruction.flow === 'branch') {
        leaders.add(next);
      } else if (instruction.flow !== 'next') {
        break;
      }
      at = next;
    }
  }
  return { instructions, leaders };
}

function read(address: number, reader: CodeReader): Instruction | null {
  const first = reader.half(address);
  if (first === undefined) {
    return null;
  }
  return decode(address, first, reader.half(address + 2) ?? 0);
}

/** Cuts the instructions into blocks, in the order of their addresses. */
function divide(instructions: ReadonlyMap<number, Instruction>, leaders: ReadonlySet<number>): Block[] {
  const blocks: Block[] = [];
  let current: Instruction[] = [];
  const close = (): void => {
    const last = current.at(-1);
    if (last !== undefined) {
      blocks.push({ start: current[0].address, instructions: current, end: last.address + last.bytes });
    }
    current = [];
  };
  for (const instruction of [...instructions.values()].sort((a, b) => a.address - b.address)) {
    const before = current.at(-1);
    const follows = before !== undefined && before.flow === 'next' && before.address + before.bytes === instruction.address;
    if (!follows || leaders.has(instruction.address)) {
      close();
    }
    current.push(instruction);
  }
  close();
  return blocks;
}

/** The flags that are read after each block before they are written: found by going round until nothing changes. */
function liveFlags(blocks: readonly Block[], indexOf: ReadonlyMap<number, number>): number[] {
  const liveIn = blocks.map(() => 0);
  const liveOut = blocks.map(() => 0);
  for (let changed = true; changed; ) {
    changed = false;
    for (let index = blocks.length - 1; index >= 0; index--) {
      const block = blocks[index];
      let out = 0;
      for (const address of successors(block)) {
        const successor = address === null ? undefined : indexOf.get(address);
        // What is outside the region may read any flag.
        out |= successor === undefined ? ALL_FLAGS : liveIn[successor];
      }
      const into = block.instructions.reduceRight(liveBefore, out);
      if (out !== liveOut[index] || into !== liveIn[index]) {
        liveOut[index] = out;
        liveIn[index] = into;
        changed = true;
      }
    }
  }
  return liveOut;
}

function liveBefore(liveAfter: number, instruction: Instruction): number {
  return (liveAfter & ~instruction.writesFlags) | instruction.readsFlags;
}

/** Null stands for an address that is not known. */
function successors(block: Block): (number | null)[] {
  const last = block.instructions[block.instructions.length - 1];
  switch (last.flow) {
    case 'next':
      return [block.end];
    case 'jump':
      return [last.target];
    case 'branch':
      return [last.target, block.end];
    default:
      return [null];
  }
}

function emitBlock(emitter: Emitter, block: Block, index: number, indexOf: ReadonlyMap<number, number>, liveOut: number): void {
  const { instructions } = block;
  const liveAfter: number[] = [];
  instructions.reduceRight((live, instruction, at) => {
    liveAfter[at] = live;
    return liveBefore(live, instruction);
  }, liveOut);

  emitter.line(`case ${index}:`);
  let cycles = 0;
  instructions.forEach((instruction, at) => {
    cycles += instruction.cycles;
    emitter.place = {
      address: instruction.address,
      next: instruction.address + instruction.bytes,
      liveFlags: liveAfter[at],
      cyclesAfter: cycles,
    };
    instruction.encoding.emit(instruction.fields, emitter);
  });
  const last = instructions[instructions.length - 1];
  if (last.flow === 'next' || last.flow === 'branch') {
    if (indexOf.get(block.end) === index + 1) {
      emitter.line(`cycles += ${cycles};`);
    } else {
      emitter.goTo(block.end, 0);
    }
  }
}

/** The function around the blocks: registers and flags come into local variables, and go back. */
function wrap(emitter: Emitter): string {
  const used = [...emitter.used].sort((a, b) => a - b);
  const written = [...emitter.written].sort((a, b) => a - b);
  return `
return function (core, block, cycles, budget) {
  const registers = core.registers;
  ${used.map((register) => `let r${register} = registers[${register}] | 0;`).join(' ')}
  let f = core.Z ? 0 : core.N ? -1 : 1, c = core.C ? 1 : 0, v = core.V ? 1 : 0;
  let pc = 0;
  run: for (;;) switch (block) {
    ${emitter.lines.join('\n    ')}
  }
  ${written.map((register) => `registers[${register}] = r${register};`).join(' ')}
  core.N = f < 0; core.Z = f === 0; core.C = c !== 0; core.V = v !== 0;
  registers[15] = pc;
  return cycles;
};`;
}
