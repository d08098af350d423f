/** From the bits of an instruction to its entry in the table of encodings. */
import { Encoding, Fields, Flow, NARROW_ENCODINGS, WIDE_ENCODINGS } from './encodings.js';

export interface Instruction {
  readonly address: number;
  readonly bytes: 2 | 4;
  readonly encoding: Encoding;
  readonly fields: Fields;
  readonly flow: Flow;
  /** Where it may go to, if that is known beforehand. */
  readonly target: number | null;
  readonly cycles: number;
  readonly readsFlags: number;
  readonly writesFlags: number;
}

/** Null for an instruction that is not translated. */
export function decode(address: number, first: number, second: number): Instruction | null {
  const wide = first >>> 11 >= 0b11101;
  const bits = wide ? ((first << 16) | second) >>> 0 : first;
  const matcher = (wide ? WIDE_MATCHERS : NARROW_MATCHERS[first >>> 8]).find(({ mask, match }) => (bits & mask) >>> 0 === match);
  if (matcher === undefined) {
    return null;
  }
  const { encoding } = matcher;
  const fields = matcher.fields(bits);
  const value = (part: number | ((fields: Fields) => number) | undefined): number =>
    typeof part === 'function' ? part(fields) : (part ?? 0);
  return {
    address,
    bytes: wide ? 4 : 2,
    encoding,
    fields,
    flow: encoding.flow ?? 'next',
    target: encoding.target?.(fields, address) ?? null,
    cycles: value(encoding.cycles),
    readsFlags: value(encoding.reads),
    writesFlags: value(encoding.writes),
  };
}

interface Matcher {
  readonly encoding: Encoding;
  readonly mask: number;
  readonly match: number;
  fields(bits: number): Fields;
}

function compile(encoding: Encoding): Matcher {
  const pattern = encoding.pattern.replaceAll(' ', '');
  const places = new Map<string, { shift: number; mask: number }>();
  let mask = 0;
  let match = 0;
  [...pattern].forEach((letter, index) => {
    const shift = pattern.length - 1 - index;
    if (letter === '0' || letter === '1') {
      mask |= 1 << shift;
      match |= Number(letter) << shift;
    } else {
      const place = places.get(letter);
      places.set(letter, { shift, mask: place === undefined ? 1 : (place.mask << 1) | 1 });
    }
  });
  return {
    encoding,
    mask: mask >>> 0,
    match: match >>> 0,
    fields: (bits) => {
      const fields: Record<string, number> = {};
      for (const [letter, place] of places) {
        fields[letter] = (bits >>> place.shift) & place.mask;
      }
      return fields;
    },
  };
}

const WIDE_MATCHERS = WIDE_ENCODINGS.map(compile);

/** For each upper byte of an instruction the few encodings it can be. The first that fits is the right one. */
const NARROW_MATCHERS: readonly (readonly Matcher[])[] = (() => {
  const matchers = NARROW_ENCODINGS.map(compile);
  return Array.from({ length: 256 }, (_, upper) =>
    matchers.filter(({ mask, match }) => ((upper << 8) & mask & 0xff00) === (match & 0xff00)),
  );
})();
