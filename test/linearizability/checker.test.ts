import { describe, expect, test } from "bun:test";
import { checkHistory } from "./checker.ts";
import { get, type KvOperation, lostPut, ok, operation, put, remove, swap } from "./histories.ts";
import { FAILED, type Operation, UNKNOWN } from "./history.ts";
import { KV_MODEL } from "./kv-model.ts";
import type { KvItem } from "./kv-operations.ts";
import type { Model } from "./model.ts";
import { violationText } from "./violation-text.ts";

function verdictOf(...history: readonly KvOperation[]): string {
  return checkHistory(KV_MODEL, history).type;
}

describe("histories that an order explains", () => {
  test("nothing, and a read of what was written", () => {
    expect(verdictOf()).toBe("linearizable");
    expect(verdictOf(get("a", null, [1, 2]), put("a", "1", [3, 4]), get("b", "1", [5, 6]))).toBe("linearizable");
  });

  test("reads during a write see the old or the new value, and a later one the same", () => {
    expect(verdictOf(put("a", "1", [1, 10]), get("b", null, [2, 3]), get("b", "1", [4, 5]))).toBe("linearizable");
  });

  test("two overlapping writes, in the order that the reads tell", () => {
    const writes = [put("a", "1", [1, 10]), put("b", "2", [2, 9])];
    expect(verdictOf(...writes, get("c", "1", [11, 12]))).toBe("linearizable");
    expect(verdictOf(...writes, get("c", "2", [11, 12]))).toBe("linearizable");
    expect(verdictOf(...writes, get("c", "2", [3, 4]), get("c", "1", [5, 6]))).toBe("linearizable");
  });

  test("a write without an answer shows up at once, late, or never", () => {
    const before = [put("a", "1", [1, 2]), lostPut("b", "2", [3, 4])];
    expect(verdictOf(...before, get("a", "2", [5, 6]))).toBe("linearizable");
    expect(verdictOf(...before, get("a", "1", [5, 6]), get("a", "2", [50, 60]))).toBe("linearizable");
    expect(verdictOf(...before, get("a", "1", [50, 60]))).toBe("linearizable");
  });

  test("a write without an answer overwrites a later one", () => {
    expect(verdictOf(lostPut("b", "2", [1, 2]), put("a", "1", [3, 4]), get("a", "2", [5, 6]))).toBe("linearizable");
  });

  test("events at one moment overlap", () => {
    expect(verdictOf(put("a", "1", [1, 5]), get("b", null, [5, 6]))).toBe("linearizable");
  });

  test("compare-and-sets of which one wins", () => {
    const race = [swap("a", null, "1", true, [1, 5]), swap("b", null, "2", false, [2, 6])];
    expect(verdictOf(...race, get("c", "1", [7, 8]))).toBe("linearizable");
  });

  test("a delete in between brings absence", () => {
    expect(verdictOf(put("a", "1", [1, 2]), remove("b", [3, 6]), get("a", "1", [4, 5]), get("a", null, [7, 8]))).toBe(
      "linearizable",
    );
  });
});

describe("histories that no order explains", () => {
  test("a stale read", () => {
    expect(verdictOf(put("a", "1", [1, 2]), put("a", "2", [3, 4]), get("b", "1", [5, 6]))).toBe("violation");
  });

  test("a new value that is gone again at the next read", () => {
    expect(verdictOf(put("a", "1", [1, 10]), get("b", "1", [2, 3]), get("c", null, [4, 5]))).toBe("violation");
  });

  test("a lost update", () => {
    expect(verdictOf(put("a", "1", [1, 2]), swap("a", "1", "2", true, [3, 5]), swap("b", "1", "3", true, [4, 6]))).toBe(
      "violation",
    );
  });

  test("a dirty read of a compare-and-set that lost, or of a write that failed", () => {
    expect(verdictOf(put("a", "1", [1, 2]), swap("b", "0", "9", false, [3, 4]), get("c", "9", [5, 6]))).toBe(
      "violation",
    );
    const failed = operation("b", { type: "put", key: "x", value: "9" }, FAILED, [3, 4]);
    expect(verdictOf(put("a", "1", [1, 2]), failed, get("c", "9", [5, 6]))).toBe("violation");
  });

  test("a value that comes back after its delete", () => {
    expect(verdictOf(put("a", "1", [1, 2]), remove("a", [3, 4]), get("b", null, [5, 6]), get("b", "1", [7, 8]))).toBe(
      "violation",
    );
  });

  test("a write without an answer that is seen before its call, or takes effect twice", () => {
    expect(verdictOf(get("a", "2", [1, 2]), lostPut("b", "2", [3, 4]))).toBe("violation");
    const reads = [get("a", "2", [3, 4]), put("a", "1", [5, 6]), get("a", "2", [7, 8])];
    expect(verdictOf(lostPut("b", "2", [1, 2]), ...reads)).toBe("violation");
  });

  test("a value out of thin air", () => {
    expect(verdictOf(put("a", "1", [1, 2]), get("b", "7", [3, 4]))).toBe("violation");
  });
});

describe("versions", () => {
  test("give away a write that was undone and done again", () => {
    const history = [put("a", "1", [1, 2], 1), get("b", "1", [3, 4], 1)];
    expect(verdictOf(...history, get("b", "1", [5, 6], 2))).toBe("violation");
    expect(verdictOf(...history, lostPut("a", "1", [5, 6]), get("b", "1", [7, 8], 2))).toBe("linearizable");
  });

  test("grow, also over a write whose version nobody was told", () => {
    expect(verdictOf(put("a", "1", [1, 2], 5), put("a", "2", [3, 4], 4))).toBe("violation");
    const history = [put("a", "1", [1, 2], 5), lostPut("b", "2", [3, 4])];
    expect(verdictOf(...history, get("a", "2", [5, 6], 4))).toBe("violation");
    expect(verdictOf(...history, get("a", "2", [5, 6], 7), get("a", "2", [7, 8], 8))).toBe("violation");
    expect(verdictOf(...history, get("a", "2", [5, 6], 7), get("a", "2", [7, 8], 7))).toBe("linearizable");
  });

  test("a compare-and-set that nobody heard of takes effect where its version was there only", () => {
    const swapAt = (version: number): KvOperation =>
      operation(
        "b",
        { type: "compare-and-set", key: "x", expected: { type: "version", version }, next: "2" },
        UNKNOWN,
        [3, 4],
      );
    expect(verdictOf(put("a", "1", [1, 2], 5), swapAt(5), get("a", "2", [5, 6], 6))).toBe("linearizable");
    expect(verdictOf(put("a", "1", [1, 2], 5), swapAt(4), get("a", "2", [5, 6], 6))).toBe("violation");
  });
});

function range(client: string, items: readonly string[], at: readonly [number, number], limit = 100): KvOperation {
  const found = items.map((item): KvItem => ({ key: `r/${item[0]}`, value: item, version: "untold" }));
  return operation(
    client,
    { type: "range", from: "r/", to: "r0", limit, reverse: false },
    ok({ type: "items", items: found }),
    at,
  );
}

function putInRange(client: string, value: string, at: readonly [number, number]): KvOperation {
  const written = ok({ type: "written", version: "untold", previous: "untold" });
  return operation(client, { type: "put", key: `r/${value[0]}`, value }, written, at);
}

describe("ranges", () => {
  test("see one moment of all keys", () => {
    const writes = [putInRange("a", "a1", [1, 2]), putInRange("a", "b1", [3, 4])];
    expect(verdictOf(...writes, range("b", ["a1", "b1"], [5, 6]))).toBe("linearizable");
    expect(verdictOf(...writes, range("b", ["a1"], [5, 6], 1))).toBe("linearizable");
    expect(verdictOf(...writes, range("b", ["a1"], [2.5, 6]))).toBe("linearizable");
    expect(verdictOf(...writes, range("b", ["b1"], [0, 6]))).toBe("violation");
  });

  test("two of them agree on the order of writes to different keys", () => {
    const writes = [putInRange("a", "a1", [1, 9]), putInRange("b", "b1", [1, 9])];
    expect(verdictOf(...writes, range("c", ["a1"], [2, 3]), range("d", ["a1", "b1"], [4, 5]))).toBe("linearizable");
    expect(verdictOf(...writes, range("c", ["a1"], [2, 5]), range("d", ["b1"], [2, 5]))).toBe("violation");
  });

  test("keep the keys that they cover together, and no others", () => {
    const verdict = checkHistory(KV_MODEL, [
      putInRange("a", "a1", [1, 2]),
      put("a", "1", [3, 4]),
      range("b", ["a1"], [5, 6]),
    ]);
    expect(verdict).toMatchObject({ type: "linearizable", partitions: 2 });
  });
});

describe("what is told of a violation", () => {
  const history = [
    put("a", "1", [1, 2], 1),
    get("b", "1", [3, 4], 1),
    put("a", "2", [5, 8], 2),
    get("b", "2", [6, 7], 2),
    get("c", "1", [9, 12], 1),
    lostPut("d", "4", [10, 11]),
    put("a", "3", [20, 21], 3),
    get("b", "1", [22, 23], 1),
  ];

  test("is the shortest prefix, its culprit and what was possible", () => {
    const verdict = checkHistory(KV_MODEL, history);
    if (verdict.type !== "violation") throw new Error(verdict.type);
    expect(verdict.violation.operations).toEqual(history.slice(0, 6));
    expect(verdict.violation.culprit).toBe(history[4] as KvOperation);
    expect(verdict.violation.states).toEqual(['x = "2" (version 2)']);
    expect(checkHistory(KV_MODEL, history.slice(0, 4)).type).toBe("linearizable");
  });

  test("is the smallest of several failing partitions", () => {
    const elsewhere = operation(
      "e",
      { type: "get", key: "y" },
      ok({ type: "read", item: { value: "?", version: 1 } }),
      [1, 2],
    );
    const verdict = checkHistory(KV_MODEL, [...history, elsewhere]);
    expect(verdict).toMatchObject({ partitions: ["x", "y"], violation: { partition: "y", operations: [elsewhere] } });
  });

  test("reads well", () => {
    const verdict = checkHistory(KV_MODEL, history);
    if (verdict.type !== "violation") throw new Error(verdict.type);
    expect(violationText(KV_MODEL, verdict.violation).split("\n")).toMatchSnapshot();
  });
});

describe("the checker", () => {
  test("says that it could not decide, where the limits are too tight", () => {
    const writes = Array.from({ length: 12 }, (_, at) => put(`c${at}`, `${at}`, [1, 100]));
    const history = [...writes, get("r", "3", [200, 201])];
    expect(checkHistory(KV_MODEL, history)).toMatchObject({ type: "linearizable" });
    for (const limit of ["configurationsMax", "stepsMax"] as const) {
      const limits = { configurationsMax: 1_000_000, stepsMax: 1_000_000, [limit]: 20 };
      expect(checkHistory(KV_MODEL, history, limits)).toMatchObject({ type: "undecided", partitions: ["x"], limit });
    }
  });

  test("finds a violation in one partition also where another one is undecided", () => {
    const writes = Array.from({ length: 12 }, (_, at) => put(`c${at}`, `${at}`, [1, 100]));
    const bad = operation(
      "e",
      { type: "get", key: "y" },
      ok({ type: "read", item: { value: "?", version: 1 } }),
      [1, 2],
    );
    const limits = { configurationsMax: 20, stepsMax: 1_000_000 };
    expect(checkHistory(KV_MODEL, [...writes, bad], limits)).toMatchObject({ type: "violation", partitions: ["y"] });
  });

  test("refuses times that go backwards", () => {
    expect(() => checkHistory(KV_MODEL, [put("a", "1", [5, 4])])).toThrow(RangeError);
  });

  test("is not slowed down by writes that nobody heard of", () => {
    const lost = Array.from({ length: 200 }, (_, at) => lostPut(`c${at}`, `${at}`, [at, at + 1]));
    const reads = Array.from({ length: 100 }, (_, at) => get("r", `${at * 2}`, [300 + 2 * at, 301 + 2 * at]));
    const verdict = checkHistory(KV_MODEL, [...lost, ...reads]);
    expect(verdict.type).toBe("linearizable");
    expect(verdict.type === "linearizable" && verdict.steps).toBeLessThan(50_000);
  });

  test("checks other objects as well: a queue", () => {
    const dequeue = (at: number, output: string | null): Operation<string | null, string | null> => ({
      client: "c",
      input: null,
      outcome: { type: "ok", output },
      calledAt: at,
      returnedAt: at + 1,
    });
    const enqueue = (value: string, calledAt: number, returnedAt: number): Operation<string | null, string | null> => ({
      client: "p",
      input: value,
      outcome: { type: "ok", output: null },
      calledAt,
      returnedAt,
    });
    const sequential = [enqueue("1", 1, 2), enqueue("2", 3, 4)];
    const overlapping = [enqueue("1", 1, 4), enqueue("2", 1, 4)];
    const backwards = [dequeue(5, "2"), dequeue(7, "1")];
    expect(checkHistory(QUEUE, [...overlapping, ...backwards]).type).toBe("linearizable");
    expect(checkHistory(QUEUE, [...sequential, ...backwards]).type).toBe("violation");
  });
});

/** Input: what is put in, or null to take out. */
const QUEUE: Model<readonly string[], string | null, string | null> = {
  initial: [],
  step: (state, input, output) => {
    if (input !== null) return [...state, input];
    if (output === null) return state.length === 0 ? state : state.slice(1);
    return state[0] === output ? state.slice(1) : null;
  },
  keyOf: (state) => JSON.stringify(state),
  isReadOnly: () => false,
  conflicts: () => true,
  overwrites: () => false,
  partition: () => () => "queue",
  describe: ({ input }) => input ?? "take",
  describeState: (state) => state.join(),
};
