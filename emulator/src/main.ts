#!/usr/bin/env node
/** The command: sets the board up as the options say, runs it, and reports. */
import { randomInt } from 'node:crypto';
import { Board } from './board.js';
import { runCommand } from './control/commands.js';
import { atMs, serveCommands, WriteLine } from './control/json-lines.js';
import { formatEvent, wantsColour } from './control/readable.js';
import { BoardEvent } from './events.js';
import { readFirmware } from './firmware/load.js';
import { Piece } from './firmware/uf2.js';
import { connectToHost } from './network/host-stream.js';
import { HELP, Options, parseOptions, UsageError } from './options.js';
import { Runner } from './runner.js';

const FINE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;

async function main(): Promise<number> {
  let options: Options | null;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) {
      throw error;
    }
    process.stderr.write(`${error.message}\nsee --help\n`);
    return WRONG_USAGE;
  }
  if (options === null) {
    process.stdout.write(HELP);
    return FINE;
  }
  const firmware: Piece[] = [];
  for (const path of options.firmware) {
    try {
      firmware.push(...readFirmware(path));
    } catch (error) {
      process.stderr.write(`cannot load ${path}: ${(error as Error).message}\n`);
      return FAILED;
    }
  }
  return run(options, firmware);
}

async function run(options: Options, firmware: readonly Piece[]): Promise<number> {
  const writeLine: WriteLine = (object) => void process.stdout.write(`${JSON.stringify(object)}\n`);
  const colours = wantsColour(process.stdout, process.env);
  const write = (event: BoardEvent, at: number): void => {
    if (options.json) {
      const { event: kind, ...fields } = event;
      writeLine({ event: kind, at_ms: at, ...fields });
    } else {
      process.stdout.write(`${formatEvent(event, at, colours)}\n`);
    }
  };

  let board: Board | null = null;
  let runner: Runner | null = null;
  let end: { reason: string; code: number } | null = null;
  const finish = (reason: string, code: number): void => {
    end ??= { reason, code };
    runner?.stop();
  };
  const report = (event: BoardEvent): void => {
    write(event, board === null ? 0 : atMs(board));
    if (event.event === 'log' && options.untilLog?.test(event.line)) {
      finish('until_log', FINE);
    }
  };

  board = new Board(boardSettings(options), firmware, report);
  runner = new Runner(board, () => Number(process.hrtime.bigint()), options.speed);
  try {
    for (const fields of options.first) {
      runCommand(board, fields);
    }
  } catch (error) {
    process.stderr.write(`--first: ${(error as Error).message}\n`);
    return WRONG_USAGE;
  }
  if (options.json) {
    serveCommands(process.stdin, board, runner, writeLine, (reason) => finish(reason, FINE));
  }
  const timeout =
    options.timeoutSeconds === null ? null : setTimeout(() => finish('timeout', FAILED), options.timeoutSeconds * 1000);
  process.on('SIGINT', () => finish('interrupted', FINE));
  process.on('SIGTERM', () => finish('terminated', FINE));

  await runner.run();
  if (timeout !== null) {
    clearTimeout(timeout);
  }
  const { reason, code } = end ?? { reason: 'stopped', code: FINE };
  write({ event: 'exit', reason, code }, atMs(board));
  return code;
}

function boardSettings(options: Options) {
  return {
    network: {
      // Without --ssid there is no network to find; no station can ask for an empty name.
      accessPoint: { ssid: options.ssid ?? '', passphrase: options.passphrase },
      tcpForwards: options.tcpForwards,
      udpForwards: options.udpForwards,
      names: options.names,
      ntpServers: options.ntpServers,
    },
    host: { connector: connectToHost, wallClock: Date.now },
    seed: options.seed ?? randomInt(2 ** 32),
    translateAfter: options.translateAfter,
  };
}

// Sockets of a device that still runs would keep the process alive: what is written must get out, then it ends.
main().then(
  (code) => process.stdout.write('', () => process.exit(code)),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(FAILED);
  },
);
