import { describe, expect, test } from "bun:test";
import { parsePlan, printPlan } from "../../src/sim/plan-file.ts";
import { Recorder } from "../../src/sim/recorder.ts";
import { type RunResult, runPlan } from "../../src/sim/run.ts";
import { planOf } from "../../src/sim/swarm.ts";
import { traceText } from "../../src/sim/trace-text.ts";

/** Whole nodes of a network of HotStuff under faults of every kind: what `campaign.test.ts` is for PBFT. */

/** How long the runs of one size may take on a busy machine. */
const CAMPAIGN_MS_MAX = 240_000;

const engine = "hotstuff";

async function failures(nodes: number, firstSeed: number, seeds: number): Promise<readonly RunResult[]> {
  const failed: RunResult[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const result = await runPlan(planOf({ seed, nodes, engine }));
    if (result.verdict !== "pass") failed.push(result);
  }
  return failed;
}

describe("HotStuff keeps every invariant, and all that was taken in is final when the faults are over", () => {
  for (const { nodes, seeds } of [
    { nodes: 4, seeds: 40 },
    { nodes: 5, seeds: 6 },
    { nodes: 7, seeds: 4 },
  ]) {
    test(
      `${nodes} nodes, seeds 1 to ${seeds}`,
      async () => {
        expect(await failures(nodes, 1, seeds)).toEqual([]);
      },
      CAMPAIGN_MS_MAX,
    );
  }

  test(
    "4 nodes, 8 seeds that were never tried before",
    async () => {
      expect(await failures(4, Date.now() % 2 ** 32, 8)).toEqual([]);
    },
    CAMPAIGN_MS_MAX,
  );
});

describe("runs of HotStuff are made of their plan alone", () => {
  test("the same plan gives the same trace to the byte, also as it is printed; another seed another one", async () => {
    const plan = { ...planOf({ seed: 7, nodes: 4, engine }), chaosMs: 2_500 };
    const traceOf = async (given: typeof plan): Promise<readonly [string, string]> => {
      const recorder = new Recorder();
      const { fingerprint } = await runPlan(given, { recorder });
      return [fingerprint, traceText(recorder.records)];
    };
    const once = await traceOf(plan);
    expect(once[1]).toContain("propose v");
    expect(await traceOf(plan)).toEqual(once);
    expect(await traceOf(parsePlan(printPlan({ about: "", plan }), "printed").plan)).toEqual(once);
    expect(await traceOf({ ...plan, seed: 8 })).not.toEqual(once);
  });

  test("plans of 2 and of 3 phases, of both ways for votes and to choose leaders come up", () => {
    const ways = Array.from({ length: 40 }, (_, seed) => planOf({ seed, nodes: 4, engine }).hotstuff);
    expect(new Set(ways.map(({ phases, voteRoute }) => `${phases} ${voteRoute}`)).size).toBe(4);
    expect(new Set(ways.map(({ leaders }) => leaders)).size).toBe(2);
  });
});

describe("what a run once found", () => {
  test("a witness that heard a validator give a view up can say so to one that comes back", async () => {
    for (const seed of [98, 395, 500]) {
      const plan = planOf({ seed, nodes: 4, engine });
      // As it was found: leaders took turns.
      const { detail } = await runPlan({ ...plan, hotstuff: { ...plan.hotstuff, leaders: "round-robin" } });
      expect(detail).toBe("");
    }
  });
});
