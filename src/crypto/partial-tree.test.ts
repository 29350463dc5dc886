import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HASH_BYTES, type Hash } from "../lib/hash.ts";
import { LEAF_COUNT_MAX, MerkleTree } from "./merkle.ts";
import { PartialTree, type PlacedLeaf } from "./partial-tree.ts";

const leavesOf = (count: number): readonly Hash[] =>
  Array.from({ length: count }, (_, at) => at.toString(16).padStart(64, "0") as Hash);

const some = fc.integer({ min: 1, max: 70 }).chain((count) =>
  fc.record({
    count: fc.constant(count),
    indices: fc
      .uniqueArray(fc.nat(count - 1), { minLength: 1, maxLength: count })
      .map((indices) => indices.sort((left, right) => left - right)),
  }),
);

function placed(count: number, indices: readonly number[]): readonly PlacedLeaf[] {
  const leaves = leavesOf(count);
  return indices.map((index) => ({ index, leaf: leaves[index] as Hash }));
}

describe("a part of a Merkle tree", () => {
  test("has the whole tree's root, and the same path for each of its leaves", () => {
    fc.assert(
      fc.property(some, ({ count, indices }) => {
        const tree = new MerkleTree(leavesOf(count));
        const part = PartialTree.of(count, placed(count, indices), tree.complement(indices));
        expect(part?.root).toBe(tree.root);
        for (const index of indices) expect(part?.path(index)).toEqual(tree.path(index));
      }),
    );
  });

  test("gives paths that share the texts of their digests: they are kept for long", () => {
    const count = 512;
    const indices = Array.from({ length: count }, (_, index) => index);
    const part = PartialTree.of(count, placed(count, indices), new Uint8Array(0));
    const before = strings();
    const paths = indices.map((index) => part?.path(index) ?? []);
    const made = strings() - before;
    expect(paths.every(({ length }) => length === 9)).toBe(true);
    // One for each digest of the tree but the top, not nine for each path; some are the test's own.
    expect(made).toBeLessThan(3 * count);
  });

  test("takes no more digests than the leaves' paths have, and none where it has all leaves", () => {
    fc.assert(
      fc.property(some, ({ count, indices }) => {
        const tree = new MerkleTree(leavesOf(count));
        const digests = tree.complement(indices).length / HASH_BYTES;
        expect(digests).toBeLessThanOrEqual(indices.reduce((sum, index) => sum + tree.path(index).length, 0));
        if (indices.length === count) expect(digests).toBe(0);
      }),
    );
  });

  test("is none, or of another tree, where a leaf, its place, a digest or the count is another", () => {
    fc.assert(
      fc.property(some, fc.nat(), fc.nat(7), ({ count, indices }, at, bit) => {
        const tree = new MerkleTree(leavesOf(count));
        const complement = tree.complement(indices);
        const leaves = placed(count, indices);
        const rootOf = (...parts: Parameters<typeof PartialTree.of>): Hash | null =>
          PartialTree.of(...parts)?.root ?? null;
        const chosen = at % leaves.length;
        const other = leaves.map((each, place) =>
          place === chosen ? { ...each, leaf: "f".repeat(64) as Hash } : each,
        );
        expect(rootOf(count, other, complement)).not.toBe(tree.root);
        expect(rootOf(count + 1, leaves, complement)).not.toBe(tree.root);
        expect(rootOf(count, leaves.slice(0, -1), complement)).not.toBe(tree.root);
        const free = Array.from({ length: count }, (_, index) => index).find((index) => !indices.includes(index));
        if (free !== undefined) {
          const moved = leaves
            .map((each, place) => (place === chosen ? { ...each, index: free } : each))
            .sort((left, right) => left.index - right.index);
          expect(rootOf(count, moved, complement)).not.toBe(tree.root);
        }
        if (complement.length === 0) return;
        const flipped = complement.slice();
        const byte = at % flipped.length;
        flipped[byte] = (flipped[byte] ?? 0) ^ (1 << bit);
        expect(rootOf(count, leaves, flipped)).not.toBe(tree.root);
        expect(rootOf(count, leaves, complement.subarray(HASH_BYTES))).toBeNull();
        expect(rootOf(count, leaves, complement.subarray(1))).toBeNull();
      }),
    );
  });

  test.each([
    ["no leaf", 3, []],
    ["the same leaf twice", 2, [0, 0]],
    ["leaves in another order", 2, [1, 0]],
    ["a leaf beyond the last", 2, [2]],
    ["a negative place", 2, [-1]],
    ["a place between two", 2, [0.5]],
    ["no tree at all", 0, [0]],
    ["a count that is none", Number.NaN, [0]],
    ["more leaves than any tree has", LEAF_COUNT_MAX + 1, [0]],
  ])("is none for %s", (_, count, indices) => {
    const leaves = indices.map((index) => ({ index, leaf: "0".repeat(64) as Hash }));
    for (const digests of [0, 1, 2, 30, 31])
      expect(PartialTree.of(count, leaves, new Uint8Array(digests * HASH_BYTES))).toBeNull();
  });
});

/** Live texts in the heap. */
function strings(): number {
  Bun.gc(true);
  return heapStats().objectTypeCounts["string"] ?? 0;
}
