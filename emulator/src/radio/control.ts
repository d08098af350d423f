/**
 * The control requests of the driver that change something here. All others are answered with success and forgotten.
 *
 * Numbers: the open driver `cyw43` 0.7, `consts.rs`; their order when joining: `control.rs`.
 */
import { MacAddress } from '../network/addresses.js';
import { ControlRequest } from './sdpcm.js';

const SET_SSID = 26;
const DISASSOCIATE = 52;
const SET_POWER_MANAGEMENT = 86;
const GET_VARIABLE = 262;
const SET_VARIABLE = 263;
const SET_WSEC = 134;
const SET_PASSPHRASE = 268;

/** What a request makes the radio do, besides answering. */
export type Action =
  | { readonly kind: 'join'; readonly ssid: string; readonly passphrase: string | null }
  | { readonly kind: 'leave' }
  | { readonly kind: 'scan' }
  | { readonly kind: 'power_save'; readonly on: boolean }
  | { readonly kind: 'gpio'; readonly mask: number; readonly values: number };

export interface Outcome {
  /** The data of the answer; as long as the data of the request. */
  readonly data: Buffer;
  readonly action: Action | null;
}

/** What the driver has set so far and a join needs. */
export class ControlState {
  private secured = false;
  private passphrase = '';

  constructor(private readonly address: MacAddress) {}

  handle(request: ControlRequest): Outcome {
    const { command, data } = request;
    switch (command) {
      case GET_VARIABLE:
        return { data: this.variable(data), action: null };
      case SET_VARIABLE:
        return { data: Buffer.from(data), action: this.setVariable(data) };
      default:
        return { data: Buffer.from(data), action: this.setValue(command, data) };
    }
  }

  /** Zero for every variable but the address; zero also says that the regulatory data were accepted. */
  private variable(data: Buffer): Buffer {
    const answer = Buffer.alloc(data.length);
    if (variableName(data) === 'cur_etheraddr') {
      answer.set(this.address.bytes.subarray(0, data.length));
    }
    return answer;
  }

  private setVariable(data: Buffer): Action | null {
    const name = variableName(data);
    const value = data.subarray(name.length + 1);
    switch (name) {
      case 'gpioout':
        return { kind: 'gpio', mask: value.readUInt32LE(0), values: value.readUInt32LE(4) };
      case 'sae_password':
        this.passphrase = lengthPrefixed(value);
        return null;
      case 'escan':
        return { kind: 'scan' };
      default:
        return null;
    }
  }

  private setValue(command: number, data: Buffer): Action | null {
    switch (command) {
      case SET_WSEC:
        this.secured = data.readUInt32LE(0) !== 0;
        return null;
      case SET_PASSPHRASE:
        // Length and flags, sixteen bits each, precede the passphrase.
        this.passphrase = data.toString('utf8', 4, 4 + data.readUInt16LE(0));
        return null;
      case SET_SSID: {
        const ssid = data.toString('utf8', 4, 4 + data.readUInt32LE(0));
        return { kind: 'join', ssid, passphrase: this.secured ? this.passphrase : null };
      }
      case DISASSOCIATE:
        return { kind: 'leave' };
      case SET_POWER_MANAGEMENT:
        return { kind: 'power_save', on: data.readUInt32LE(0) !== 0 };
      default:
        return null;
    }
  }
}

/** A variable's name ends at the first zero byte. */
function variableName(data: Buffer): string {
  const end = data.indexOf(0);
  return data.toString('latin1', 0, end < 0 ? data.length : end);
}

function lengthPrefixed(value: Buffer): string {
  return value.toString('utf8', 2, 2 + value.readUInt16LE(0));
}
