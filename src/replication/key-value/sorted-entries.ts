import type { Entry } from "./entry.ts";
import { compareKeys } from "./key.ts";

/** A block that grows beyond this is halved: an insertion moves a few hundred references at most. */
const BLOCK_ENTRIES_MAX = 512;

/**
 * Entries in the order of their keys, in a list of blocks: two binary searches find one, and a walk in either direction is
 * a walk through arrays. How the blocks are cut depends on the past and is seen nowhere.
 */
export class SortedEntries {
  /** None is empty, but for the only one of an empty list. */
  readonly #blocks: Entry[][] = [[]];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): Entry | null {
    const [block, at] = this.#place(key);
    const found = this.#blocks[block]?.[at];
    return found?.key === key ? found : null;
  }

  set(entry: Entry): void {
    const [index, at] = this.#place(entry.key);
    const block = this.#blocks[index] ?? [];
    const isThere = block[at]?.key === entry.key;
    if (isThere) {
      block[at] = entry;
      return;
    }
    block.splice(at, 0, entry);
    this.#size++;
    if (block.length <= BLOCK_ENTRIES_MAX) return;
    this.#blocks.splice(index + 1, 0, block.splice(block.length >> 1));
  }

  delete(key: string): void {
    const [index, at] = this.#place(key);
    const block = this.#blocks[index] ?? [];
    if (block[at]?.key !== key) return;
    block.splice(at, 1);
    this.#size--;
    if (block.length === 0 && this.#blocks.length > 1) this.#blocks.splice(index, 1);
  }

  /** How many keys are below this one; null for how many there are. */
  rank(key: string | null): number {
    if (key === null) return this.#size;
    const [index, at] = this.#place(key);
    let rank = at;
    for (let before = 0; before < index; before++) rank += this.#blocks[before]?.length ?? 0;
    return rank;
  }

  /** From the first that is not below the key. The list must not change meanwhile. */
  *ascending(from: string | null): Generator<Entry> {
    const [first, at] = from === null ? [0, 0] : this.#place(from);
    for (let index = first; index < this.#blocks.length; index++) {
      const block = this.#blocks[index] ?? [];
      for (let place = index === first ? at : 0; place < block.length; place++) {
        const entry = block[place];
        if (entry !== undefined) yield entry;
      }
    }
  }

  /** From the last that is below the key. The list must not change meanwhile. */
  *descending(below: string | null): Generator<Entry> {
    const last = this.#blocks.length - 1;
    const [first, at] = below === null ? [last, this.#blocks[last]?.length ?? 0] : this.#place(below);
    for (let index = first; index >= 0; index--) {
      const block = this.#blocks[index] ?? [];
      for (let place = (index === first ? at : block.length) - 1; place >= 0; place--) {
        const entry = block[place];
        if (entry !== undefined) yield entry;
      }
    }
  }

  /** The block that the key belongs to, and in it the place of the first entry that is not below the key. */
  #place(key: string): readonly [block: number, at: number] {
    const blocks = this.#blocks;
    const above = firstWhere(blocks.length, (index) => compareKeys(blocks[index]?.[0]?.key ?? "", key) > 0);
    const index = Math.max(0, above - 1);
    const block = blocks[index] ?? [];
    return [index, firstWhere(block.length, (at) => compareKeys(block[at]?.key ?? "", key) >= 0)];
  }
}

/** The first place from which on the condition holds; `length` where it holds nowhere. */
function firstWhere(length: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
