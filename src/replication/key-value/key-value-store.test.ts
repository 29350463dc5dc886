import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../../crypto/identity.ts";
import { compareBytes, equalBytes } from "../../lib/bytes.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import type { ClientId } from "../command.ts";
import { type CommandContext, CommandRejected, QueryRefused } from "../replicated.ts";
import { VALUE_BYTES_MAX } from "./entry.ts";
import { KeyValueStore } from "./key-value-store.ts";
import { decodeConflict, decodeWritten, encodeKvCommand, type KvCommand, type KvWrite } from "./kv-command.ts";
import { type Bounds, decodeAnswer, encodeQuestion, type KvAnswer, type KvQuestion } from "./kv-query.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function contextAt(position: number): CommandContext {
  return {
    position: position as Position,
    sequence: position as Sequence,
    timestampMs: 0,
    creator: "c".repeat(64) as NodeId,
    client: "0".repeat(32) as ClientId,
    number: position,
    seed: new Uint8Array(32),
  };
}

/** The answer, or the conflict's version in a pair with its place. */
function run(store: KeyValueStore, command: KvCommand, position: number): unknown {
  try {
    return decodeWritten(store.apply(encodeKvCommand(command), contextAt(position)));
  } catch (error) {
    if (!(error instanceof CommandRejected)) throw error;
    return { reason: error.message, ...decodeConflict(error.detail) };
  }
}

function ask<K extends KvQuestion["kind"]>(
  store: KeyValueStore,
  question: Extract<KvQuestion, { kind: K }>,
): Extract<KvAnswer, { kind: K }> {
  return decodeAnswer(store.query(encodeQuestion(question))) as Extract<KvAnswer, { kind: K }>;
}

interface Row {
  readonly value: string;
  readonly version: number;
  readonly created: number;
}

/** The store as a plain map, in the slowest way. */
class Model {
  rows = new Map<string, Row>();

  run(command: KvCommand, position: number): unknown {
    const rows = new Map(this.rows);
    const written: unknown[] = [];
    const writes = command.kind === "batch" ? command.writes : [command];
    for (const [index, write] of writes.entries()) {
      const row = rows.get(write.key);
      const current = row?.version ?? null;
      if (write.kind === "compare-and-set" && !this.#meets(row, write)) return { reason: "conflict", index, current };
      const next = write.kind === "put" ? write.value : write.kind === "delete" ? null : write.next;
      if (next === null) rows.delete(write.key);
      else
        rows.set(write.key, {
          value: new TextDecoder().decode(next),
          version: position,
          created: row?.created ?? position,
        });
      written.push({ version: next === null ? null : position, previous: current });
    }
    this.rows = rows;
    return written;
  }

  keys({ prefix, from, to }: Bounds): readonly string[] {
    const isBelow = (left: string, right: string): boolean => compareBytes(bytesOf(left), bytesOf(right)) < 0;
    return [...this.rows.keys()]
      .filter((key) => key.startsWith(prefix) && !(from !== null && isBelow(key, from)))
      .filter((key) => to === null || isBelow(key, to))
      .sort((left, right) => compareBytes(bytesOf(left), bytesOf(right)));
  }

  #meets(row: Row | undefined, { expected }: Extract<KvWrite, { kind: "compare-and-set" }>): boolean {
    if (expected.kind === "absent") return row === undefined;
    if (expected.kind === "version") return row?.version === expected.version;
    return row !== undefined && equalBytes(bytesOf(row.value), expected.value);
  }
}

const KEYS = ["a", "aa", "ab", "b", "b/1", "b/2", "\ud7ff", "\uffff", "\u{10000}"];
const key = fc.constantFrom(...KEYS);
const value = fc.constantFrom("", "x", "y").map(bytesOf);
const expected: fc.Arbitrary<Extract<KvWrite, { kind: "compare-and-set" }>["expected"]> = fc.oneof(
  fc.constant({ kind: "absent" as const }),
  fc.record({ kind: fc.constant("version" as const), version: fc.nat(40).map((at) => at as Position) }),
  fc.record({ kind: fc.constant("value" as const), value }),
);
const write: fc.Arbitrary<KvWrite> = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), key, value }),
  fc.record({ kind: fc.constant("delete" as const), key }),
  fc.record({ kind: fc.constant("compare-and-set" as const), key, expected, next: fc.option(value, { freq: 3 }) }),
);
const command: fc.Arbitrary<KvCommand> = fc.oneof(
  { weight: 3, arbitrary: write },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("batch" as const),
      writes: fc.array(write, { maxLength: 6, size: "max" }),
    }),
  },
);
const commands = fc.array(command, { maxLength: 60, size: "max" });
const bound = fc.option(fc.oneof(key, fc.constantFrom("", "b/", "c", "\ue000")));
const bounds: fc.Arbitrary<Bounds> = fc.record({
  prefix: fc.constantFrom("", "", "a", "b/", "\u{10000}", "z"),
  from: bound,
  to: bound,
});

function storeOf(list: readonly KvCommand[], store: KeyValueStore = new KeyValueStore(), from = 1): KeyValueStore {
  list.forEach((each, index) => {
    run(store, each, from + index);
  });
  return store;
}

/** All entries of a range, by as many questions as it takes. */
function walk(store: KeyValueStore, within: Bounds, limit: number, reverse: boolean): readonly string[] {
  const found: string[] = [];
  let next: Bounds = within;
  for (let rounds = 0; rounds < 100; rounds++) {
    const answer = ask(store, { kind: "range", ...next, limit, reverse });
    expect(answer.entries.length).toBeLessThanOrEqual(limit);
    found.push(...answer.entries.map((entry) => entry.key));
    if (answer.next === null) return found;
    next = reverse ? { ...next, to: answer.next } : { ...next, from: answer.next };
  }
  throw new Error("a range without an end");
}

describe("a key-value store", () => {
  test("answers as a plain map does, to commands and to questions", () => {
    fc.assert(
      fc.property(commands, bounds, fc.integer({ min: 1, max: 4 }), fc.boolean(), (list, within, limit, reverse) => {
        const store = new KeyValueStore();
        const model = new Model();
        for (const [index, each] of list.entries()) {
          expect(run(store, each, index + 1)).toEqual(model.run(each, index + 1));
        }
        for (const name of KEYS) {
          const row = model.rows.get(name);
          const entry = row && { key: name, ...row, value: bytesOf(row.value) };
          expect(ask(store, { kind: "get", key: name }).entry as unknown).toEqual(entry ?? null);
        }
        const keys = model.keys(within);
        expect(walk(store, within, limit, reverse)).toEqual(reverse ? keys.toReversed() : [...keys]);
        expect(ask(store, { kind: "count", ...within }).count).toBe(keys.length);
      }),
      { numRuns: 1_000 },
    );
  });

  test("has one hash for one state, however it came about, and another for another", () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(commands, fc.array(fc.nat(60)), (list, stops) => {
        const [one, other] = [new KeyValueStore(), new KeyValueStore()];
        list.forEach((each, index) => {
          storeOf([each], one, index + 1);
          storeOf([each], other, index + 1);
          if (stops.includes(index)) other.stateHash();
        });
        const hash = one.stateHash().toHex();
        expect(other.stateHash().toHex()).toBe(hash);
        const { entries } = ask(one, { kind: "range", prefix: "", from: null, to: null, limit: 100, reverse: false });
        const content = JSON.stringify(entries.map((entry) => ({ ...entry, value: entry.value.toHex() })));
        expect(seen.get(hash) ?? content).toBe(content);
        seen.set(hash, content);
      }),
      { numRuns: 500 },
    );
    expect(seen.size).toBeGreaterThan(100);
  });

  test("is restored from its snapshot, though it went on meanwhile, and then goes the same way", () => {
    fc.assert(
      fc.property(commands, commands, (before, after) => {
        const store = storeOf(before);
        const hash = store.stateHash().toHex();
        const snapshot = store.snapshot();
        storeOf(after, store, 100);
        const copy = storeOf([{ kind: "put", key: "left over", value: bytesOf("x") }]);
        copy.restore(snapshot);
        expect(copy.stateHash().toHex()).toBe(hash);
        expect(copy.takeChanges()).toEqual({ items: [], droppedThrough: null });
        const hexOf = (chunks: Iterable<Uint8Array>): string => [...chunks].map((chunk) => chunk.toHex()).join(" ");
        expect(hexOf(copy.snapshot())).toBe(hexOf(snapshot));
        storeOf(after, copy, 100);
        expect(copy.stateHash().toHex()).toBe(store.stateHash().toHex());
        expect(hexOf(copy.snapshot())).toBe(hexOf(store.snapshot()));
      }),
      { numRuns: 500 },
    );
  });

  test("tells what changed: whoever applies it to what was there has what is there", () => {
    fc.assert(
      fc.property(commands, (list) => {
        const store = new KeyValueStore();
        const model = new Model();
        const followed = new Map<string, readonly [value: string, version: number]>();
        for (const [index, each] of list.entries()) {
          const position = index + 1;
          run(store, each, position);
          model.run(each, position);
          if (index % 3 !== 0) continue;
          const { items, droppedThrough } = store.takeChanges();
          expect(droppedThrough).toBeNull();
          for (const change of items) {
            expect(change.version).toBe(change.position);
            if (change.value === null) expect(followed.delete(change.key)).toBe(true);
            else followed.set(change.key, [new TextDecoder().decode(change.value), change.version]);
          }
          const wanted = [...model.rows].map(([name, row]) => [name, [row.value, row.version]] as const);
          expect(followed).toEqual(new Map(wanted));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("takes a batch as a whole or not at all", () => {
    const store = storeOf([{ kind: "put", key: "a", value: bytesOf("x") }]);
    const hash = store.stateHash().toHex();
    store.takeChanges();
    const writes: readonly KvWrite[] = [
      { kind: "put", key: "b", value: bytesOf("y") },
      { kind: "delete", key: "a" },
      { kind: "compare-and-set", key: "a", expected: { kind: "version", version: 1 as Position }, next: null },
    ];
    expect(run(store, { kind: "batch", writes }, 2)).toEqual({ reason: "conflict", index: 2, current: null });
    expect(store.stateHash().toHex()).toBe(hash);
    expect(store.takeChanges().items).toEqual([]);
    expect(run(store, { kind: "batch", writes: writes.slice(0, 2) }, 3)).toEqual([
      { version: 3, previous: null },
      { version: null, previous: 1 },
    ]);
    expect(store.takeChanges().items).toMatchObject([{ key: "b" }, { key: "a", value: null, version: 3 }]);
  });

  test("refuses what is no command and no question", () => {
    const store = new KeyValueStore();
    expect(() => store.apply(Uint8Array.of(1), contextAt(1))).toThrow(new CommandRejected("malformed"));
    expect(() => store.query(Uint8Array.of(1))).toThrow(QueryRefused);
    for (const limit of [0, 1_001]) {
      const question = { kind: "range", prefix: "", from: null, to: null, limit, reverse: false } as const;
      expect(() => ask(store, question)).toThrow(`a limit of ${limit}`);
    }
  });

  test("does not keep the bytes that a command came in", () => {
    const body = encodeKvCommand({ kind: "put", key: "a", value: bytesOf("x") });
    const store = new KeyValueStore();
    store.apply(body, contextAt(1));
    body.fill(0);
    expect(ask(store, { kind: "get", key: "a" }).entry?.value).toEqual(bytesOf("x"));
  });

  test("cuts a range by bytes and a snapshot into chunks", () => {
    const store = new KeyValueStore();
    for (let at = 1; at <= 20; at++) {
      run(store, { kind: "put", key: `k${at + 10}`, value: new Uint8Array(VALUE_BYTES_MAX).fill(at) }, at);
    }
    const all = { prefix: "", from: null, to: null };
    const { entries, next } = ask(store, { kind: "range", ...all, limit: 1_000, reverse: false });
    expect([entries.length, next]).toEqual([9, "k20"]);
    expect(walk(store, all, 1_000, true)).toHaveLength(20);
    const chunks = [...store.snapshot()];
    expect(chunks.map((chunk) => Math.round(chunk.length / VALUE_BYTES_MAX))).toEqual([8, 8, 4]);
    const copy = new KeyValueStore();
    copy.restore(chunks);
    expect(copy.stateHash()).toEqual(store.stateHash());
    expect(() => copy.restore(chunks.toReversed())).toThrow("out of its place");
    expect(() => copy.restore([new Uint8Array(9)])).toThrow("at byte");
  });

  test("with thousands of keys in any order still has all of them in order", () => {
    const store = new KeyValueStore();
    const names = Array.from({ length: 5_000 }, (_, at) => `key-${String((at * 7_919) % 5_000).padStart(4, "0")}`);
    names.forEach((name, at) => {
      run(store, { kind: "put", key: name, value: bytesOf("x") }, at + 1);
    });
    const all = { prefix: "", from: null, to: null };
    const sorted = names.toSorted((left, right) => (left < right ? -1 : 1));
    const isGone = (at: number): boolean => at >= 1_000 && at < 4_000;
    const found: string[] = [];
    for (let from: string | null = ""; from !== null; ) {
      const answer: Extract<KvAnswer, { kind: "range" }> = ask(store, {
        kind: "range",
        ...all,
        from,
        limit: 999,
        reverse: false,
      });
      found.push(...answer.entries.map((entry) => entry.key));
      from = answer.next;
    }
    expect(found).toEqual(sorted);
    sorted.forEach((name, at) => {
      if (isGone(at)) run(store, { kind: "delete", key: name }, 10_000 + at);
    });
    expect(ask(store, { kind: "count", ...all, from: "key-0500", to: "key-4500" }).count).toBe(1_000);
    expect(ask(store, { kind: "range", ...all, from: "key-0999", limit: 2, reverse: false })).toMatchObject({
      entries: [{ key: "key-0999" }, { key: "key-4000" }],
      next: "key-4001",
    });
  });
});
