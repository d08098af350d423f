import { RP2040 } from 'rp2040js';

/** [RP2040 datasheet 2.5.7] Writing ones aborts channels; reading shows which aborts are still under way. */
const CHAN_ABORT = 0x444;

/**
 * Lets CHAN_ABORT read as zero: an abort is over at once.
 *
 * rp2040js answers with all ones, and embassy-rp sets its channel's bit with a read-modify-write when a transfer is
 * dropped; it would abort the transfers of everybody else.
 */
export function installDmaAbort(chip: RP2040): void {
  const { dma } = chip;
  const read = dma.readUint32.bind(dma);
  dma.readUint32 = (offset) => (offset === CHAN_ABORT ? 0 : read(offset));
}
