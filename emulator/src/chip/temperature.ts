import { RP2040 } from 'rp2040js';
import { EmulatedClock, NANOS_PER_MS } from '../clock.js';
import { Random } from '../random.js';

/** [RP2040 datasheet 4.9.5] The temperature sensor is input 4; at 27 °C it gives 0.706 V, 1.721 mV less per degree. */
const TEMPERATURE_CHANNEL = 4;
const VOLTS_AT_27_C = 0.706;
const VOLTS_PER_C = 0.001721;

/** The converter: 12 bits over its reference, the board's 3.3 V. */
const STEPS = 4096;
const REFERENCE_VOLTS = 3.3;

function sensorVolts(celsius: number): number {
  return VOLTS_AT_27_C - (celsius - 27) * VOLTS_PER_C;
}

/** What the outside applies to the analogue inputs. It outlasts resets: the room does not cool down with the chip. */
export class AnalogInputs {
  /** Volts at inputs 0 to 3 (GPIO 26 to 29) and the temperature sensor. */
  private readonly volts = [0, 0, 0, 0, sensorVolts(25)];

  /** What the temperature sensor's volts change by in a nanosecond, and since when. */
  private drift = { perNano: 0, sinceNanos: 0 };

  /** Each reading is off by up to this many steps of the converter, either way. */
  noiseSteps = 0;

  constructor(
    private readonly random: Random,
    private readonly clock: EmulatedClock,
  ) {}

  setVolts(channel: number, volts: number): void {
    if (!(channel in this.volts)) {
      throw new Error(`there is no analogue input ${channel}: give one from 0 to ${this.volts.length - 1}`);
    }
    this.volts[channel] = volts;
    if (channel === TEMPERATURE_CHANNEL) {
      this.drift = { perNano: 0, sinceNanos: 0 };
    }
  }

  /** The chip has this temperature, and from now on gets warmer by so much in each second of its own time. */
  setTemperature(celsius: number, perSecond = 0): void {
    this.volts[TEMPERATURE_CHANNEL] = sensorVolts(celsius);
    this.drift = { perNano: (-perSecond * VOLTS_PER_C) / (1000 * NANOS_PER_MS), sinceNanos: this.clock.nanos };
  }

  /** One conversion: 0 to 4095. */
  sample(channel: number): number {
    const noise = this.noiseSteps === 0 ? 0 : Math.round((this.random.fraction() * 2 - 1) * this.noiseSteps);
    const { perNano, sinceNanos } = this.drift;
    const drifted = channel === TEMPERATURE_CHANNEL ? perNano * (this.clock.nanos - sinceNanos) : 0;
    const steps = Math.round(((this.volts[channel] + drifted) / REFERENCE_VOLTS) * STEPS) + noise;
    return Math.min(STEPS - 1, Math.max(0, steps));
  }
}

/** Connects the converter. It keeps its own timing: a result is there 2 µs after the start. */
export function installAnalogInputs(chip: RP2040, inputs: AnalogInputs): void {
  const { adc } = chip;
  const convert = adc.onADCRead;
  adc.onADCRead = (channel) => {
    adc.channelValues[channel] = inputs.sample(channel);
    convert(channel);
  };
}
