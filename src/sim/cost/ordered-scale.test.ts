import { describe, expect, test } from "bun:test";
import { HOTSTUFF_DEFAULTS } from "../../node/genesis-hotstuff.ts";
import { REFERENCE_COSTS } from "./cost-table.ts";
import { measureOrdered, type OrderedFigures, type OrderedQuestion } from "./ordered-scale.ts";

const SMALL: OrderedQuestion = {
  engine: "pbft",
  hotstuff: HOTSTUFF_DEFAULTS,
  nodes: 4,
  requests: 8,
  verticesPerRequest: 10,
  payloadBytes: 200,
  warmUpMs: 200,
  measureMs: 300,
  costs: REFERENCE_COSTS,
};

/** Without what depends on the machine that it runs on. */
function figures(changes: Partial<OrderedQuestion> = {}): Omit<OrderedFigures, "measuredToCharged"> {
  const { measuredToCharged: _, ...virtual } = measureOrdered({ ...SMALL, ...changes });
  return virtual;
}

describe("a network of machines whose leaders order everything", () => {
  for (const engine of ["pbft", "hotstuff"] as const) {
    test(`${engine} finalizes what a closed loop of clients submits: as many as are under way in each latency`, () => {
      const { finalPerS, p50Ms, p95Ms } = figures({ engine });
      expect(p95Ms).toBeGreaterThanOrEqual(p50Ms);
      // Little's law, with the median for the mean.
      const underWay = (finalPerS * p50Ms) / 1_000;
      expect(underWay / (SMALL.requests * SMALL.verticesPerRequest)).toBeGreaterThan(0.6);
      expect(underWay / (SMALL.requests * SMALL.verticesPerRequest)).toBeLessThan(1.5);
    });

    test(`${engine} does the same again`, () => {
      expect(figures({ engine })).toEqual(figures({ engine }));
    });
  }

  test("HotStuff says less for a place than PBFT, where votes go to the leader, and two phases are faster than three", () => {
    const pbft = figures({ nodes: 7 });
    const three = figures({ engine: "hotstuff", nodes: 7 });
    const two = figures({ engine: "hotstuff", nodes: 7, hotstuff: { ...HOTSTUFF_DEFAULTS, phases: 2 } });
    expect(three.messagesPerSlot).toBeLessThan(pbft.messagesPerSlot);
    expect(two.p50Ms).toBeLessThan(three.p50Ms);
  });

  test("a longer way between machines takes longer", () => {
    expect(figures({ costs: { ...REFERENCE_COSTS, linkLatencyUs: 20_000 } }).p50Ms).toBeGreaterThan(figures().p50Ms);
  });
});
