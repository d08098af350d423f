import { BasePeripheral, RP2040 } from 'rp2040js';

/**
 * A peripheral that only remembers: registers read back what was written, and read as zero before that.
 *
 * For blocks that firmware configures but whose effect the emulator does not need, such as the pads of the flash chip.
 */
export class PlainRegisters extends BasePeripheral {
  private readonly values = new Map<number, number>();

  constructor(chip: RP2040, name: string, initial: readonly (readonly [offset: number, value: number])[] = []) {
    super(chip, name);
    for (const [offset, value] of initial) {
      this.values.set(offset, value);
    }
  }

  override readUint32(offset: number): number {
    return this.values.get(offset) ?? 0;
  }

  override writeUint32(offset: number, value: number): void {
    this.values.set(offset, value >>> 0);
  }
}
