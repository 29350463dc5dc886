import { present } from "../lib/assert.ts";

/** A block that grows beyond this is halved: an insertion moves a few hundred references at most. */
const BLOCK_ENTRIES_MAX = 512;

/**
 * Entries by their keys, and the keys in order in a list of blocks: two binary searches find a place, and a walk in either
 * direction is a walk through arrays. What is written again takes no search. How the blocks are cut depends on the past and
 * is seen nowhere.
 */
export class SortedEntries<Entry extends { readonly key: string }> {
  /** None is empty, but for the only one of an empty list. */
  readonly #blocks: string[][] = [[]];
  readonly #entries = new Map<string, Entry>();
  readonly #compare: (left: string, right: string) => number;

  /** @param compare the order of the keys */
  constructor(compare: (left: string, right: string) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Entry | null {
    return this.#entries.get(key) ?? null;
  }

  set(entry: Entry): void {
    const { key } = entry;
    const isThere = this.#entries.has(key);
    this.#entries.set(key, entry);
    if (isThere) return;
    const [index, at] = this.#place(key);
    const block = this.#blocks[index] ?? [];
    block.splice(at, 0, key);
    if (block.length > BLOCK_ENTRIES_MAX) this.#blocks.splice(index + 1, 0, block.splice(block.length >> 1));
  }

  delete(key: string): void {
    if (!this.#entries.delete(key)) return;
    const [index, at] = this.#place(key);
    const block = this.#blocks[index] ?? [];
    block.splice(at, 1);
    if (block.length === 0 && this.#blocks.length > 1) this.#blocks.splice(index, 1);
  }

  /** How many keys are below this one; null for how many there are. */
  rank(key: string | null): number {
    if (key === null) return this.#entries.size;
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
        yield this.#entryAt(block, place);
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
        yield this.#entryAt(block, place);
      }
    }
  }

  #entryAt(block: readonly string[], place: number): Entry {
    return present(this.#entries.get(block[place] ?? ""), "the entry of a key");
  }

  /** The block that the key belongs to, and in it the place of the first that is not below it. */
  #place(key: string): readonly [block: number, at: number] {
    const blocks = this.#blocks;
    const above = firstWhere(blocks.length, (index) => this.#compare(blocks[index]?.[0] ?? "", key) > 0);
    const index = Math.max(0, above - 1);
    const block = blocks[index] ?? [];
    return [index, firstWhere(block.length, (at) => this.#compare(block[at] ?? "", key) >= 0)];
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
