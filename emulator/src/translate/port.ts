/** How translated code reaches everything that is not RAM: flash, the ROM, peripherals. */
import { RP2040 } from 'rp2040js';
import { FLASH_ADDRESS, FLASH_BYTES } from '../chip/memory-map.js';
import { EmulatedClock } from '../clock.js';

/** Cycles of one run of regions at most, so that counting them needs only small integers. */
const BUDGET_MAX = 1 << 28;

export class Port {
  /** An access went beyond memory, and `left` has not been asked since. */
  touched = false;
  /** How many cycles may run in all, until an alarm is due. An access can make it less. */
  budget = 0;

  /** When the present run of regions began. */
  startNanos = 0;

  private untilNanos = 0;
  private nanosPerCycle = 8;
  private readonly flash: DataView;
  private cycles = 0;

  constructor(
    private readonly chip: RP2040,
    private readonly clock: EmulatedClock,
    /** Whether the executor wants the region to end: an interrupt, a reset, a fault. */
    private readonly wanted: () => boolean,
    private readonly fault: (address: number) => void,
  ) {
    this.flash = chip.flashView;
  }

  /** Begins a run of regions: cycles count from here. */
  begin(startNanos: number, untilNanos: number, nanosPerCycle: number): void {
    this.startNanos = startNanos;
    this.untilNanos = untilNanos;
    this.nanosPerCycle = nanosPerCycle;
    this.setBudget();
  }

  /**
   * To be asked after an access that touched a peripheral: whether the region must be left now. If not, `budget` is
   * what is left until the next alarm, which the access may have set.
   */
  left(): boolean {
    this.touched = false;
    this.setBudget();
    return this.budget <= this.cycles || this.wanted();
  }

  private setBudget(): void {
    const nextNanos = Math.min(this.untilNanos, this.clock.nextAlarmNanos);
    this.budget = Math.min(BUDGET_MAX, Math.ceil((nextNanos - this.startNanos) / this.nanosPerCycle));
  }

  load32(address: number, cycles: number, pc: number): number {
    const offset = (address - FLASH_ADDRESS) >>> 0;
    if (offset <= FLASH_BYTES - 4 && (address & 3) === 0) {
      return this.flash.getInt32(offset, true);
    }
    return this.touch(address, 3, cycles, pc) ? this.chip.readUint32(address >>> 0) | 0 : 0;
  }

  load16(address: number, cycles: number, pc: number): number {
    const offset = (address - FLASH_ADDRESS) >>> 0;
    if (offset <= FLASH_BYTES - 2 && (address & 1) === 0) {
      return this.flash.getUint16(offset, true);
    }
    return this.touch(address, 1, cycles, pc) ? this.chip.readUint16(address >>> 0) : 0;
  }

  load8(address: number, cycles: number, pc: number): number {
    const offset = (address - FLASH_ADDRESS) >>> 0;
    if (offset < FLASH_BYTES) {
      return this.flash.getUint8(offset);
    }
    return this.touch(address, 0, cycles, pc) ? this.chip.readUint8(address >>> 0) : 0;
  }

  store32(address: number, value: number, cycles: number, pc: number): void {
    if (this.touch(address, 3, cycles, pc)) {
      this.chip.writeUint32(address >>> 0, value >>> 0);
    }
  }

  store16(address: number, value: number, cycles: number, pc: number): void {
    if (this.touch(address, 1, cycles, pc)) {
      this.chip.writeUint16(address >>> 0, value & 0xffff);
    }
  }

  store8(address: number, value: number, cycles: number, pc: number): void {
    if (this.touch(address, 0, cycles, pc)) {
      this.chip.writeUint8(address >>> 0, value & 0xff);
    }
  }

  /** Brings the clock up to the access, for a peripheral that looks at it. An unaligned access is a fault. */
  private touch(address: number, alignment: number, cycles: number, pc: number): boolean {
    this.touched = true;
    this.cycles = cycles;
    this.clock.nanos = this.startNanos + cycles * this.nanosPerCycle;
    if ((address & alignment) !== 0) {
      this.fault(pc);
      return false;
    }
    return true;
  }
}
