/**
 * The flash chip of a Pico W: a Winbond W25Q16JV, 2 MiB, whose contents outlast every reset.
 *
 * Times are the typical ones of its data sheet, section 9.6; the processor stands still for them, as it does on the
 * board while the ROM function waits for the chip.
 */

import { FLASH_BYTES } from './memory-map.js';

export const SECTOR_BYTES = 4096;
export const PAGE_BYTES = 256;

/** What rp2040js maps behind the execute-in-place window. Only the first [`FLASH_BYTES`] are the chip. */
const WINDOW_BYTES = 16 * 1024 * 1024;

const ERASED = 0xff;
const SECTOR_ERASE_NANOS = 45_000_000;
const PAGE_PROGRAM_NANOS = 400_000;

export class Flash {
  readonly bytes = new Uint8Array(WINDOW_BYTES).fill(ERASED);

  /** Sectors erased and pages programmed since the start, for a test that watches the wear. */
  sectorsErased = 0;
  pagesProgrammed = 0;

  /** Called with the range that has changed: translated code of that range is stale. */
  onChange: (offset: number, length: number) => void = () => {};

  /** Writes an image, as the UF2 loader of the board does: erased sectors around it, no time passes. */
  load(offset: number, image: Uint8Array): void {
    this.bytes.set(image, offset);
    this.onChange(offset, image.length);
  }

  /** Erases every sector the range touches. Returns how long the chip is busy, in nanoseconds. */
  erase(offset: number, length: number): number {
    const first = Math.floor(offset / SECTOR_BYTES);
    const end = Math.ceil((offset + length) / SECTOR_BYTES);
    for (let sector = first; sector < end; sector++) {
      const at = (sector * SECTOR_BYTES) % FLASH_BYTES;
      this.bytes.fill(ERASED, at, at + SECTOR_BYTES);
      this.onChange(at, SECTOR_BYTES);
    }
    this.sectorsErased += end - first;
    return (end - first) * SECTOR_ERASE_NANOS;
  }

  /**
   * Programs in pages of 256 bytes: bits can only be cleared, and an address past the end of its page wraps to the
   * page's beginning [W25Q16JV 8.2.13]. Returns how long the chip is busy, in nanoseconds.
   */
  program(offset: number, data: Uint8Array): number {
    let pages = 0;
    for (let start = 0; start < data.length; start += PAGE_BYTES) {
      const at = (offset + start) % FLASH_BYTES;
      const page = at - (at % PAGE_BYTES);
      data.subarray(start, start + PAGE_BYTES).forEach((byte, index) => {
        this.bytes[page + ((at + index) % PAGE_BYTES)] &= byte;
      });
      this.onChange(page, PAGE_BYTES);
      pages++;
    }
    this.pagesProgrammed += pages;
    return pages * PAGE_PROGRAM_NANOS;
  }
}
