import { assert } from "../lib/assert.ts";
import { HASH_BYTES, type Hash, hashBytes, toHash } from "../lib/hash.ts";
import { digestOf, hashOf } from "./hash.ts";

/**
 * Peers supply leaf counts. Above this, the 32-bit shifts below and the 32-bit count in the root would take 2^32 + 2 leaves
 * for 2; no tree that we build comes near it.
 */
export const LEAF_COUNT_MAX = 0x4000_0000;

/**
 * Merkle trees over digests, shaped as in RFC 6962 §2.1: leaves and inner nodes are hashed under different domains, an
 * odd node moves up unpaired (nothing is duplicated, so Bitcoin's CVE-2012-2459 has no counterpart), and the root binds
 * the number of leaves.
 *
 * Invariant: `rootFromPath(leaf, i, n, path)` equals `merkleRoot(leaves)` only if `leaf` is the i-th of those n leaves.
 */
export class MerkleTree {
  readonly root: Hash;
  readonly leafCount: number;
  /** The leaves' digests first, the top last; of each level one digest behind the other. */
  readonly #levels: readonly Uint8Array[];

  /** Two digests a leaf; whoever needs more than one path keeps the tree, for paths cost none. */
  constructor(leaves: readonly Hash[]) {
    assert(leaves.length > 0, "a Merkle tree has at least one leaf");
    assert(leaves.length <= LEAF_COUNT_MAX, `a Merkle tree of ${leaves.length} leaves`);
    let level: Uint8Array = new Uint8Array(leaves.length * HASH_BYTES);
    leaves.forEach((leaf, index) => {
      level.set(leafDigest(leaf), index * HASH_BYTES);
    });
    const levels = [level];
    while (level.length > HASH_BYTES) {
      level = parentLevel(level);
      levels.push(level);
    }
    this.leafCount = leaves.length;
    this.#levels = levels;
    this.root = bindCount(level, leaves.length);
  }

  /** The siblings from the leaf up, lowest first. */
  path(index: number): readonly Hash[] {
    assert(index >= 0 && index < this.leafCount, `leaf ${index} of ${this.leafCount}`);
    const path: Hash[] = [];
    let position = index;
    for (const level of this.#levels) {
      const at = (position ^ 1) * HASH_BYTES;
      if (at < level.length) path.push(toHash(level.subarray(at, at + HASH_BYTES)));
      position >>= 1;
    }
    return path;
  }

  /**
   * The digests that these leaves, in strictly ascending order, lack for the root, one behind the other: level by level from
   * below, from left to right. With them `PartialTree` finds the root and their paths.
   */
  complement(indices: readonly number[]): Uint8Array {
    const parts: Uint8Array[] = [];
    let positions = indices;
    for (const level of this.#levels) {
      const above: number[] = [];
      for (const [at, position] of positions.entries()) {
        const parent = position >> 1;
        if (above.at(-1) === parent) continue;
        above.push(parent);
        const beside = position ^ 1;
        const start = beside * HASH_BYTES;
        const isKnown = positions[at + 1] === beside;
        if (!isKnown && start < level.length) parts.push(level.subarray(start, start + HASH_BYTES));
      }
      positions = above;
    }
    const bytes = new Uint8Array(parts.length * HASH_BYTES);
    for (const [at, part] of parts.entries()) bytes.set(part, at * HASH_BYTES);
    return bytes;
  }
}

export function merkleRoot(leaves: readonly Hash[]): Hash {
  return new MerkleTree(leaves).root;
}

/** As `MerkleTree.path`, for who needs one path only. */
export function merklePath(leaves: readonly Hash[], index: number): readonly Hash[] {
  return new MerkleTree(leaves).path(index);
}

/** The digest above two others. */
export function nodeDigest(left: Uint8Array, right: Uint8Array): Uint8Array {
  return digestOf("merkle-node", left, right);
}

/** The root that this leaf and path lead to, or null where index, count and path's length do not fit any tree. */
export function rootFromPath(leaf: Hash, index: number, leafCount: number, path: readonly Hash[]): Hash | null {
  if (!Number.isSafeInteger(leafCount) || leafCount > LEAF_COUNT_MAX) return null;
  if (!Number.isSafeInteger(index) || index < 0 || index >= leafCount) return null;
  let node = leafDigest(leaf);
  let position = index;
  let width = leafCount;
  let used = 0;
  while (width > 1) {
    if ((position ^ 1) < width) {
      const sibling = path[used];
      if (sibling === undefined) return null;
      used += 1;
      const other = hashBytes(sibling);
      node = position % 2 === 0 ? nodeDigest(node, other) : nodeDigest(other, node);
    }
    position >>= 1;
    width = (width + 1) >> 1;
  }
  return used === path.length ? bindCount(node, leafCount) : null;
}

/** The longest path in a tree of that many leaves. */
export function merklePathLengthMax(leafCount: number): number {
  return Math.ceil(Math.log2(Math.max(1, leafCount)));
}

export function leafDigest(leaf: Hash): Uint8Array {
  return digestOf("merkle-leaf", hashBytes(leaf));
}

function parentLevel(level: Uint8Array): Uint8Array {
  const width = level.length / HASH_BYTES;
  const parents = new Uint8Array(((width + 1) >> 1) * HASH_BYTES);
  for (let at = 0; at < level.length; at += 2 * HASH_BYTES) {
    const pair = level.subarray(at, at + 2 * HASH_BYTES);
    parents.set(pair.length === HASH_BYTES ? pair : digestOf("merkle-node", pair), at / 2);
  }
  return parents;
}

/** The root: the top, bound to the number of leaves. */
export function bindCount(top: Uint8Array, leafCount: number): Hash {
  const count = new Uint8Array(8);
  new DataView(count.buffer).setUint32(0, leafCount, true);
  return hashOf("merkle-root", count, top);
}
