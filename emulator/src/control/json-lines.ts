/** The emulator for programs: commands come in as JSON lines, events and answers go out as JSON lines. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { Board } from '../board.js';
import { Runner } from '../runner.js';
import { CommandError, Fields, runCommand } from './commands.js';

/** Writes one object as a line. */
export type WriteLine = (object: object) => void;

/** Reads commands until the stream ends, and carries each out between two stretches of running. */
export function serveCommands(
  input: Readable,
  board: Board,
  runner: Runner,
  write: WriteLine,
  onExit: (reason: string) => void,
): void {
  const answer = (id: unknown, fields: object): void => {
    write({ event: 'done', at_ms: atMs(board), id: id ?? null, ...fields });
  };
  const lines = createInterface({ input });
  lines.on('line', (line) => {
    if (line.trim() === '') {
      return;
    }
    const fields = parseFields(line);
    if (fields === null) {
      answer(null, { error: 'not a JSON object on one line, such as {"id":1,"command":"counters"}' });
      return;
    }
    runner.between(() => {
      if (fields['command'] === 'exit') {
        answer(fields['id'], {});
        onExit('command');
        return;
      }
      try {
        answer(fields['id'], runCommand(board, fields));
      } catch (error) {
        if (!(error instanceof CommandError)) {
          throw error;
        }
        answer(fields['id'], { error: error.message });
      }
    });
  });
  // Whoever started us is gone: an emulator nobody listens to must not run on.
  lines.on('close', () => onExit('input_closed'));
}

export function atMs(board: Board): number {
  return Math.round(board.clock.milliseconds * 1000) / 1000;
}

function parseFields(line: string): Fields | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;
  } catch {
    return null;
  }
}
