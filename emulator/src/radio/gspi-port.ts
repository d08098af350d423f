/**
 * The pins between chip and radio, at the level of words.
 *
 * On the board a PIO program shifts bits over one data line that also carries the radio's interrupt while the bus is
 * idle. Here the program does not run: words that firmware puts into the machine's queue go to the radio at once, and
 * the answer comes back after the time the bits would have taken. What firmware can observe, the words, the number of
 * bits it asked for, and the interrupt flag, is the same; edges on the pins are not modelled.
 */
import { RP2040 } from 'rp2040js';
import { driveMachine, MachineDriver, offerWord, raiseFlag } from '../chip/pio.js';
import { Machine, Pio } from '../chip/rp2040js.js';
import { Alarm } from '../clock.js';
import { Command } from './gspi-bus.js';

/** Wiring of the Pico W [Pico W datasheet, appendix B]. */
const PIN_POWER = 23;
const PIN_CHIP_SELECT = 25;

/** The flag of the PIO block that `cyw43-pio` raises for the radio's interrupt. */
const EVENT_FLAG = 0;

const BITS_PER_WORD = 32;

/** Each bit takes the program two instructions: one per clock edge. */
const PIO_CYCLES_PER_BIT = 2;

/** What is at the other end of the pins. */
export interface RadioPins {
  powered(on: boolean): void;
  decode(word: number): Command;
  read(command: Command): Uint32Array;
  write(command: Command, words: readonly number[]): void;
  status(): number;
  readonly interruptLine: boolean;
}

/** Where a transaction is. After it, the machine waits for the interrupt line, and raises the flag once. */
type Phase = 'disabled' | 'sending' | 'on the wire' | 'receiving' | 'awaiting interrupt' | 'done';

export class GspiPort implements MachineDriver {
  private phase: Phase = 'disabled';
  private selected = false;

  private sent: number[] = [];
  private wordsToSend = 0;
  private wordsToReceive = 0;
  private answer: number[] = [];
  private readonly answerAlarm: Alarm;

  constructor(
    private readonly chip: RP2040,
    private readonly pio: Pio,
    private readonly machine: Machine,
    private readonly radio: RadioPins,
  ) {
    this.answerAlarm = chip.clock.createAlarm(() => this.receive()) as Alarm;
    driveMachine(pio, machine, this);
    chip.gpio[PIN_CHIP_SELECT].addListener((level) => this.select(level === 0));
    chip.gpio[PIN_POWER].addListener((level) => radio.powered(level === 1));
  }

  /** The driver enables the machine with the number of bits in each direction, less one, in X and Y. */
  enabled(enabled: boolean): void {
    this.answerAlarm.cancel();
    this.phase = enabled ? 'sending' : 'disabled';
    this.sent = [];
    this.wordsToSend = (this.machine.x + 1) / BITS_PER_WORD;
    this.wordsToReceive = (this.machine.y + 1) / BITS_PER_WORD;
  }

  transmitted(word: number): void {
    if (this.phase !== 'sending') {
      return;
    }
    this.sent.push(word);
    if (this.sent.length >= this.wordsToSend) {
      this.phase = 'on the wire';
      this.answerAlarm.schedule((this.wordsToSend + this.wordsToReceive) * this.wordNanos);
    }
  }

  received(): void {
    if (this.phase === 'receiving') {
      this.refill();
    }
  }

  /** To be called whenever the radio's interrupt line may have risen. */
  interruptChanged(): void {
    if (this.phase === 'awaiting interrupt' && !this.selected && this.radio.interruptLine) {
      this.phase = 'done';
      raiseFlag(this.pio, EVENT_FLAG);
    }
  }

  private get wordNanos(): number {
    const divider = this.machine.clockDivInt + this.machine.clockDivFrac / 256;
    return (BITS_PER_WORD * PIO_CYCLES_PER_BIT * divider * 1e9) / this.chip.clkSys;
  }

  /** The bits are through: have the radio act on them, and hand its answer over. */
  private receive(): void {
    const [first, ...data] = this.sent;
    const command = this.radio.decode(first);
    if (command.write) {
      this.radio.write(command, data);
      this.answer = [];
    } else {
      this.answer = Array.from(this.radio.read(command));
    }
    this.answer.push(this.radio.status());
    this.answer.length = this.wordsToReceive;
    this.phase = 'receiving';
    this.refill();
  }

  private refill(): void {
    while (this.answer.length > 0 && offerWord(this.pio, this.machine, this.answer[0] ?? 0)) {
      this.answer.shift();
    }
    if (this.answer.length === 0) {
      this.phase = 'awaiting interrupt';
      this.interruptChanged();
    }
  }

  /** While the radio is selected the data line carries data; only after that does it show the interrupt. */
  private select(selected: boolean): void {
    this.selected = selected;
    this.interruptChanged();
  }
}
