import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hashOf } from "../crypto/hash.ts";
import { hashBytes } from "../lib/hash.ts";
import { HashTrie, type TrieItem } from "./hash-trie.ts";

function item(name: number, value = 0): TrieItem<string> {
  const path = hashOf("record", Uint8Array.of(name & 0xff, name >> 8));
  return {
    path,
    digest: hashOf("record", hashBytes(path), Uint8Array.of(value)),
    value: `${name}=${value}`,
  };
}

function trieOf(set: ReadonlyMap<number, number>): HashTrie<string> {
  const trie = new HashTrie<string>();
  for (const [name, value] of set) trie.set(item(name, value));
  return trie;
}

/** Few names, so that leaves split and come together again; and more, so that branches lose whole children. */
const steps = fc
  .constantFrom(12, 60)
  .chain((names) =>
    fc.array(fc.tuple(fc.nat(names), fc.option(fc.nat(3), { freq: 2 })), { maxLength: 200, size: "max" }),
  );

describe("a trie of hashes", () => {
  test("has the digest of its set, whatever came and went before, and no other set has it", () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(steps, (list) => {
        const trie = new HashTrie<string>();
        const model = new Map<number, number>();
        for (const [name, value] of list) {
          if (value === null) trie.delete(item(name).path);
          else trie.set(item(name, value));
          if (value === null) model.delete(name);
          else model.set(name, value);
          // Digests in between are what a later one is made from.
          if (name % 3 === 0) trie.digest();
        }
        const names = [...model].sort(([left], [right]) => left - right);
        const digest = trie.digest().toHex();
        expect(digest).toBe(trieOf(new Map(names.toReversed())).digest().toHex());
        expect(trie.size).toBe(model.size);
        const content = names.join(" ");
        expect(seen.get(digest) ?? content).toBe(content);
        seen.set(digest, content);
      }),
      { numRuns: 500 },
    );
    expect(seen.size).toBeGreaterThan(100);
  });

  test("hands out a frozen content as it was, in the order of the paths, while it goes on", () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const model = new Map(before.map(([name, value]) => [name, value ?? 0]));
        const trie = trieOf(model);
        const frozen = trie.freeze();
        for (const [name, value] of after) {
          if (value === null) trie.delete(item(name).path);
          else trie.set(item(name, value + 10));
        }
        const wanted = [...model].map(([name, value]) => item(name, value));
        const values = wanted.sort((left, right) => (left.path < right.path ? -1 : 1)).map(({ value }) => value);
        expect([...frozen]).toEqual(values);
        expect([...frozen]).toEqual(values);
      }),
    );
  });

  test("of ten thousand items is no deeper than their hashes ask for", () => {
    const trie = trieOf(new Map(Array.from({ length: 10_000 }, (_, name) => [name, 1])));
    expect(trie.size).toBe(10_000);
    expect([...trie.freeze()]).toHaveLength(10_000);
    expect(trie.digest()).toHaveLength(32);
  });
});
