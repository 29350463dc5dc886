import { HASH_BYTES, type Hash } from "../lib/hash.ts";
import { bindCount, LEAF_COUNT_MAX, leafDigest, nodeDigest } from "./merkle.ts";

/** A leaf with its place in the tree. */
export interface PlacedLeaf {
  readonly index: number;
  readonly leaf: Hash;
}

/**
 * What some leaves and the digests beside their paths say of a Merkle tree (`MerkleTree.complement`): its root, and the path of each of
 * those leaves. For a leaves of n it takes about a log n digests instead of all 2 n of the tree.
 *
 * Invariant: the root equals `merkleRoot(all)` only if each leaf is that tree's leaf with its index.
 */
export class PartialTree {
  readonly root: Hash;
  /** What is known of each level, by position; the leaves' digests first. */
  readonly #levels: readonly ReadonlyMap<number, Uint8Array>[];
  /** The texts of digests, each once: the paths of a turn's statements are kept for long, and share most of them. */
  readonly #texts = new Map<Uint8Array, Hash>();

  private constructor(root: Hash, levels: readonly ReadonlyMap<number, Uint8Array>[]) {
    this.root = root;
    this.#levels = levels;
  }

  /** Null where these leaves, in strictly ascending order, and digests fit no tree of so many leaves. */
  static of(leafCount: number, leaves: readonly PlacedLeaf[], complement: Uint8Array): PartialTree | null {
    if (!Number.isSafeInteger(leafCount) || leafCount > LEAF_COUNT_MAX || !isAscending(leaves, leafCount)) return null;
    const rest = { digests: complement, at: 0 };
    let level = new Map(leaves.map(({ index, leaf }) => [index, leafDigest(leaf)]));
    const levels: Map<number, Uint8Array>[] = [];
    for (let width = leafCount; width > 1; width = (width + 1) >> 1) {
      levels.push(level);
      const above = climb(level, width, rest);
      if (above === null) return null;
      level = above;
    }
    const top = level.get(0);
    if (top === undefined || rest.at !== complement.length) return null;
    return new PartialTree(bindCount(top, leafCount), levels);
  }

  /** The siblings of one of its leaves from the leaf up, lowest first, as `MerkleTree.path`. */
  path(index: number): readonly Hash[] {
    const path: Hash[] = [];
    let position = index;
    for (const level of this.#levels) {
      const sibling = level.get(position ^ 1);
      if (sibling !== undefined) path.push(this.#textOf(sibling));
      position >>= 1;
    }
    return path;
  }

  #textOf(digest: Uint8Array): Hash {
    let text = this.#texts.get(digest);
    if (text === undefined) {
      text = digest.toHex() as Hash;
      this.#texts.set(digest, text);
    }
    return text;
  }
}

function isAscending(leaves: readonly PlacedLeaf[], leafCount: number): boolean {
  let last = -1;
  for (const { index } of leaves) {
    if (!Number.isSafeInteger(index) || index <= last || index >= leafCount) return false;
    last = index;
  }
  return last >= 0;
}

/** One level up. What is missing beside a known digest is taken from the rest, and belongs to the level from then on. */
function climb(
  level: Map<number, Uint8Array>,
  width: number,
  rest: { readonly digests: Uint8Array; at: number },
): Map<number, Uint8Array> | null {
  const above = new Map<number, Uint8Array>();
  // Positions ascend: a pair's left half comes first, and what is added lies beside one that was looked at.
  for (const [position, digest] of [...level]) {
    const parent = position >> 1;
    if (above.has(parent)) continue;
    const beside = position ^ 1;
    if (beside >= width) {
      above.set(parent, digest);
      continue;
    }
    let other = level.get(beside);
    if (other === undefined) {
      const end = rest.at + HASH_BYTES;
      if (end > rest.digests.length) return null;
      other = rest.digests.slice(rest.at, end);
      rest.at = end;
      level.set(beside, other);
    }
    above.set(parent, position < beside ? nodeDigest(digest, other) : nodeDigest(other, digest));
  }
  return above;
}
