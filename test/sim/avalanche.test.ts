import { describe, expect, test } from "bun:test";
import { parsePlan, printPlan } from "../../src/sim/plan-file.ts";
import { Recorder } from "../../src/sim/recorder.ts";
import { type RunResult, runPlan } from "../../src/sim/run.ts";
import { planOf } from "../../src/sim/swarm.ts";
import { traceText } from "../../src/sim/trace-text.ts";

/** Whole nodes of a leaderless network under faults of every kind: what `campaign.test.ts` is for an ordered one. */

/** How long the runs of one size may take on a busy machine. */
const CAMPAIGN_MS_MAX = 240_000;

const engine = "avalanche";

async function failures(nodes: number, firstSeed: number, seeds: number): Promise<readonly RunResult[]> {
  const failed: RunResult[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const result = await runPlan(planOf({ seed, nodes, engine }));
    if (result.verdict !== "pass") failed.push(result);
  }
  return failed;
}

describe("of what conflicts one is final everywhere, and all that was taken in is decided when the faults are over", () => {
  for (const { nodes, seeds } of [
    { nodes: 4, seeds: 20 },
    { nodes: 5, seeds: 3 },
    { nodes: 7, seeds: 2 },
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
    "4 nodes, 4 seeds that were never tried before",
    async () => {
      expect(await failures(4, Date.now() % 2 ** 32, 4)).toEqual([]);
    },
    CAMPAIGN_MS_MAX,
  );
});

describe("what a run once found", () => {
  test("a vertex that came too late is not voted for after a restart, though only its bundle was durable", async () => {
    expect((await runPlan(planOf({ seed: 48, nodes: 4, engine }))).detail).toBe("");
  });

  test("validators that restart in a young epoch, one of those before removed, do not wait for each other", async () => {
    expect((await runPlan(planOf({ seed: 39, nodes: 4, engine }))).detail).toBe("");
  });

  test("a witness of a certificate that it cannot show, and one liar, do not keep an epoch from beginning", async () => {
    expect((await runPlan(planOf({ seed: 230, nodes: 4, engine }))).detail).toBe("");
  });
});

describe("a creator that forks its lane", () => {
  test(
    "is found out wherever both branches were seen",
    async () => {
      let [visible, detected] = [0, 0];
      for (let seed = 1; seed <= 10; seed++) {
        const result = await runPlan(planOf({ seed, nodes: 4, engine, byzantine: 1, attacks: ["fork-lane"] }));
        expect(result.detail).toBe("");
        visible += result.visible;
        detected += result.detected;
      }
      expect(visible).toBeGreaterThan(3);
      expect(detected / visible).toBeGreaterThan(0.8);
    },
    CAMPAIGN_MS_MAX,
  );

  // Branches whose last payloads are equal: had they a vertex in common, whose child would what follows it be?
  test(
    "into branches that end with the same payload cannot make two nodes disagree",
    async () => {
      for (let seed = 1; seed <= 12; seed++) {
        const result = await runPlan(planOf({ seed, nodes: 4, engine, byzantine: 1, attacks: ["fork-alike"] }));
        expect([seed, result.detail]).toEqual([seed, ""]);
      }
    },
    CAMPAIGN_MS_MAX,
  );
});

describe("runs of a leaderless network are made of their plan alone", () => {
  test("the same plan gives the same trace to the byte, also as it is printed; another seed another one", async () => {
    const plan = { ...planOf({ seed: 7, nodes: 4, engine }), chaosMs: 2_500 };
    const traceOf = async (given: typeof plan): Promise<readonly [string, string]> => {
      const recorder = new Recorder();
      const { fingerprint } = await runPlan(given, { recorder });
      return [fingerprint, traceText(recorder.records)];
    };
    const once = await traceOf(plan);
    expect(once[1]).toContain("votes");
    expect(await traceOf(plan)).toEqual(once);
    expect(await traceOf(parsePlan(printPlan({ about: "", plan }), "printed").plan)).toEqual(once);
    expect(await traceOf({ ...plan, seed: 8 })).not.toEqual(once);
  });
});

describe("a plan", () => {
  test("of an ordered network has neither spends nor attacks on a DAG", () => {
    const spend = { node: 0, atMs: 1, coins: [1] };
    const text = JSON.stringify({ spends: [spend], liars: [{ node: 1, attacks: ["split-votes"] }] });
    expect(() => parsePlan(text, "wrong.json")).toThrow(/only avalanche knows conflicts/);
    expect(() => parsePlan(text, "wrong.json")).toThrow(/liars do split-votes, but the engine is pbft/);
    expect(parsePlan(JSON.stringify({ engine, spends: [spend] }), "right.json").plan.spends).toEqual([spend]);
  });
});
