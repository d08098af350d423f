/** Events for people: time, source, and a sentence; in colour on a terminal. */
import { BoardEvent } from '../events.js';

const COLOURS = { dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
type Colour = keyof typeof COLOURS;

/** The width of the longest source, for aligned lines. */
const SOURCE_WIDTH = 5;

/** Whether to colour: only for a terminal, and not against the user's wish [no-color.org]. */
export function wantsColour(stream: { isTTY?: boolean }, environment: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && (environment['NO_COLOR'] ?? '') === '';
}

export function formatEvent(event: BoardEvent, atMs: number, colours: boolean): string {
  const paint = (text: string, colour: Colour): string => (colours ? `\x1b[${COLOURS[colour]}m${text}\x1b[0m` : text);
  const { source, colour, text } = describe(event);
  const time = (atMs / 1000).toFixed(6).padStart(12);
  return `${paint(time, 'dim')} ${paint(source.padEnd(SOURCE_WIDTH), colour)} ${text}`;
}

function describe(event: BoardEvent): { source: string; colour: Colour; text: string } {
  switch (event.event) {
    case 'log':
      return { source: 'uart', colour: 'green', text: event.line };
    case 'led':
      return { source: 'led', colour: 'yellow', text: event.on ? 'on' : 'off' };
    case 'wifi':
      return { source: 'wifi', colour: 'blue', text: describeWifi(event) };
    case 'dhcp':
      return { source: 'dhcp', colour: 'cyan', text: event.message + unanswered(event.answered) };
    case 'dns':
      return { source: 'dns', colour: 'cyan', text: `${event.name} → ${event.address ?? 'no such name'}${unanswered(event.answered)}` };
    case 'sntp':
      return { source: 'sntp', colour: 'cyan', text: event.unix_s === null ? 'asked, not answered' : new Date(event.unix_s * 1000).toISOString() };
    case 'tcp':
      return { source: 'tcp', colour: 'magenta', text: describeTcp(event) };
    case 'reset':
      return { source: 'reset', colour: 'red', text: `boot ${event.boot}, reason: ${event.reason}` };
    case 'fault':
      return { source: 'fault', colour: 'red', text: `${event.what} at ${event.pc}` };
    case 'exit':
      return { source: 'exit', colour: event.code === 0 ? 'dim' : 'red', text: event.reason };
  }
}

function describeWifi(event: Extract<BoardEvent, { event: 'wifi' }>): string {
  if (event.what === 'power_save') {
    return `power save ${event.on ? 'on' : 'off'}`;
  }
  return event.what === 'join' ? `join \`${event.ssid}\`: ${spaced(event.outcome)}` : spaced(event.what);
}

function describeTcp(event: Extract<BoardEvent, { event: 'tcp' }>): string {
  const ports = `${event.device_port} → ${event.port}`;
  return event.what === 'open'
    ? `${ports} open, to ${event.target}`
    : `${ports} ${spaced(event.reason)}; ${event.bytes_to_host} bytes up, ${event.bytes_to_device} bytes down`;
}

function unanswered(answered: boolean): string {
  return answered ? '' : ' (not answered)';
}

function spaced(name: string): string {
  return name.replaceAll('_', ' ');
}
