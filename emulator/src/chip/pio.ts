import { Machine, Pio, refreshDmaRequests } from './rp2040js.js';

/** [RP2040 datasheet 3.7] Offsets: the control register of the block, and INSTR within the registers of a machine. */
const CTRL = 0x000;
const MACHINE_INSTR = 0x10;

const EXECCTRL_STALLED = 0x80000000;
const SHIFT_COUNT_EMPTY = 32;

/** What drives a state machine in place of its program. */
export interface MachineDriver {
  /** Firmware has enabled or disabled the machine. */
  enabled(enabled: boolean): void;
  /** A word for the machine's transmit queue. */
  transmitted(word: number): void;
  /** Firmware or DMA has taken a word out of the receive queue. */
  received(): void;
}

/**
 * Stops a block from running programs.
 *
 * rp2040js steps them from a timer of the host, unrelated to emulated time. The one program of the firmware shifts
 * words to and from the radio; we move whole words instead ([`driveMachine`]) and need no program at all.
 */
export function stopPrograms(pio: Pio): void {
  pio.run = () => {};
}

/** Puts `driver` in the place of the machine's program. Instructions that firmware executes by hand still run. */
export function driveMachine(pio: Pio, machine: Machine, driver: MachineDriver): void {
  let enabled = false;
  const writeBlock = pio.writeUint32.bind(pio);
  pio.writeUint32 = (offset, value) => {
    writeBlock(offset, value);
    if (offset === CTRL && machine.enabled !== enabled) {
      enabled = machine.enabled;
      driver.enabled(enabled);
    }
  };

  const writeFifo = machine.writeFIFO.bind(machine);
  machine.writeFIFO = (word) => {
    if (machine.enabled) {
      driver.transmitted(word >>> 0);
    } else {
      writeFifo(word);
    }
  };

  const readFifo = machine.readFIFO.bind(machine);
  machine.readFIFO = () => {
    const word = readFifo();
    driver.received();
    return word;
  };

  // An instruction written to INSTR replaces the one a machine is stalled on [RP2040 datasheet 3.5.7], and the shift
  // register is empty whenever our driver has finished; rp2040js stays stalled, and begins with a full register.
  const writeMachine = machine.writeUint32.bind(machine);
  machine.outputShiftCount = SHIFT_COUNT_EMPTY;
  machine.writeUint32 = (offset, value) => {
    if (offset === MACHINE_INSTR) {
      machine.waiting = false;
      machine.execCtrl &= ~EXECCTRL_STALLED;
      machine.outputShiftCount = SHIFT_COUNT_EMPTY;
    }
    writeMachine(offset, value);
  };
  machine.checkWait = () => {};
}

/** Offers a word to firmware. Returns false when the receive queue is full. */
export function offerWord(pio: Pio, machine: Machine, word: number): boolean {
  if (machine.rxFIFO.full) {
    return false;
  }
  machine.rxFIFO.push(word >>> 0);
  refreshDmaRequests(machine);
  pio.checkInterrupts();
  return true;
}

/** Sets one of the block's interrupt flags, as the PIO instruction `irq` does. */
export function raiseFlag(pio: Pio, flag: number): void {
  pio.irq |= 1 << flag;
  pio.irqUpdated();
}
