import type { Hash } from "../lib/hash.ts";
import type { Epoch } from "../membership/ids.ts";
import { EARLIER_SETS_MAX } from "../membership/membership-state.ts";
import type { Proof } from "../membership/seal.ts";

/** That validators of one epoch have accepted a vertex; a quorum of them, ascending by index. */
export interface Words {
  readonly epoch: Epoch;
  readonly proofs: readonly Proof[];
}

/** About 50 words of 67 validators each, or a thousand of three: what is asked for again is so soon. */
const KEPT_BYTES_MAX: number = 16 * 1024 * 1024;

/** A hybrid signature and its path in memory. One signature may be shared by several vertices: it is less then. */
const PROOF_BYTES = 5_000;

/** The words that were collected lately. The oldest are forgotten: a quorum can say them again. */
export class KeptWords {
  readonly #words = new Map<Hash, Words>();
  #bytes = 0;

  /** Null where they are not kept, or too old for those who stand at `now`: they know the sets of so many epochs before theirs. */
  get(vertex: Hash, now: Epoch): Words | null {
    const words = this.#words.get(vertex);
    return words === undefined || words.epoch + EARLIER_SETS_MAX <= now ? null : words;
  }

  add(vertex: Hash, words: Words): void {
    this.#forget(vertex);
    this.#words.set(vertex, words);
    this.#bytes += bytesOf(words);
    while (this.#bytes > KEPT_BYTES_MAX) {
      const oldest = this.#words.keys().next();
      if (oldest.done === true) return;
      this.#forget(oldest.value);
    }
  }

  #forget(vertex: Hash): void {
    const words = this.#words.get(vertex);
    if (words === undefined) return;
    this.#words.delete(vertex);
    this.#bytes -= bytesOf(words);
  }
}

function bytesOf({ proofs }: Words): number {
  return PROOF_BYTES * proofs.length;
}
