import { BasePeripheral, RP2040 } from 'rp2040js';
import { Random } from '../random.js';
import { PERIPHERAL } from './rp2040js.js';

/** [RP2040 datasheet 2.17.8] The ring oscillator's registers that firmware reads. */
const STATUS = 0x18;
const RANDOMBIT = 0x1c;

/** STATUS: stable and enabled. */
const STATUS_RUNNING = 0x80001000;

/**
 * Gives the ring oscillator its random bit.
 *
 * rp2040js reads it as a constant one; key generation that draws until a number fits would then never end.
 */
export function installRingOscillator(chip: RP2040, random: Random): void {
  chip.peripherals[PERIPHERAL.rosc] = new RingOscillator(chip, random);
}

class RingOscillator extends BasePeripheral {
  constructor(
    chip: RP2040,
    private readonly random: Random,
  ) {
    super(chip, 'ROSC');
  }

  override readUint32(offset: number): number {
    switch (offset) {
      case RANDOMBIT:
        return this.random.next() >>> 31;
      case STATUS:
        return STATUS_RUNNING;
      default:
        return 0;
    }
  }

  override writeUint32(): void {
    // Its frequency and dividers have no effect here: the system clock comes from the crystal.
  }
}
