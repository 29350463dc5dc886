import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type CostTable, REFERENCE_COSTS } from "./cost-table.ts";
import { type Prediction, predict, predictMost, predictShared, type Question } from "./predict.ts";
import { costReport } from "./report.ts";
import { SEAL_BYTES, workOf } from "./work.ts";

const FREE: CostTable = {
  ...REFERENCE_COSTS,
  ...Object.fromEntries(Object.keys(REFERENCE_COSTS).map((name) => [name, 0])),
  linkMbitPerS: 1e12,
  coresPerNode: 1,
};

/** Rounding of the solver, and no more. */
const SLACK = 1e-3;

const questions: fc.Arbitrary<Question> = fc
  .record({
    nodes: fc.constantFrom(4, 7, 10, 31, 100, 1_000),
    payloadBytes: fc.constantFrom(1, 200, 1_024, 10_240),
    verticesPerRequest: fc.constantFrom(1, 10, 100, 500),
    requests: fc.integer({ min: 1, max: 400 }),
  })
  .map(({ requests, ...rest }) => ({ ...rest, inFlight: requests * rest.verticesPerRequest, costs: REFERENCE_COSTS }));

fc.configureGlobal({ numRuns: 40 });

/** Longer turns mean fewer places and certificates: an overloaded network gets a part of a delay back. */
const TRADE = 0.05;

function notAbove(seen: number, bound: number, slack: number = SLACK): void {
  expect(seen).toBeLessThanOrEqual(bound * (1 + slack));
}

describe("a case computed by hand", () => {
  test("one node whose only cost is a signature of 1 ms finalizes in 20 ms", () => {
    // Turns every 6 ms. Bundle: 3 + 1. Proposal: 3 + 1, prepare and commit: each 1/2 of 6, + 1. Execution's write: 3 + 1.
    const seen = predict({
      nodes: 1,
      payloadBytes: 0,
      verticesPerRequest: 1,
      inFlight: 1_000,
      costs: { ...FREE, signUs: 1_000 },
    });
    expect(seen.p50Ms).toBeCloseTo(20, 3);
    expect(seen.throughputPerS).toBeCloseTo(50_000, 0);
    expect(seen.loopShare).toBeCloseTo(1 / 6, 3);
    expect(seen.bound).toBe("turn-interval");
  });

  test("links of 100 ms are crossed four times", () => {
    const costs = { ...FREE, linkLatencyUs: 100_000 };
    const question = { nodes: 4, payloadBytes: 0, verticesPerRequest: 1, inFlight: 1, costs };
    const near = predict({ ...question, costs: FREE });
    const far = predict(question);
    // Besides, a quiet network's turns are rarer: at most five waits of one interval.
    expect(Math.abs(far.p50Ms - near.p50Ms - 400)).toBeLessThan(30);
    expect(far.bound).toBe("round-trip");
  });

  test("a loop that can make ten signatures a second makes ten turns a second", () => {
    const seen = predict({
      nodes: 4,
      payloadBytes: 0,
      verticesPerRequest: 1,
      inFlight: 10_000,
      costs: { ...FREE, signUs: 100_000 },
    });
    expect(seen.turnsPerS).toBeCloseTo(10, 2);
    expect(seen.loopShare).toBeCloseTo(1, 3);
    expect(seen.bound).toBe("cpu");
  });

  test("two turns under way wait for a disk that needs 40 ms: one every 40 ms, for there is one disk", () => {
    const seen = predict({
      nodes: 4,
      payloadBytes: 0,
      verticesPerRequest: 1,
      inFlight: 10_000,
      costs: { ...FREE, fsyncUs: 40_000 },
    });
    expect(seen.turnMs).toBeCloseTo(40, 2);
    expect(seen.bound).toBe("disk");
  });

  test("a node's work for seven turns a second among three is fourteen checks", () => {
    const rates = {
      nodes: 3,
      quorum: 2,
      payloadBytes: 0,
      verticesPerRequest: 1,
      vertices: 0,
      bundles: 0,
      slots: 3.5,
      turns: 7,
    };
    const work = workOf(rates, { ...FREE, verifyUs: 1e6, verifyLoopUs: 2e5, signUs: 1e6 });
    expect(work.loop).toBeCloseTo(7 + 14 * 0.2, 9);
    expect(work.cores).toBeCloseTo(7 + 14, 9);
    expect(work.bytesIn).toBeCloseTo(14 * (SEAL_BYTES + 64), 6);
  });
});

describe("for any load", () => {
  test("Little's law holds, and no resource gives more than it has", () => {
    fc.assert(
      fc.property(questions, (question) => {
        const seen = predict(question);
        expect((seen.throughputPerS * seen.p50Ms) / 1e3 / question.inFlight).toBeCloseTo(1, 3);
        for (const share of [seen.loopShare, seen.diskShare, seen.linkShare, seen.coresUsed / 2]) notAbove(share, 1);
        expect(seen.p99Ms).toBeGreaterThanOrEqual(seen.p50Ms);
      }),
    );
  });

  test("more liars to withstand never finalize more, where requests are free", () => {
    const costs = { ...REFERENCE_COSTS, requestUs: 0, requestVertexUs: 0 };
    fc.assert(
      fc.property(questions, fc.integer({ min: 1, max: 100 }), (question, more) => {
        const larger = { ...question, nodes: question.nodes + 3 * more, costs };
        notAbove(predict(larger).throughputPerS, predict({ ...question, costs }).throughputPerS);
      }),
    );
  });

  test("larger payloads never finalize more", () => {
    fc.assert(
      fc.property(questions, fc.integer({ min: 1, max: 100_000 }), (question, more) => {
        const larger = { ...question, payloadBytes: question.payloadBytes + more };
        notAbove(predict(larger).throughputPerS, predict(question).throughputPerS);
      }),
    );
  });

  test("more vertices under way never finalize sooner", () => {
    fc.assert(
      fc.property(questions, fc.integer({ min: 1, max: 100_000 }), (question, more) => {
        notAbove(predict(question).p50Ms, predict({ ...question, inFlight: question.inFlight + more }).p50Ms);
      }),
    );
  });

  const DEAR: readonly (keyof CostTable)[] = [
    "signUs",
    "verifyUs",
    "hashFixedUs",
    "wireFixedUs",
    "requestUs",
    "fsyncUs",
    "linkLatencyUs",
  ];
  test.each(DEAR)("a dearer %s never finalizes sooner", (name) => {
    fc.assert(
      fc.property(questions, fc.double({ min: 1, max: 30, noNaN: true }), (question, factor) => {
        const costs = { ...question.costs, [name]: question.costs[name] * factor };
        notAbove(predict(question).p50Ms, predict({ ...question, costs }).p50Ms, TRADE);
      }),
    );
  });

  test("sharing one machine never finalizes more than a machine each with as many cores", () => {
    fc.assert(
      fc.property(questions, (question) => {
        const costs = { ...question.costs, linkLatencyUs: 0, linkMbitPerS: 1e9 };
        const own = predict({ ...question, costs });
        notAbove(predictShared({ ...question, costs, cores: costs.coresPerNode }).throughputPerS, own.throughputPerS);
      }),
    );
  });
});

describe("the most within a p99", () => {
  const question = { nodes: 4, payloadBytes: 200, verticesPerRequest: 100, costs: REFERENCE_COSTS };

  test("is reached, and not exceeded", () => {
    const seen: Prediction | null = predictMost(question, 500);
    expect(seen?.p99Ms).toBeLessThanOrEqual(500);
    expect(seen?.p99Ms).toBeGreaterThan(499);
  });

  test("is nothing where the links alone take longer", () => {
    expect(predictMost({ ...question, costs: { ...REFERENCE_COSTS, linkLatencyUs: 200_000 } }, 500)).toBeNull();
  });
});

test("the report names every cost and every size of network", () => {
  const report = costReport(REFERENCE_COSTS);
  for (const word of [
    ...Object.keys(REFERENCE_COSTS),
    "4 nodes",
    "7 nodes",
    "31 nodes",
    "100 nodes",
    "1000 nodes",
    "batch of 100, busy",
  ]) {
    expect(report).toContain(word);
  }
  expect(report).not.toContain("NaN");
});
