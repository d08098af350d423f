/** The command line: one table from which the parser and `--help` derive. */
import { readFileSync } from 'node:fs';
import { Fields } from './control/commands.js';
import { Ipv4Address } from './network/addresses.js';
import { HostAddress } from './network/host-stream.js';
import { GATEWAY } from './network/network.js';
import { TRANSLATE_AFTER } from './translate/code-cache.js';

/** A command line that makes no sense. The message says what to write instead. */
export class UsageError extends Error {}

export interface Options {
  firmware: string[];
  ssid: string | null;
  passphrase: string | null;
  open: boolean;
  tcpForwards: Map<number, HostAddress>;
  udpForwards: Map<number, HostAddress>;
  names: Map<string, Ipv4Address>;
  ntpServers: Ipv4Address[];
  json: boolean;
  first: Fields[];
  seed: number | null;
  speed: number;
  translateAfter: number;
  untilLog: RegExp | null;
  timeoutSeconds: number | null;
}

interface Option {
  readonly name: string;
  /** How the value is called in `--help`; null for a switch. */
  readonly value: string | null;
  readonly help: string;
  set(options: Options, value: string): void;
}

const OPTIONS: readonly Option[] = [
  {
    name: '--ssid',
    value: 'NAME',
    help: 'name of the access point',
    set: (options, value) => (options.ssid = value),
  },
  {
    name: '--password-file',
    value: 'FILE',
    help: 'file with the passphrase of the access point (WPA2 and WPA3), without its last line break',
    set: (options, value) => (options.passphrase = readPassphrase(value)),
  },
  {
    name: '--open',
    value: null,
    help: 'the access point is open',
    set: (options) => (options.open = true),
  },
  {
    name: '--tcp-forward',
    value: 'PORT=HOST:PORT',
    help: 'TCP port of the gateway 10.0.2.2, and the address on this host it leads to; may be repeated',
    set: (options, value) => addForward(options.tcpForwards, '--tcp-forward', value),
  },
  {
    name: '--udp-forward',
    value: 'PORT=HOST:PORT',
    help: 'the same for UDP; port 123 replaces the built-in time server',
    set: (options, value) => addForward(options.udpForwards, '--udp-forward', value),
  },
  {
    name: '--dns',
    value: 'NAME[=ADDRESS]',
    help: 'a name the DNS server knows, at 10.0.2.2 or another address; all others do not exist; may be repeated',
    set: addName,
  },
  {
    name: '--ntp-server',
    value: 'ADDRESS',
    help: 'a time server that DHCP tells a client who asks (option 42); may be repeated',
    set: (options, value) => options.ntpServers.push(address(value)),
  },
  {
    name: '--json',
    value: null,
    help: 'events as JSON lines on stdout, commands as JSON lines on stdin (see README.md)',
    set: (options) => (options.json = true),
  },
  {
    name: '--first',
    value: 'COMMAND',
    help: 'a command of the JSON lines, carried out before the board starts: \'{"command":"radio_dead","dead":true}\'; may be repeated',
    set: (options, value) => options.first.push(command(value)),
  },
  {
    name: '--seed',
    value: 'N',
    help: 'make the random numbers of chip and network repeatable; by default they differ in each run',
    set: (options, value) => (options.seed = number('--seed', value, 0)),
  },
  {
    name: '--speed',
    value: 'N',
    help: 'let emulated time pass at most N times as fast as time does; by default outages pass in a moment',
    set: (options, value) => (options.speed = number('--speed', value, Number.MIN_VALUE)),
  },
  {
    name: '--interpret',
    value: null,
    help: 'interpret all code instead of translating what runs often: several times slower, for comparing the two',
    set: (options) => (options.translateAfter = Infinity),
  },
  {
    name: '--until-log',
    value: 'REGEX',
    help: 'end with success when a line of the log matches',
    set: (options, value) => (options.untilLog = pattern(value)),
  },
  {
    name: '--timeout-s',
    value: 'N',
    help: 'end with failure after N seconds outside',
    set: (options, value) => (options.timeoutSeconds = number('--timeout-s', value, 0)),
  },
];

export const HELP = `Runs firmware for the Raspberry Pi Pico W without one.

Usage: node dist/src/main.js run FIRMWARE... [options]

FIRMWARE is a UF2 file, or the ELF file it was made from. Of several, each is copied onto the board over the ones before.

Options:
${OPTIONS.map(formatOption).join('\n')}
  --help
      this text

Examples:
  node dist/src/main.js run firmware.uf2 --ssid home --password-file password.txt \\
      --tcp-forward 8883=127.0.0.1:8883 --dns iot.example.com
  node dist/src/main.js run firmware.uf2 --ssid home --open --until-log 'joined' --timeout-s 60

Ends with 0 when all is well (--until-log matched, or it was told to exit), 1 when the run failed (time is up before
--until-log matched, or the firmware cannot be read), 2 when the command line is wrong.
`;

/** Null when help was asked for. */
export function parseOptions(words: readonly string[]): Options | null {
  if (words.includes('--help') || words.includes('-h')) {
    return null;
  }
  const [command, ...rest] = words;
  if (command !== 'run') {
    throw new UsageError(command === undefined ? 'a command is missing: run' : `there is no command \`${command}\`; there is: run`);
  }
  const options = defaults();
  const files: string[] = [];
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at];
    if (!word.startsWith('-')) {
      files.push(word);
      continue;
    }
    const [name, inline] = splitOnce(word, '=');
    const option = OPTIONS.find((candidate) => candidate.name === name);
    if (option === undefined) {
      throw new UsageError(`there is no option \`${name}\``);
    }
    const value = option.value === null ? '' : (inline ?? rest[++at]);
    if (value === undefined) {
      throw new UsageError(`\`${name}\` needs a value: ${option.value}`);
    }
    option.set(options, value);
  }
  if (files.length === 0) {
    throw new UsageError('the firmware file is missing');
  }
  options.firmware = files;
  checkNetwork(options);
  return options;
}

function defaults(): Options {
  return {
    firmware: [],
    ssid: null,
    passphrase: null,
    open: false,
    tcpForwards: new Map(),
    udpForwards: new Map(),
    names: new Map(),
    ntpServers: [],
    json: false,
    first: [],
    seed: null,
    speed: Infinity,
    translateAfter: TRANSLATE_AFTER,
    untilLog: null,
    timeoutSeconds: null,
  };
}

function checkNetwork(options: Options): void {
  if (options.open && options.passphrase !== null) {
    throw new UsageError('`--open` and `--password-file` exclude each other');
  }
  if (options.ssid === null && (options.open || options.passphrase !== null)) {
    throw new UsageError('`--ssid` is missing');
  }
  if (options.ssid !== null && !options.open && options.passphrase === null) {
    throw new UsageError('the network needs `--password-file FILE`, or `--open`');
  }
}

function readPassphrase(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new UsageError(`cannot read the passphrase: ${(error as Error).message}`);
  }
}

function addForward(forwards: Map<number, HostAddress>, option: string, value: string): void {
  const match = /^(\d+)=([^:]+):(\d+)$/.exec(value);
  if (match === null) {
    throw new UsageError(`\`${option}\` needs PORT=HOST:PORT such as 8883=127.0.0.1:8883, not \`${value}\``);
  }
  forwards.set(port(match[1]), { host: match[2], port: port(match[3]) });
}

function addName(options: Options, value: string): void {
  const [name, where] = splitOnce(value, '=');
  options.names.set(name.toLowerCase(), where === undefined ? GATEWAY : address(where));
}

function address(text: string): Ipv4Address {
  try {
    return Ipv4Address.parse(text);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function port(text: string): number {
  const value = Number(text);
  if (value < 1 || value > 65535) {
    throw new UsageError(`\`${text}\` is not a port: 1 to 65535`);
  }
  return value;
}

function number(option: string, text: string, min: number): number {
  const value = Number(text);
  if (text === '' || !(value >= min)) {
    throw new UsageError(`\`${option}\` needs a number${min > 0 ? ' above zero' : ''}, not \`${text}\``);
  }
  return value;
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError(`\`--until-log\`: ${(error as Error).message}`);
  }
}

function command(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Fields;
    }
  } catch {
    // Said below.
  }
  throw new UsageError('`--first` takes a JSON object, such as {"command":"radio_dead","dead":true}');
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

function formatOption(option: Option): string {
  return `  ${option.name}${option.value === null ? '' : ` ${option.value}`}\n      ${option.help}`;
}
