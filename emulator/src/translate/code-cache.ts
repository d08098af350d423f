/** Which code is translated. Translation pays for code that runs often; the rest is interpreted. */
import { RP2040 } from 'rp2040js';
import { Flash } from '../chip/flash.js';
import { FLASH_ADDRESS, FLASH_BYTES } from '../chip/memory-map.js';
import { Port } from './port.js';
import { CodeReader, translateRegion } from './region.js';

type Core = RP2040['core'];

/** Runs a region from one of its blocks, counting cycles on; returns the count at its end. */
export type RegionFunction = (core: Core, block: number, cycles: number, budget: number) => number;

/**
 * How often the processor must come by an address before the code there is translated, unless it is told otherwise.
 *
 * Measured: a boot with a join runs most code a few dozen times, and translating that costs more than it saves.
 */
export const TRANSLATE_AFTER = 200;

/** Flash changes a page at a time; so does what we remember of it. */
const PAGE_SHIFT = 8;

/** Entries of the table: not known, not translatable, or one more than the index of an entry point. */
const UNKNOWN = 0;
const NEVER = -1;

export class CodeCache {
  /** For each halfword of flash one of the above. */
  private readonly entries = new Int32Array(FLASH_BYTES / 2);
  private readonly visits = new Uint8Array(FLASH_BYTES / 2);
  private readonly pagesInUse = new Uint8Array(FLASH_BYTES >> PAGE_SHIFT);

  private functions: RegionFunction[] = [];
  private blocks: number[] = [];

  /** What the last successful `find` found. */
  region: RegionFunction = () => 0;
  block = 0;

  private readonly reader: CodeReader;

  constructor(
    flash: Flash,
    private readonly memory: Uint8Array,
    private readonly port: Port,
    /** See [`TRANSLATE_AFTER`]; the largest number that counts is 255. */
    private readonly translateAfter: number,
  ) {
    const view = new DataView(flash.bytes.buffer);
    const offsetOf = (address: number): number => (address - FLASH_ADDRESS) >>> 0;
    this.reader = {
      half: (address) => (offsetOf(address) <= FLASH_BYTES - 2 ? view.getUint16(offsetOf(address), true) : undefined),
      word: (address) => (offsetOf(address) <= FLASH_BYTES - 4 ? view.getInt32(offsetOf(address), true) : undefined),
    };
    flash.onChange = (offset, length) => this.flashChanged(offset, length);
  }

  /** Whether the code at an address of flash is translated; if so, `region` and `block` say where it is. */
  find(address: number): boolean {
    const at = (address - FLASH_ADDRESS) >>> 1;
    let entry = this.entries[at];
    if (entry === UNKNOWN) {
      if (++this.visits[at] < this.translateAfter) {
        return false;
      }
      this.translate(address);
      entry = this.entries[at];
    }
    if (entry === NEVER) {
      return false;
    }
    this.region = this.functions[entry - 1];
    this.block = this.blocks[entry - 1];
    return true;
  }

  private translate(address: number): void {
    const region = translateRegion(address, this.reader);
    if (region === null) {
      this.entries[(address - FLASH_ADDRESS) >>> 1] = NEVER;
      this.pagesInUse[(address - FLASH_ADDRESS) >>> PAGE_SHIFT] = 1;
      return;
    }
    const { buffer } = this.memory;
    const build = new Function('sram8', 'sram16', 'sram32', 'port', region.source);
    const run = build(this.memory, new Uint16Array(buffer), new Int32Array(buffer), this.port) as RegionFunction;
    region.blocks.forEach(({ start }, block) => {
      const at = (start - FLASH_ADDRESS) >>> 1;
      if (this.entries[at] <= UNKNOWN || start === address) {
        this.functions.push(run);
        this.blocks.push(block);
        this.entries[at] = this.functions.length;
      }
    });
    for (const used of region.reliesOn) {
      this.pagesInUse[(used - FLASH_ADDRESS) >>> PAGE_SHIFT] = 1;
    }
  }

  /** Code that is overwritten is forgotten, and all other with it: firmware does that once, when it is updated. */
  private flashChanged(offset: number, length: number): void {
    const first = offset >>> PAGE_SHIFT;
    const end = (offset + length + (1 << PAGE_SHIFT) - 1) >>> PAGE_SHIFT;
    if (this.pagesInUse.subarray(first, end).some((used) => used !== 0)) {
      this.entries.fill(UNKNOWN);
      this.visits.fill(0);
      this.pagesInUse.fill(0);
      this.functions = [];
      this.blocks = [];
    }
  }
}
