import { RP2040 } from 'rp2040js';
import { watchdogOf } from './rp2040js.js';

/**
 * What the watchdog block keeps through a reset that it caused itself [RP2040 datasheet 4.7.4]: the scratch registers,
 * which firmware uses to tell the next boot something, and the reason. Losing power clears both.
 */
export interface WatchdogMemory {
  readonly scratch: Uint32Array;
  /** The REASON register: bit 0 the timer ran out, bit 1 firmware triggered it. */
  reason: number;
}

export const REASON_TIMER = 1;
export const REASON_FORCE = 2;

export function emptyWatchdogMemory(): WatchdogMemory {
  return { scratch: new Uint32Array(8), reason: 0 };
}

/** Starts the block with what the last boot left, and calls `onTrigger` when it wants the chip reset. */
export function installWatchdog(chip: RP2040, memory: WatchdogMemory, onTrigger: () => void): void {
  const watchdog = watchdogOf(chip);
  watchdog.scratchData.set(memory.scratch);
  watchdog.reason = memory.reason;
  watchdog.onWatchdogTrigger = onTrigger;
}

export function readWatchdogMemory(chip: RP2040): WatchdogMemory {
  const watchdog = watchdogOf(chip);
  return { scratch: Uint32Array.from(watchdog.scratchData), reason: watchdog.reason };
}
