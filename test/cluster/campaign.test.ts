import { describe, expect, test } from "bun:test";
import { breathe, type RunResult, runSeed } from "./campaign.ts";

/**
 * Faults of every kind, chosen by seed, against clusters of every shape. `bun test/cluster/run-campaign.ts FROM TO N...`
 * runs as many as one likes; a seed that fails prints itself, and `FROM = TO = seed` repeats it.
 */
/** How long the runs of one size may take on a busy machine. */
const CAMPAIGN_MS_MAX = 120_000;

const CAMPAIGNS: readonly { readonly count: number; readonly seeds: number }[] = [
  { count: 1, seeds: 5 },
  { count: 2, seeds: 10 },
  { count: 3, seeds: 10 },
  { count: 4, seeds: 90 },
  { count: 5, seeds: 20 },
  { count: 6, seeds: 10 },
  { count: 7, seeds: 10 },
  { count: 10, seeds: 2 },
];

describe("agreement, order, exactly-once and durability of votes hold under faults, and progress and quiet follow them", () => {
  for (const { count, seeds } of CAMPAIGNS) {
    test(
      `${count} replicas, ${seeds} seeds`,
      async () => {
        const failed: RunResult[] = [];
        for (let seed = 1; seed <= seeds; seed++) {
          const result = runSeed({ seed: 10_000 * count + seed, count });
          if (result.verdict !== "pass") failed.push(result);
          await breathe();
        }
        expect(failed).toEqual([]);
      },
      CAMPAIGN_MS_MAX,
    );
  }

  test("the same seed gives the same run, to the last event", () => {
    expect(runSeed({ seed: 42, count: 4 })).toEqual(runSeed({ seed: 42, count: 4 }));
  });
});
