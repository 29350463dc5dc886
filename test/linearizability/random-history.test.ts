import { describe, expect, test } from "bun:test";
import { Random } from "../../src/sim/random.ts";
import { isLinearizableByTrying } from "./brute-force.ts";
import { checkHistory } from "./checker.ts";
import { get, type KvOperation, lostPut, ok, operation, put, remove, swap, type Times } from "./histories.ts";
import { UNKNOWN } from "./history.ts";
import { checkKv } from "./kv-check.ts";
import { KV_MODEL } from "./kv-model.ts";
import type { KvOutput } from "./kv-operations.ts";
import { HISTORY, type HistoryOptions, randomHistory, withoutVersions } from "./random-history.ts";
import { MIX } from "./random-input.ts";
import { violationText } from "./violation-text.ts";

const SEEDS = Array.from({ length: 200 }, (_, at) => at + 1);

function explain(history: readonly KvOperation[]): string {
  const verdict = checkKv(history);
  return verdict.type === "violation" ? violationText(KV_MODEL, verdict.violation) : verdict.type;
}

function violations(options: HistoryOptions, change = (history: readonly KvOperation[]) => history): number {
  const histories = SEEDS.map((seed) => change(randomHistory(seed, options)));
  return histories.filter((history) => checkKv(history).type === "violation").length;
}

describe("random histories", () => {
  test("of a store that is linearizable pass, with versions and without", () => {
    for (const seed of SEEDS) {
      const history = randomHistory(seed);
      expect(`${seed}: ${explain(history)}`).toBe(`${seed}: linearizable`);
      expect(`${seed}: ${explain(withoutVersions(history))}`).toBe(`${seed}: linearizable`);
    }
  }, 60_000);

  test("with a few stale reads fail, nearly always", () => {
    const stale: HistoryOptions = { ...HISTORY, planted: "stale-read", plantedShare: 0.1 };
    expect(violations(stale)).toBeGreaterThan(190);
    expect(violations(stale, withoutVersions)).toBeGreaterThan(180);
  }, 60_000);

  test("with a few lost updates fail, nearly always", () => {
    const lost: HistoryOptions = { ...HISTORY, planted: "lost-update", plantedShare: 0.1 };
    expect(violations(lost)).toBeGreaterThan(190);
    expect(violations(lost, withoutVersions)).toBeGreaterThan(180);
  }, 60_000);

  test("fail at an end that cannot be taken away, and pass without it", () => {
    const lost: HistoryOptions = { ...HISTORY, planted: "lost-update", plantedShare: 0.1 };
    for (const seed of SEEDS.slice(0, 40)) {
      const verdict = checkHistory(KV_MODEL, randomHistory(seed, lost));
      if (verdict.type !== "violation") continue;
      const { operations, culprit } = verdict.violation;
      expect(checkHistory(KV_MODEL, operations).type).toBe("violation");
      // Before the culprit returned, its answer was not known.
      const before = operations.map((other) =>
        other === culprit || other.returnedAt >= culprit.returnedAt ? { ...other, outcome: UNKNOWN } : other,
      );
      expect(checkHistory(KV_MODEL, before).type).toBe("linearizable");
    }
  }, 60_000);
});

test("ten thousand operations of eight clients on ten keys take few steps each, unanswered ones among them", () => {
  const keys = Array.from({ length: 10 }, (_, at) => (at < 7 ? `k${at}` : `r/${at}`));
  const input = { ...HISTORY.input, keys };
  for (const unknown of [0, 0.005]) {
    const options = { ...HISTORY, clients: 8, operations: 10_000, input, unknown };
    const verdict = checkKv(randomHistory(1, options));
    expect(verdict.type).toBe("linearizable");
    expect(verdict.type === "linearizable" && verdict.steps).toBeLessThan(500_000);
  }
}, 60_000);

const KINDS: readonly ((client: string, at: Times) => KvOperation)[] = [
  (client, at) => get(client, null, at),
  (client, at) => get(client, "1", at),
  (client, at) => get(client, "2", at),
  (client, at) => put(client, "1", at),
  (client, at) => lostPut(client, "2", at),
  (client, at) => remove(client, at),
  (client, at) => swap(client, "1", "2", true, at),
  (client, at) => swap(client, "1", "2", false, at),
];

/** All ways in which `count` operations can lie in time, but for their names: pairings of 2 * count moments. */
function* placements(moments: readonly number[]): Generator<readonly Times[]> {
  const [first, ...rest] = moments;
  if (first === undefined) yield [];
  else
    for (const [at, last] of rest.entries())
      for (const others of placements(rest.toSpliced(at, 1))) yield [[first, last], ...others];
}

function* choices(count: number): Generator<readonly number[]> {
  if (count === 0) yield [];
  else for (const rest of choices(count - 1)) for (let kind = 0; kind < KINDS.length; kind++) yield [kind, ...rest];
}

function historyOf(kinds: readonly number[], times: readonly Times[]): readonly KvOperation[] {
  return kinds.flatMap((kind, at) => KINDS[kind]?.(`c${at}`, times[at] ?? [0, 0]) ?? []);
}

describe("against trying every order", () => {
  const compare = (history: readonly KvOperation[]): boolean => {
    const expected = isLinearizableByTrying(KV_MODEL, history);
    const verdict = checkKv(history).type;
    if (verdict !== (expected ? "linearizable" : "violation"))
      throw new Error(`${verdict}, but trying says ${expected}: ${JSON.stringify(history)}`);
    return expected;
  };

  test("all histories of one to three operations on one key, in all ways in which they can overlap", () => {
    let good = 0;
    let all = 0;
    for (const count of [1, 2, 3]) {
      const moments = Array.from({ length: 2 * count }, (_, at) => at);
      for (const times of placements(moments)) {
        for (const kinds of choices(count)) {
          if (compare(historyOf(kinds, times))) good++;
          all++;
        }
      }
    }
    expect(all).toBe(8 + 3 * 64 + 15 * 512);
    expect(good).toBeGreaterThan(all / 10);
    expect(good).toBeLessThan(all / 2);
  }, 60_000);

  test("random ones of four to six operations, moments that fall together among them", () => {
    const random = new Random(7);
    let good = 0;
    for (let round = 0; round < 20_000; round++) {
      const count = random.between(4, 6);
      const times = Array.from({ length: count }, (): Times => {
        const calledAt = random.below(8);
        return [calledAt, calledAt + random.below(6)];
      });
      const kinds = times.map(() => random.below(KINDS.length));
      if (compare(historyOf(kinds, times))) good++;
    }
    expect(good).toBeGreaterThan(2_000);
    expect(good).toBeLessThan(18_000);
  }, 60_000);

  test("short histories of a store with versions, ranges and lost answers, some with a fault", () => {
    const mix = { ...MIX, delete: 15, "compare-and-set": 30, range: 20 };
    const input = { ...HISTORY.input, keys: ["r/a", "r/b"], mix };
    let good = 0;
    for (let seed = 1; seed <= 6_000; seed++) {
      const planted = seed % 2 === 0 ? "lost-update" : "nothing";
      const options = {
        ...HISTORY,
        clients: 3,
        operations: 6,
        input,
        unknown: 0.25,
        planted,
        plantedShare: 0.4,
      } as const;
      if (compare(randomHistory(seed, options))) good++;
    }
    expect(good).toBeGreaterThan(3_000);
    expect(good).toBeLessThan(5_900);
  }, 60_000);

  test("answers that were changed at random", () => {
    const random = new Random(11);
    const input = { ...HISTORY.input, keys: ["r/a", "r/b"], mix: { ...MIX, range: 20 } };
    let good = 0;
    for (let seed = 1; seed <= 4_000; seed++) {
      const history = randomHistory(seed, { ...HISTORY, clients: 3, operations: 6, input, unknown: 0.2 });
      if (compare(history.map((one) => (random.chance(0.2) ? changed(random, one) : one)))) good++;
    }
    expect(good).toBeGreaterThan(500);
    expect(good).toBeLessThan(3_900);
  }, 60_000);
});

/** The same operation with an answer that is a little different. */
function changed(random: Random, one: KvOperation): KvOperation {
  if (one.outcome.type !== "ok") return one;
  const output = one.outcome.output;
  const other: Record<KvOutput["type"], () => KvOutput> = {
    read: () => ({ type: "read", item: null }),
    written: () => ({ type: "written", version: random.between(1, 8), previous: random.chance(0.5) ? "absent" : 1 }),
    conflict: () => ({ type: "conflict", current: random.between(1, 6) }),
    items: () => ({ type: "items", items: output.type === "items" ? output.items.slice(1) : [] }),
  };
  return operation(one.client, one.input, ok(other[output.type]()), [one.calledAt, one.returnedAt]);
}
