/** A stream of random numbers that a seed makes repeatable (xorshift32, Marsaglia 2003). Not for secrets. */
export class Random {
  private state: number;

  constructor(seed: number) {
    // Zero is the one state xorshift never leaves.
    this.state = seed >>> 0 || 0x9e3779b9;
  }

  /** A whole number from 0 to 2^32 - 1. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }

  /** A number from 0 up to, but not, 1. */
  fraction(): number {
    return this.next() / 2 ** 32;
  }
}
