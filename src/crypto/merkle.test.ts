import { describe, expect, test } from "bun:test";
import { blake3 } from "@noble/hashes/blake3.js";
import fc from "fast-check";
import { Bug } from "../lib/assert.ts";
import { type Hash, hashBytes, toHash } from "../lib/hash.ts";
import { hashOf } from "./hash.ts";
import { MerkleTree, merklePath, merklePathLengthMax, merkleRoot, rootFromPath } from "./merkle.ts";

/** RFC 6962 §2.1 word by word, with another BLAKE3: split at the largest power of two below n, recurse. */
function naiveTop(leaves: readonly Hash[]): Uint8Array {
  const [first] = leaves;
  if (first !== undefined && leaves.length === 1) return tagged("merkle-leaf", hashBytes(first));
  const split = naiveSplit(leaves.length);
  return tagged("merkle-node", naiveTop(leaves.slice(0, split)), naiveTop(leaves.slice(split)));
}

function naiveRoot(leaves: readonly Hash[]): Hash {
  const count = Buffer.alloc(8);
  count.writeBigUInt64LE(BigInt(leaves.length));
  return toHash(tagged("merkle-root", count, naiveTop(leaves)));
}

/** RFC 6962 §2.1.1, the audit path. */
function naivePath(leaves: readonly Hash[], index: number): Hash[] {
  if (leaves.length === 1) return [];
  const split = naiveSplit(leaves.length);
  const left = leaves.slice(0, split);
  const right = leaves.slice(split);
  return index < split
    ? [...naivePath(left, index), toHash(naiveTop(right))]
    : [...naivePath(right, index - split), toHash(naiveTop(left))];
}

function naiveSplit(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

function tagged(domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return blake3(new Uint8Array(Buffer.concat([Buffer.from(`cretoai/v1/${domain}\0`), ...parts])));
}

const leavesOf = (count: number): Hash[] =>
  Array.from({ length: count }, (_, index) => hashOf("record", Uint8Array.of(index & 255, index >> 8)));

function at<T>(values: readonly T[], index: number): T {
  const value = values[index];
  if (value === undefined) throw new Error(`no element ${index}`);
  return value;
}

const anyTree = fc
  .integer({ min: 1, max: 70 })
  .chain((count) => fc.record({ leaves: fc.constant(leavesOf(count)), index: fc.integer({ min: 0, max: count - 1 }) }));

describe("a Merkle tree", () => {
  test("gives all paths of its leaves, in any order, once it is built", () => {
    fc.assert(
      fc.property(anyTree, ({ leaves, index }) => {
        const tree = new MerkleTree(leaves);
        expect([tree.leafCount, tree.root]).toEqual([leaves.length, naiveRoot(leaves)]);
        for (const each of [index, 0, leaves.length - 1, index])
          expect(tree.path(each)).toEqual(naivePath(leaves, each));
        expect(() => tree.path(leaves.length)).toThrow(Bug);
      }),
    );
  });

  test("has RFC 6962's root and paths for every size up to 40", () => {
    for (let count = 1; count <= 40; count++) {
      const leaves = leavesOf(count);
      expect(merkleRoot(leaves)).toBe(naiveRoot(leaves));
      for (let index = 0; index < count; index++) {
        expect(merklePath(leaves, index)).toEqual(naivePath(leaves, index));
      }
    }
  });

  test("leads from every leaf to its root, for every size up to 40 and at 1,000", () => {
    for (const count of [...Array.from({ length: 40 }, (_, index) => index + 1), 1000]) {
      const leaves = leavesOf(count);
      const root = merkleRoot(leaves);
      const step = count > 40 ? 97 : 1;
      for (let index = 0; index < count; index += step) {
        expect(rootFromPath(at(leaves, index), index, count, merklePath(leaves, index))).toBe(root);
      }
    }
  });

  test("has no path longer than the limit, and some path that reaches it", () => {
    for (let count = 1; count <= 70; count++) {
      const leaves = leavesOf(count);
      const lengths = leaves.map((_, index) => merklePath(leaves, index).length);
      expect(Math.max(...lengths)).toBe(merklePathLengthMax(count));
    }
  });

  test("lets another leaf reach no root of these leaves", () => {
    fc.assert(
      fc.property(anyTree, fc.nat(255), ({ leaves, index }, seed) => {
        const other = hashOf("history", Uint8Array.of(seed));
        const reached = rootFromPath(other, index, leaves.length, merklePath(leaves, index));
        expect(reached).not.toBe(merkleRoot(leaves));
      }),
    );
  });

  test("lets a leaf reach the root from no other index", () => {
    fc.assert(
      fc.property(anyTree, fc.integer({ min: -2, max: 80 }), ({ leaves, index }, other) => {
        fc.pre(other !== index);
        const reached = rootFromPath(at(leaves, index), other, leaves.length, merklePath(leaves, index));
        expect(reached).not.toBe(merkleRoot(leaves));
      }),
    );
  });

  test("lets a leaf reach the root under no other number of leaves", () => {
    fc.assert(
      fc.property(anyTree, fc.integer({ min: 0, max: 200 }), ({ leaves, index }, count) => {
        fc.pre(count !== leaves.length);
        const reached = rootFromPath(at(leaves, index), index, count, merklePath(leaves, index));
        expect(reached).not.toBe(merkleRoot(leaves));
      }),
    );
  });

  test("lets no changed, shortened or lengthened path reach the root", () => {
    fc.assert(
      fc.property(anyTree, fc.nat(), fc.nat(31), ({ leaves, index }, place, byte) => {
        const path = merklePath(leaves, index);
        const leaf = at(leaves, index);
        expect(rootFromPath(leaf, index, leaves.length, [...path, leaf])).toBeNull();
        if (path.length === 0) return;
        expect(rootFromPath(leaf, index, leaves.length, path.slice(1))).toBeNull();
        expect(rootFromPath(leaf, index, leaves.length, path.slice(0, -1))).toBeNull();
        const bytes = hashBytes(at(path, place % path.length));
        bytes[byte] = (bytes[byte] ?? 0) ^ 1;
        const changed = path.with(place % path.length, toHash(bytes));
        expect(rootFromPath(leaf, index, leaves.length, changed)).not.toBe(merkleRoot(leaves));
      }),
    );
  });

  test("changes its root with any leaf, with the order and with a repeated last leaf", () => {
    const leaves = leavesOf(5);
    const [a, b, c, d, e] = leaves as [Hash, Hash, Hash, Hash, Hash];
    const roots = [leaves, [b, a, c, d, e], [a, b, c, d], [a, b, c, d, e, e], [a, b, c, d, e, e, e, e]].map(merkleRoot);
    expect(new Set(roots).size).toBe(roots.length);
  });

  test("never takes an inner node for a leaf", () => {
    const leaves = leavesOf(4);
    const [a, b, c, d] = leaves as [Hash, Hash, Hash, Hash];
    const inner = [toHash(naiveTop([a, b])), toHash(naiveTop([c, d]))];
    expect(merkleRoot(inner)).not.toBe(merkleRoot(leaves));
  });

  test("refuses a leaf count that is no number of leaves, and ends at once on a huge one", () => {
    const [leaf] = leavesOf(1) as [Hash];
    expect(rootFromPath(leaf, 0, 0, [])).toBeNull();
    expect(rootFromPath(leaf, 0, Number.MAX_SAFE_INTEGER, [])).toBeNull();
    expect(rootFromPath(leaf, 0, 0x1_0000_0001, [])).toBeNull();
    expect(rootFromPath(leaf, 0, 0x8000_0001, [])).toBeNull();
    expect(rootFromPath(leaf, 0.5, 2, [leaf])).toBeNull();
    expect(rootFromPath(leaf, 0, Number.NaN, [])).toBeNull();
  });

  test("does not take 2^32 leaves more for the same tree", () => {
    const leaves = leavesOf(2);
    const [leaf] = leaves as [Hash, Hash];
    const path = merklePath(leaves, 0);
    expect(rootFromPath(leaf, 0, 2, path)).toBe(merkleRoot(leaves));
    expect(rootFromPath(leaf, 0, 2 ** 32 + 2, path)).toBeNull();
  });

  test("has at least one leaf, and that is for the caller to see to", () => {
    expect(() => merkleRoot([])).toThrow(Bug);
    expect(() => merklePath(leavesOf(2), 2)).toThrow(Bug);
  });
});
