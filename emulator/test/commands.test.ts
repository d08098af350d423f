import assert from 'node:assert/strict';
import { test } from 'node:test';
import { b } from '../src/chip/thumb.js';
import { CommandError, COMMANDS, runCommand } from '../src/control/commands.js';
import { parseOptions, UsageError } from '../src/options.js';
import { boardWith, CODE } from './support/firmware.js';

const { board } = boardWith({ code: [b(CODE, CODE)] });

const refused = (fields: Record<string, unknown>, why: RegExp): void =>
  assert.throws(() => runCommand(board, fields), (error) => error instanceof CommandError && why.test(error.message));

test('a wrong command says what is wrong with it', () => {
  refused({}, /no command undefined; there are: access_point/);
  refused({ command: 'toString' }, /no command "toString"/);
  refused({ command: 'service', name: 'http', answering: true }, /`name` must be one of dhcp, dns, sntp/);
  refused({ command: 'service', name: 'dns' }, /`answering` must be true or false/);
  refused({ command: 'drop_frames', direction: 'to_device' }, /either `percent` or `next`/);
  refused({ command: 'drop_frames', direction: 'to_device', percent: 101 }, /from 0 to 100/);
  refused({ command: 'adc', channel: 9, volts: 1 }, /`channel` must be a number from 0 to 4/);
  refused({ command: 'power_cut', seconds: 1 }, /`power_cut` has no field `seconds`; it has: off_ms/);
});

test('every command works with its fields', () => {
  const examples: Record<string, Record<string, unknown>> = {
    access_point: { ssid: 'new', passphrase: 'password' },
    link_loss: { for_ms: 10 },
    service: { name: 'dns', answering: false },
    sntp_offset: { seconds: -5 },
    drop_frames: { direction: 'to_device', next: 1 },
    slow_network: { latency_ms: 200, bytes_per_second: 1000 },
    radio_dead: { dead: true },
    power_cut: { off_ms: 5 },
    adc: { channel: 4, volts: 0.7 },
    temperature: { celsius: 21, per_second: 0.5 },
    adc_noise: { steps: 2 },
  };
  for (const command of Object.keys(COMMANDS)) {
    runCommand(board, { id: 1, command, ...examples[command] });
  }
  assert.deepEqual(runCommand(board, { command: 'tcp_reset' }), { connections: 0 });
  const { counters } = runCommand(board, { command: 'counters' }) as { counters: { boots: number } };
  assert.equal(counters.boots, 2);
});

test('the temperature sensor reads what is set, in the steps of the converter', () => {
  board.analogInputs.noiseSteps = 0;
  board.setTemperature(27);
  assert.equal(board.analogInputs.sample(4), Math.round((0.706 / 3.3) * 4096));
  board.analogInputs.noiseSteps = 2;
  const samples = new Set(Array.from({ length: 200 }, () => board.analogInputs.sample(4)));
  assert.ok(samples.size > 1 && samples.size <= 5);
});

test('a temperature that rises does so in the time of the board', () => {
  board.analogInputs.noiseSteps = 0;
  const steps = (celsius: number): number => Math.round(((0.706 - (celsius - 27) * 0.001721) / 3.3) * 4096);
  board.setTemperature(0, 1);
  board.clock.advanceTo(board.clock.nanos + 40_000 * 1e6);
  assert.equal(board.analogInputs.sample(4), steps(40));
  board.setTemperature(27);
  board.clock.advanceTo(board.clock.nanos + 40_000 * 1e6);
  assert.equal(board.analogInputs.sample(4), steps(27));
});

const usage = (words: readonly string[], why: RegExp): void =>
  assert.throws(() => parseOptions(words), (error) => error instanceof UsageError && why.test(error.message));

test('a wrong command line says what is wrong with it', () => {
  usage([], /a command is missing/);
  usage(['walk'], /no command `walk`/);
  usage(['run'], /firmware file is missing/);
  usage(['run', 'a.uf2', '--fast'], /no option `--fast`/);
  usage(['run', 'a.uf2', '--ssid'], /`--ssid` needs a value: NAME/);
  usage(['run', 'a.uf2', '--ssid', 'home'], /needs `--password-file FILE`, or `--open`/);
  usage(['run', 'a.uf2', '--open'], /`--ssid` is missing/);
  usage(['run', 'a.uf2', '--tcp-forward', '8883'], /PORT=HOST:PORT/);
  usage(['run', 'a.uf2', '--tcp-forward', '8883=127.0.0.1:70000'], /not a port/);
  usage(['run', 'a.uf2', '--dns', 'a.test=b'], /not an IPv4 address/);
  usage(['run', 'a.uf2', '--until-log', '('], /--until-log/);
});

test('a command line is understood', () => {
  const options = parseOptions(
    'run a.uf2 --ssid home --open --tcp-forward 8883=127.0.0.1:1883 --dns A.test --json --seed=7'.split(' '),
  )!;
  assert.deepEqual(options.firmware, ['a.uf2']);
  assert.deepEqual(parseOptions(['run', 'a.uf2', '--open', 'b.uf2', '--ssid', 'home'])?.firmware, ['a.uf2', 'b.uf2']);
  assert.deepEqual(options.tcpForwards.get(8883), { host: '127.0.0.1', port: 1883 });
  assert.equal(options.names.get('a.test')?.toString(), '10.0.2.2');
  assert.equal(options.seed, 7);
  assert.equal(parseOptions(['--help']), null);
});
