import { describe, expect, test } from "bun:test";
import { type RunResult, runPlan } from "../../src/sim/run.ts";
import { planOf } from "../../src/sim/swarm.ts";

/**
 * Whole nodes under faults of every kind, which the seed chooses. The fixed seeds are the same everywhere and always; the
 * fresh ones are new in every run, and print themselves where they fail: `planOf({ seed, nodes })` repeats such a run to
 * the last event, on any machine.
 */

/** How long the runs of one size may take on a busy machine. */
const CAMPAIGN_MS_MAX = 240_000;

const FIXED: readonly { readonly nodes: number; readonly seeds: number }[] = [
  { nodes: 4, seeds: 45 },
  { nodes: 5, seeds: 15 },
  { nodes: 6, seeds: 10 },
  { nodes: 7, seeds: 9 },
  { nodes: 10, seeds: 3 },
];

const FRESH: readonly { readonly nodes: number; readonly seeds: number }[] = [
  { nodes: 4, seeds: 12 },
  { nodes: 5, seeds: 3 },
  { nodes: 7, seeds: 2 },
];

async function failures(nodes: number, firstSeed: number, seeds: number): Promise<readonly RunResult[]> {
  const failed: RunResult[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const result = await runPlan(planOf({ seed, nodes }));
    if (result.verdict !== "pass") failed.push(result);
  }
  return failed;
}

describe("every invariant holds under faults of every kind, and all that was accepted becomes final after them", () => {
  for (const { nodes, seeds } of FIXED) {
    test(
      `${nodes} nodes, seeds 1 to ${seeds}`,
      async () => {
        expect(await failures(nodes, 1, seeds)).toEqual([]);
      },
      CAMPAIGN_MS_MAX,
    );
  }

  for (const { nodes, seeds } of FRESH) {
    test(
      `${nodes} nodes, ${seeds} seeds that were never tried before`,
      async () => {
        expect(await failures(nodes, Date.now() % 2 ** 32, seeds)).toEqual([]);
      },
      CAMPAIGN_MS_MAX,
    );
  }
});

describe("no correct node is blamed, banned or removed by a bad network", () => {
  test(
    "with 30 % loss, delays up to 500 ms on links of different speed, crashes, and reports twice a second",
    async () => {
      const failed: RunResult[] = [];
      for (let seed = 1; seed <= 25; seed++) {
        const plan = planOf({ seed, nodes: 4 });
        const links = { ...plan.links, delayMaxMs: 500, spread: 2, loss: 0.3, breakage: 0.01 };
        const result = await runPlan({ ...plan, links, reportIntervalMs: 500 });
        if (result.verdict !== "pass") failed.push(result);
      }
      expect(failed).toEqual([]);
    },
    CAMPAIGN_MS_MAX,
  );
});

/** SS-003: more than 95 % of the malicious nodes that act visibly are detected. */
const DETECTED_MIN = 0.95;

describe("who lies where it can be seen is found out", () => {
  for (const { nodes, byzantine, seeds } of [
    { nodes: 4, byzantine: 1, seeds: 60 },
    { nodes: 7, byzantine: 2, seeds: 20 },
  ]) {
    test(
      `by the correct ones of ${nodes}, of which ${byzantine} lie, over ${seeds} seeds`,
      async () => {
        let [visible, detected] = [0, 0];
        for (let seed = 1; seed <= seeds; seed++) {
          const result = await runPlan(planOf({ seed, nodes, byzantine }));
          expect(result.detail).toBe("");
          visible += result.visible;
          detected += result.detected;
        }
        expect(visible).toBeGreaterThan(seeds / 4);
        expect(detected / visible).toBeGreaterThan(DETECTED_MIN);
      },
      CAMPAIGN_MS_MAX,
    );
  }
});

describe("runs are made of their plan alone", () => {
  test("the same plan gives the same run, to the last event", async () => {
    const plan = planOf({ seed: 42, nodes: 4 });
    expect(await runPlan(plan)).toEqual(await runPlan(plan));
  });

  test("another seed gives another run", async () => {
    const { fingerprint } = await runPlan(planOf({ seed: 42, nodes: 4 }));
    expect((await runPlan(planOf({ seed: 43, nodes: 4 }))).fingerprint).not.toBe(fingerprint);
  });
});
