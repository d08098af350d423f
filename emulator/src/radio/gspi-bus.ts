/**
 * The bus between processor and radio: gSPI, seen as whole 32-bit words.
 *
 * A transaction is a command word, then data, then a status word from the radio. This file knows the command word and
 * the registers of function 0, the bus itself; function 1 leads to the backplane, function 2 carries packets.
 *
 * Source of layouts: the open driver `cyw43` 0.7 (`consts.rs`, `spi.rs`), which is what we must satisfy.
 */
import { Backplane } from './backplane.js';

export const FUNCTION_BUS = 0;
export const FUNCTION_BACKPLANE = 1;
export const FUNCTION_WLAN = 2;

/** What a command word asks for. */
export interface Command {
  readonly write: boolean;
  readonly function: number;
  readonly address: number;
  readonly bytes: number;
}

/** Registers of function 0, by byte address. */
const CONTROL = 0x00;
const INTERRUPT = 0x04;
const INTERRUPT_ENABLE = 0x06;
const STATUS = 0x08;
const TEST_READ_ONLY = 0x14;
const BUS_REGISTERS = 0x20;

const CONTROL_WORD_LENGTH_32 = 1;
const TEST_PATTERN = 0xfeedbead;

const INTERRUPT_PACKET_AVAILABLE = 0x20;

const STATUS_PACKETS_INTERRUPT = 1 << 3;
const STATUS_RECEIVE_READY = 1 << 5;
const STATUS_PACKET_AVAILABLE = 1 << 8;
const STATUS_PACKET_LENGTH_SHIFT = 9;

/** A packet length of zero in the command word of function 2 stands for the largest there is. */
const PACKET_BYTES_MAX = 2048;

/** Where the packets of function 2 go to and come from. */
export interface PacketPort {
  /** The bytes of the packet that is next, or undefined. */
  peek(): Uint8Array | undefined;
  take(): Uint8Array | undefined;
  put(packet: Uint8Array): void;
}

export class GspiBus {
  private readonly registers = new Uint8Array(BUS_REGISTERS);

  constructor(
    private readonly backplane: Backplane,
    private readonly packets: PacketPort,
  ) {}

  /** After power-on the bus swaps the halves of each word, until the driver asks for 32-bit words. */
  private get swapsHalves(): boolean {
    return (this.registers[CONTROL] & CONTROL_WORD_LENGTH_32) === 0;
  }

  decode(wireWord: number): Command {
    const word = this.onWire(wireWord);
    const bytes = word & 0x7ff;
    const target = (word >>> 28) & 3;
    return {
      write: word >>> 31 === 1,
      function: target,
      address: (word >>> 11) & 0x1ffff,
      bytes: bytes === 0 && target === FUNCTION_WLAN ? PACKET_BYTES_MAX : bytes,
    };
  }

  /** The words the radio answers a read with, without the status word. */
  read(command: Command): Uint32Array {
    switch (command.function) {
      case FUNCTION_BUS:
        return this.pack(command.bytes, (index) => this.readRegister(command.address + index));
      case FUNCTION_BACKPLANE: {
        const data = this.pack(command.bytes, (index) => this.backplane.readByte(command.address, index));
        // The backplane answers late: one word of padding comes first.
        return Uint32Array.of(0, ...data);
      }
      case FUNCTION_WLAN: {
        const packet = this.packets.take();
        return this.pack(command.bytes, (index) => packet?.[index] ?? 0);
      }
      default:
        return this.pack(command.bytes, () => 0);
    }
  }

  write(command: Command, wireWords: readonly number[]): void {
    const words = wireWords.map((word) => this.onWire(word));
    const byteAt = (index: number): number => (words[index >> 2] >>> (8 * (index & 3))) & 0xff;
    switch (command.function) {
      case FUNCTION_BUS:
        for (let index = 0; index < command.bytes; index++) {
          this.writeRegister(command.address + index, byteAt(index));
        }
        return;
      case FUNCTION_BACKPLANE:
        for (let index = 0; index < command.bytes; index++) {
          this.backplane.writeByte(command.address, index, byteAt(index));
        }
        return;
      case FUNCTION_WLAN:
        this.packets.put(Uint8Array.from({ length: words.length * 4 }, (_, index) => byteAt(index)));
    }
  }

  /** The word that ends each transaction. The driver acts on the last one it saw, so it is computed afresh each time. */
  status(): number {
    const next = this.packets.peek();
    const ready = this.backplane.wlanRunning ? STATUS_RECEIVE_READY : 0;
    if (next === undefined) {
      return ready;
    }
    return ready | STATUS_PACKET_AVAILABLE | STATUS_PACKETS_INTERRUPT | (next.length << STATUS_PACKET_LENGTH_SHIFT);
  }

  /** Whether the radio holds its interrupt line up. */
  get interruptLine(): boolean {
    return (this.interrupts & this.readHalf(INTERRUPT_ENABLE)) !== 0;
  }

  private get interrupts(): number {
    return this.packets.peek() === undefined ? 0 : INTERRUPT_PACKET_AVAILABLE;
  }

  private readRegister(address: number): number {
    switch (address & ~3) {
      case STATUS:
        return (this.status() >>> (8 * (address & 3))) & 0xff;
      case TEST_READ_ONLY:
        return (TEST_PATTERN >>> (8 * (address & 3))) & 0xff;
    }
    if (address === INTERRUPT) {
      return this.interrupts;
    }
    if (address === INTERRUPT + 1) {
      return 0;
    }
    return this.registers[address % BUS_REGISTERS];
  }

  private writeRegister(address: number, value: number): void {
    this.registers[address % BUS_REGISTERS] = value;
  }

  private readHalf(address: number): number {
    return this.registers[address] | (this.registers[address + 1] << 8);
  }

  private pack(bytes: number, byteAt: (index: number) => number): Uint32Array {
    const words = new Uint32Array((bytes + 3) >> 2);
    for (let index = 0; index < bytes; index++) {
      words[index >> 2] |= byteAt(index) << (8 * (index & 3));
    }
    return this.swapsHalves ? words.map(swapHalves) : words;
  }

  private onWire(word: number): number {
    return this.swapsHalves ? swapHalves(word) : word >>> 0;
  }
}

function swapHalves(word: number): number {
  return ((word << 16) | (word >>> 16)) >>> 0;
}
