/** Sets of condition flags, as bits. */
export const FLAGS_NZ = 1;
export const FLAG_C = 2;
export const FLAG_V = 4;
export const ALL_FLAGS = FLAGS_NZ | FLAG_C | FLAG_V;

/** [ARMv6-M A6.3] The condition codes 0 to 13: the test, in the generated code, and the flags it reads. */
export const CONDITIONS: readonly { readonly name: string; readonly test: string; readonly reads: number }[] = [
  { name: 'eq', test: 'f === 0', reads: FLAGS_NZ },
  { name: 'ne', test: 'f !== 0', reads: FLAGS_NZ },
  { name: 'cs', test: 'c !== 0', reads: FLAG_C },
  { name: 'cc', test: 'c === 0', reads: FLAG_C },
  { name: 'mi', test: 'f < 0', reads: FLAGS_NZ },
  { name: 'pl', test: 'f >= 0', reads: FLAGS_NZ },
  { name: 'vs', test: 'v !== 0', reads: FLAG_V },
  { name: 'vc', test: 'v === 0', reads: FLAG_V },
  { name: 'hi', test: 'c !== 0 && f !== 0', reads: FLAGS_NZ | FLAG_C },
  { name: 'ls', test: 'c === 0 || f === 0', reads: FLAGS_NZ | FLAG_C },
  { name: 'ge', test: 'f >>> 31 === v', reads: FLAGS_NZ | FLAG_V },
  { name: 'lt', test: 'f >>> 31 !== v', reads: FLAGS_NZ | FLAG_V },
  { name: 'gt', test: 'f !== 0 && f >>> 31 === v', reads: FLAGS_NZ | FLAG_V },
  { name: 'le', test: 'f === 0 || f >>> 31 !== v', reads: FLAGS_NZ | FLAG_V },
];
