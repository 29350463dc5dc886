/** A seeded stream of numbers (sfc32): one seed, one run. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = 0x9e37_79b9 | 0;
    for (let round = 0; round < 12; round++) this.next();
  }

  /** Uniform in 0 .. 2^32 - 1. */
  next(): number {
    const out = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + out;
    return out >>> 0;
  }

  /** Uniform in [0, 1), in steps of 2^-32. */
  fraction(): number {
    return this.next() / 0x1_0000_0000;
  }

  /** A stream of its own, so that what one part of a run draws does not move what another draws. */
  static of(seed: number, ...path: readonly number[]): Random {
    let mixed = seed;
    for (const step of path) mixed = new Random(mixed * 31 + step + 1).next() * 0x20_0000 + (mixed % 0x20_0000);
    return new Random(mixed);
  }

  /** Uniform in 0 .. count - 1. */
  below(count: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * count);
  }

  /** Uniform in low .. high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability * 0x1_0000_0000;
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new Error("nothing to pick from");
    return value;
  }

  shuffled<T>(values: readonly T[]): readonly T[] {
    const keyed = values.map((value) => ({ value, key: this.next() }));
    return keyed.sort((left, right) => left.key - right.key).map(({ value }) => value);
  }
}
