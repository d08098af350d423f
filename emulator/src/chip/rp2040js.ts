/**
 * The parts of rp2040js that we use although its typings call them private or do not export their types.
 *
 * Everything we reach into is named here once, so that a new release of rp2040js is checked against one list.
 */
import { RP2040 } from 'rp2040js';

export type Core = RP2040['core'];
export type Pio = RP2040['pio'][number];
export type Machine = Pio['machines'][number];
export type Uart = RP2040['uart'][number];
export type Peripheral = RP2040['peripherals'][number];

/** Offsets of the peripherals in `RP2040.peripherals`: the address without its low 12 bits. */
export const PERIPHERAL = {
  ssi: 0x18000,
  ioQspi: 0x40018,
  timer: 0x40054,
  watchdog: 0x40058,
  rosc: 0x40060,
  voltageRegulator: 0x40064,
} as const;

/** What a write looked like before rp2040js folded an atomic set, clear or xor into it. */
export function rawWriteValue(peripheral: object): number {
  return (peripheral as { rawWriteValue: number }).rawWriteValue;
}

/** Gives a machine of the PIO its requests for DMA anew, after its queues changed behind its back. */
export function refreshDmaRequests(machine: Machine): void {
  const hidden = machine as unknown as { updateDMATx(): void; updateDMARx(): void };
  hidden.updateDMATx();
  hidden.updateDMARx();
}

/** Lets `chip` live in memories that outlast it; rp2040js allocates its own, marks them read-only, and clears flash. */
export function adoptMemories(chip: RP2040, memories: { flash: Uint8Array; sram: Uint8Array }): void {
  const { flash, sram } = memories;
  Object.assign(chip, {
    flash,
    flash16: new Uint16Array(flash.buffer),
    flashView: new DataView(flash.buffer),
    sram,
    sramView: new DataView(sram.buffer),
  });
}

/** The table below covers all peripherals; what lies above are the processor's own registers, found elsewhere. */
const PERIPHERALS_END = 0x50400000;
const PERIPHERAL_SHIFT = 14;

/**
 * Makes finding a peripheral by its address a look into an array. rp2040js keeps them in an object with large numbers
 * as keys, which was the most expensive part of each access. To be called when all peripherals are in place.
 */
export function indexPeripherals(chip: RP2040): void {
  const table: Peripheral[] = [];
  for (let index = 0; index < PERIPHERALS_END >>> PERIPHERAL_SHIFT; index++) {
    table.push(chip.peripherals[index << 2]);
  }
  chip.findPeripheral = (address) => table[Math.min(address >>> PERIPHERAL_SHIFT, table.length - 1)];
}

export interface WatchdogState {
  reason: number;
  readonly scratchData: Uint32Array;
  onWatchdogTrigger: () => void;
}

export function watchdogOf(chip: RP2040): WatchdogState {
  return chip.peripherals[PERIPHERAL.watchdog] as unknown as WatchdogState;
}
