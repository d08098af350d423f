/**
 * What can be asked of a running emulator, one command per entry.
 *
 * An entry checks its own fields, so that a wrong one is named in the answer, and returns what the answer carries.
 */
import { Board } from '../board.js';
import { Direction, Service } from '../network/network.js';

export type Fields = Readonly<Record<string, unknown>>;
export type Answer = Readonly<Record<string, unknown>>;

/** A command that cannot be carried out; the message says what to change. */
export class CommandError extends Error {}

interface Command {
  /** For the manual: what it does, and its fields. */
  readonly help: string;
  readonly fields: readonly string[];
  run(board: Board, fields: Fields): Answer | void;
}

const SERVICES: readonly Service[] = ['dhcp', 'dns', 'sntp'];
const DIRECTIONS: readonly Direction[] = ['to_device', 'from_device'];

/** What a board takes: microcontroller inputs above their supply are out of range. */
const VOLTS_MAX = 3.3;

export const COMMANDS: Readonly<Record<string, Command>> = {
  access_point: {
    help: 'change the network name and passphrase that joins are judged by; no passphrase makes it open',
    fields: ['ssid', 'passphrase'],
    run(board, fields) {
      const passphrase = fields['passphrase'] === undefined || fields['passphrase'] === null ? null : text(fields, 'passphrase');
      board.setAccessPoint(text(fields, 'ssid'), passphrase);
    },
  },
  link_loss: {
    help: 'the access point disappears: the station is thrown out and joins fail, for `for_ms` or until `link_restore`',
    fields: ['for_ms'],
    run(board, fields) {
      board.loseLink(optional(fields, 'for_ms', (name) => number(fields, name, 0)));
    },
  },
  link_restore: {
    help: 'the access point is back',
    fields: [],
    run(board) {
      board.restoreLink();
    },
  },
  service: {
    help: 'make `name` (dhcp, dns, sntp) keep silent or answer again',
    fields: ['name', 'answering'],
    run(board, fields) {
      board.setAnswering(oneOf(fields, 'name', SERVICES), flag(fields, 'answering'));
    },
  },
  sntp_offset: {
    help: 'the time server is wrong by `seconds`',
    fields: ['seconds'],
    run(board, fields) {
      board.setSntpOffset(number(fields, 'seconds', -Infinity));
    },
  },
  drop_frames: {
    help: 'lose frames in `direction` (to_device, from_device): `percent` of them, or the `next` few',
    fields: ['direction', 'percent', 'next'],
    run(board, fields) {
      const direction = oneOf(fields, 'direction', DIRECTIONS);
      if ((fields['percent'] === undefined) === (fields['next'] === undefined)) {
        throw new CommandError('give either `percent` or `next`');
      }
      const how =
        fields['next'] === undefined ? { percent: number(fields, 'percent', 0, 100) } : { next: number(fields, 'next', 0) };
      board.dropFrames(direction, how);
    },
  },
  slow_network: {
    help: 'set `latency_ms` each way and `bytes_per_second`; what is left out becomes normal again',
    fields: ['latency_ms', 'bytes_per_second'],
    run(board, fields) {
      board.setPace(
        optional(fields, 'latency_ms', (name) => number(fields, name, 0)),
        optional(fields, 'bytes_per_second', (name) => number(fields, name, 1)),
      );
    },
  },
  tcp_reset: {
    help: 'reset every TCP connection on both sides',
    fields: [],
    run: (board) => ({ connections: board.resetConnections() }),
  },
  tcp_black_hole: {
    help: 'nothing passes over the present TCP connections any more, and nobody is told; new ones work',
    fields: [],
    run: (board) => ({ connections: board.blackHoleConnections() }),
  },
  radio_dead: {
    help: 'the radio chip answers nothing (`dead` true), or works again',
    fields: ['dead'],
    run(board, fields) {
      board.setRadioDead(flag(fields, 'dead'));
    },
  },
  hang: {
    help: 'the program is stuck in its thread mode; interrupts go on, and only a watchdog helps',
    fields: [],
    run(board) {
      board.hang();
    },
  },
  crash: {
    help: 'the program runs into something that is no instruction, which is a HardFault',
    fields: [],
    run(board) {
      board.crash();
    },
  },
  power_cut: {
    help: 'take the power away for `off_ms` (0) of emulated time, then boot from flash',
    fields: ['off_ms'],
    run(board, fields) {
      board.cutPower(optional(fields, 'off_ms', (name) => number(fields, name, 0)));
    },
  },
  adc: {
    help: 'set the voltage of an analogue input: `channel` 0 to 4, `volts`, 4 being the temperature sensor',
    fields: ['channel', 'volts'],
    run(board, fields) {
      board.setVolts(number(fields, 'channel', 0, 4), number(fields, 'volts', 0, VOLTS_MAX));
    },
  },
  temperature: {
    help: 'set the temperature of the chip, in `celsius`, and let it rise by `per_second` (0) degrees in each emulated second',
    fields: ['celsius', 'per_second'],
    run(board, fields) {
      const perSecond = optional(fields, 'per_second', (name) => number(fields, name, -10, 10));
      board.setTemperature(number(fields, 'celsius', -100, 200), perSecond);
    },
  },
  adc_noise: {
    help: 'make each reading off by up to `steps` of the converter, either way',
    fields: ['steps'],
    run(board, fields) {
      board.analogInputs.noiseSteps = number(fields, 'steps', 0, 4095);
    },
  },
  counters: {
    help: 'read the counters',
    fields: [],
    run: (board) => ({ counters: board.counters }),
  },
};

/** Carries a command out. Throws `CommandError` for one that makes no sense. */
export function runCommand(board: Board, fields: Fields): Answer {
  const name = fields['command'];
  const command = typeof name === 'string' && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const known = [...Object.keys(COMMANDS), 'exit'].join(', ');
    throw new CommandError(`there is no command ${JSON.stringify(name)}; there are: ${known}`);
  }
  const unknown = Object.keys(fields).find((field) => !['id', 'command', ...command.fields].includes(field));
  if (unknown !== undefined) {
    throw new CommandError(`\`${String(name)}\` has no field \`${unknown}\`; it has: ${command.fields.join(', ') || 'none'}`);
  }
  return command.run(board, fields) ?? {};
}

function optional<Value>(fields: Fields, name: string, read: (name: string) => Value): Value | undefined {
  return fields[name] === undefined ? undefined : read(name);
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') {
    throw new CommandError(`\`${name}\` must be a text`);
  }
  return value;
}

function flag(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') {
    throw new CommandError(`\`${name}\` must be true or false`);
  }
  return value;
}

function number(fields: Fields, name: string, min: number, max = Infinity): number {
  const value = fields[name];
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    const range = max === Infinity ? (min === -Infinity ? '' : ` of at least ${min}`) : ` from ${min} to ${max}`;
    throw new CommandError(`\`${name}\` must be a number${range}`);
  }
  return value;
}

function oneOf<Value extends string>(fields: Fields, name: string, values: readonly Value[]): Value {
  const value = values.find((candidate) => candidate === fields[name]);
  if (value === undefined) {
    throw new CommandError(`\`${name}\` must be one of ${values.join(', ')}`);
  }
  return value;
}
