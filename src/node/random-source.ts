import type { Entropy } from "./ports.ts";

/** Bytes drawn at a time: one call of the system's generator for a thousand draws. */
const POOL_BYTES = 4_096;

const DRAW_BYTES = 4;
const DRAWS = 2 ** 32;

/** Whole numbers out of unpredictable bytes, each as likely as the others. */
export class EntropySource {
  readonly #entropy: Entropy;
  #pool: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;

  constructor(entropy: Entropy) {
    this.#entropy = entropy;
  }

  /** From 0 to `bound` - 1; `bound` is 1 to 2^32. */
  below(bound: number): number {
    // What lies above the last whole multiple would make small numbers likelier.
    const limit = DRAWS - (DRAWS % bound);
    for (;;) {
      const drawn = this.#draw();
      if (drawn < limit) return drawn % bound;
    }
  }

  #draw(): number {
    if (this.#at + DRAW_BYTES > this.#pool.byteLength) {
      const bytes = this.#entropy.bytes(POOL_BYTES);
      this.#pool = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#at = 0;
    }
    const drawn = this.#pool.getUint32(this.#at);
    this.#at += DRAW_BYTES;
    return drawn;
  }
}

export const NO_ENTROPY: Entropy = {
  bytes: () => {
    throw new Error("a network with a leader draws nothing at random");
  },
};
