/** A seeded stream of numbers (splitmix, Steele, Lea & Flood 2014, on 32 bits): one seed, one run. Of its own, so that a
 * change of the simulator's generator leaves the mutants of a reported seed as they were. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ Math.floor(seed / 0x1_0000_0000)) | 0;
  }

  /** Uniform in 0 .. 2^32 - 1. */
  next(): number {
    this.#state = (this.#state + 0x9e37_79b9) | 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  /** Uniform in 0 .. count - 1; 0 where count is 0. */
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
    const index = this.below(values.length);
    if (index >= values.length) throw new Error("nothing to pick from");
    return values[index] as T;
  }
}
