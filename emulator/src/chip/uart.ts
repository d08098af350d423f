import { Uart } from './rp2040js.js';

/** [RP2040 datasheet 4.2.8] Data register, and the interrupt bit of the transmit queue. */
const UARTDR = 0x000;
const TRANSMIT_INTERRUPT = 1 << 5;

/** A line longer than this is cut: a device that never ends its line must not fill the host's memory. */
const LINE_BYTES_MAX = 4096;

interface UartInterrupts {
  interruptStatus: number;
  interruptMask: number;
  irq: number;
}

/**
 * Makes the transmit interrupt an event instead of a state.
 *
 * Bytes leave at once here, so the queue is always empty. rp2040js therefore reports the transmit interrupt for ever
 * and a buffered driver, which clears it and expects silence until it sends again, would never leave its handler. On
 * the chip it fires when the queue drains past its threshold [RP2040 datasheet 4.2.6.3]: after each write, here.
 */
export function installUartTransmit(uart: Uart): void {
  const state = uart as unknown as UartInterrupts;
  const { rp2040 } = uart as unknown as { rp2040: { setInterrupt(irq: number, value: boolean): void } };
  uart.checkInterrupts = () => {
    rp2040.setInterrupt(state.irq, (state.interruptStatus & state.interruptMask) !== 0);
  };
  const write = uart.writeUint32.bind(uart);
  uart.writeUint32 = (offset, value) => {
    write(offset, value);
    if (offset === UARTDR) {
      state.interruptStatus |= TRANSMIT_INTERRUPT;
      uart.checkInterrupts();
    }
  };
}

/** Gathers the bytes of a serial line into lines of text. Carriage returns are dropped. */
export class LineReader {
  private bytes: number[] = [];

  constructor(private readonly onLine: (line: string) => void) {}

  push(byte: number): void {
    if (byte === 0x0a || this.bytes.length >= LINE_BYTES_MAX) {
      this.flush();
    }
    if (byte !== 0x0a && byte !== 0x0d) {
      this.bytes.push(byte);
    }
  }

  /** Ends the line where it is, as a reset does. */
  flush(): void {
    if (this.bytes.length > 0) {
      this.onLine(Buffer.from(this.bytes).toString('utf8'));
      this.bytes = [];
    }
  }
}
