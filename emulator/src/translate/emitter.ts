/**
 * Writes the JavaScript of one region.
 *
 * In the generated code the registers are the integers `r0` to `r14`, the flags `f` (the last result: N is its sign, Z
 * whether it is zero), `c` and `v` (0 or 1). `cycles` counts up to `budget`. Leaving the loop `run` leaves the region
 * with `pc` as the next address.
 */
import { FLAG_C, FLAG_V, FLAGS_NZ } from './flags.js';
import { SRAM_BYTES } from '../chip/memory-map.js';

const SRAM_WORDS = SRAM_BYTES / 4;
const SRAM_HALVES = SRAM_BYTES / 2;

/** What an instruction must know about where it stands. */
export interface Place {
  readonly address: number;
  readonly next: number;
  /** The flags that something after this instruction reads. */
  readonly liveFlags: number;
  /** Cycles of its block up to and including this instruction. */
  readonly cyclesAfter: number;
}

export class Emitter {
  readonly lines: string[] = [];
  /** Registers the region reads or writes: those it must load on entry. */
  readonly used = new Set<number>();
  readonly written = new Set<number>();

  place: Place = { address: 0, next: 0, liveFlags: 0, cyclesAfter: 0 };

  constructor(
    /** The block that begins at an address, or undefined when the address is outside the region. */
    private readonly blockAt: (address: number) => number | undefined,
    /** Reads a word of flash that may be taken for constant. */
    readonly constantWord: (address: number) => number | undefined,
  ) {}

  line(text: string): void {
    this.lines.push(text);
  }

  /** The name of a register whose value is wanted. The program counter reads as four bytes ahead [ARMv6-M A5.1.2]. */
  read(register: number): string {
    if (register === 15) {
      return `${(this.place.address + 4) | 0}`;
    }
    this.used.add(register);
    return `r${register}`;
  }

  /** Statement that gives a register below the program counter a value. */
  write(register: number, value: string): void {
    this.line(`${this.target(register)} = ${register === 13 ? `(${value}) & ~3` : value};`);
  }

  /** The name of a register that is about to be written. */
  target(register: number): string {
    this.used.add(register);
    this.written.add(register);
    return `r${register}`;
  }

  // --- Flags.

  isLive(flags: number): boolean {
    return (this.place.liveFlags & flags) !== 0;
  }

  /** Gives a register a result and sets N and Z by it. */
  writeResult(register: number, value: string): void {
    this.write(register, value);
    this.resultFlags(`r${register}`);
  }

  resultFlags(value: string): void {
    if (this.isLive(FLAGS_NZ)) {
      this.line(`f = ${value};`);
    }
  }

  carry(value: string): void {
    if (this.isLive(FLAG_C)) {
      this.line(`c = ${value};`);
    }
  }

  /** `left + right`, with all flags. Without a destination only the flags remain. */
  add(destination: number | null, left: string, right: string): void {
    this.arithmetic(destination, left, right, 'a + b | 0', '(s >>> 0) < (a >>> 0) ? 1 : 0', '((a ^ s) & (b ^ s)) >>> 31');
  }

  subtract(destination: number | null, left: string, right: string): void {
    this.arithmetic(destination, left, right, 'a - b | 0', '(a >>> 0) >= (b >>> 0) ? 1 : 0', '((a ^ b) & (a ^ s)) >>> 31');
  }

  /** `left + right + carry`; subtraction with carry adds the complement [ARMv6-M A2.2.1]. */
  addWithCarry(destination: number | null, left: string, right: string): void {
    const carryOut = '((a & b) | ((a | b) & ~s)) >>> 31';
    this.arithmetic(destination, left, right, '(a + b | 0) + c | 0', carryOut, '((a ^ s) & (b ^ s)) >>> 31');
  }

  private arithmetic(destination: number | null, left: string, right: string, sum: string, carry: string, overflow: string): void {
    this.line(`{ const a = ${left}, b = ${right}, s = ${sum};`);
    this.carry(carry);
    if (this.isLive(FLAG_V)) {
      this.line(`v = ${overflow};`);
    }
    this.resultFlags('s');
    if (destination !== null) {
      this.write(destination, 's');
    }
    this.line('}');
  }

  // --- Memory. RAM is accessed in place; all else through the port, after which the region may have to be left.

  load(bytes: 1 | 2 | 4, destination: number, address: string, signed: boolean): void {
    const target = this.target(destination);
    const extend = bytes === 1 ? ' << 24 >> 24' : ' << 16 >> 16';
    const suffix = signed ? extend : '';
    this.line(`{ const a = ${address}, x = a ^ 0x20000000;`);
    this.line(`if (${inRam(bytes)}) ${target} = ${ram(bytes)}${suffix};`);
    this.line(`else { ${target} = port.load${bytes * 8}(a, ${this.portArguments()})${suffix}; ${this.afterAccess()} }`);
    this.line('}');
  }

  store(bytes: 1 | 2 | 4, source: number, address: string): void {
    const value = this.read(source);
    this.line(`{ const a = ${address}, x = a ^ 0x20000000;`);
    this.line(`if (${inRam(bytes)}) ${ram(bytes)} = ${value};`);
    this.line(`else { port.store${bytes * 8}(a, ${value}, ${this.portArguments()}); ${this.afterAccess()} }`);
    this.line('}');
  }

  /**
   * Loads consecutive words from `address` on. `programCounter` takes one more. `afterwards` updates the base, before
   * the region can be left.
   */
  loadMany(registers: readonly number[], address: string, programCounter: boolean, afterwards: string): void {
    const targets = registers.map((register) => this.target(register));
    if (programCounter) {
      targets.push('pc');
    }
    this.many(targets, address, afterwards, {
      inRam: (target, index) => `${target} = sram32[i + ${index}];`,
      elsewhere: (target, index) => `${target} = port.load32(a + ${4 * index} | 0, ${this.portArguments()});`,
    });
  }

  storeMany(registers: readonly number[], address: string, afterwards: string): void {
    const values = registers.map((register) => this.read(register));
    this.many(values, address, afterwards, {
      inRam: (value, index) => `sram32[i + ${index}] = ${value};`,
      elsewhere: (value, index) => `port.store32(a + ${4 * index} | 0, ${value}, ${this.portArguments()});`,
    });
  }

  private many(
    names: readonly string[],
    address: string,
    afterwards: string,
    access: { inRam(name: string, index: number): string; elsewhere(name: string, index: number): string },
  ): void {
    this.line(`{ const a = ${address}, x = a ^ 0x20000000;`);
    this.line(`if ((x & 3) === 0 && (x >>> 0) <= ${SRAM_BYTES - 4 * names.length}) { const i = x >>> 2;`);
    this.line(`${names.map(access.inRam).join(' ')} ${afterwards} }`);
    this.line(`else { ${names.map(access.elsewhere).join(' ')} ${afterwards}`);
    this.line(`${names.includes('pc') ? 'port.left();' : this.afterAccess()} } }`);
  }

  private portArguments(): string {
    return `cycles + ${this.place.cyclesAfter}, ${this.place.address}`;
  }

  /** What a peripheral was told may have raised an interrupt or set an alarm: leave, or run by a new budget. */
  private afterAccess(): string {
    const { cyclesAfter, next } = this.place;
    return `if (port.touched) { if (port.left()) { cycles += ${cyclesAfter}; pc = ${next}; break run; } budget = port.budget; }`;
  }

  // --- Control flow.

  /** Goes on at an address that is known. */
  goTo(address: number, extraCycles: number): void {
    const cycles = this.place.cyclesAfter + extraCycles;
    const block = this.blockAt(address);
    if (block === undefined) {
      this.line(`cycles += ${cycles}; pc = ${address}; break run;`);
      return;
    }
    this.line(`cycles += ${cycles};`);
    if (address <= this.place.address) {
      // Every loop jumps back somewhere: enough to look at the clock there.
      this.line(`if (cycles >= budget) { pc = ${address}; break run; }`);
    }
    this.line(`block = ${block}; continue run;`);
  }

  /** Leaves the region for an address that only the running code knows. */
  leaveTo(value: string): void {
    this.line(`cycles += ${this.place.cyclesAfter}; pc = ${value}; break run;`);
  }
}

function inRam(bytes: 1 | 2 | 4): string {
  switch (bytes) {
    // Turning the low bits of the address to the top makes an address that is not aligned too large as well.
    case 4:
      return `((x >>> 2 | x << 30) >>> 0) < ${SRAM_WORDS}`;
    case 2:
      return `((x >>> 1 | x << 31) >>> 0) < ${SRAM_HALVES}`;
    case 1:
      return `(x >>> 0) < ${SRAM_BYTES}`;
  }
}

function ram(bytes: 1 | 2 | 4): string {
  return bytes === 4 ? 'sram32[x >>> 2]' : bytes === 2 ? 'sram16[x >>> 1]' : 'sram8[x]';
}
