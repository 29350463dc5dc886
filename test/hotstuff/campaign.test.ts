import { describe, expect, test } from "bun:test";
import { breathe, type RunResult, runSeed } from "./campaign.ts";
import { PLANTED } from "./planted.ts";

/** How long the runs of one kind may take on a busy machine. */
const CAMPAIGN_MS_MAX = 240_000;

/** Seeds in which a planted fault must be found; most show in the first few. */
const PLANTED_SEEDS = 60;

const CAMPAIGNS = [
  { phases: 3, voteRoute: "leader", leaders: "round-robin", seeds: 20 },
  { phases: 3, voteRoute: "leader", leaders: "reputation", seeds: 30 },
  { phases: 3, voteRoute: "all", leaders: "round-robin", seeds: 8 },
  { phases: 3, voteRoute: "all", leaders: "reputation", seeds: 12 },
  { phases: 2, voteRoute: "leader", leaders: "round-robin", seeds: 10 },
  { phases: 2, voteRoute: "leader", leaders: "reputation", seeds: 20 },
  { phases: 2, voteRoute: "all", leaders: "round-robin", seeds: 8 },
  { phases: 2, voteRoute: "all", leaders: "reputation", seeds: 12 },
] as const;

describe("agreement, one chain, one vote in a view and durable votes hold under faults, and progress and quiet follow them", () => {
  for (const { phases, voteRoute, leaders, seeds } of CAMPAIGNS) {
    test(
      `${phases} phases, votes to ${voteRoute === "all" ? "all" : "the next leader"}, ${leaders}, ${seeds} seeds`,
      async () => {
        const failed: RunResult[] = [];
        for (let seed = 1; seed <= seeds; seed++) {
          const result = runSeed({ seed: 10_000 * phases + seed, variant: { phases, voteRoute, leaders } });
          if (result.verdict !== "pass") failed.push(result);
          await breathe();
        }
        expect(failed).toEqual([]);
      },
      CAMPAIGN_MS_MAX,
    );
  }

  test("the same seed gives the same run", () => {
    const options = { seed: 42, variant: { phases: 3, voteRoute: "leader" } } as const;
    expect(runSeed(options)).toEqual(runSeed(options));
  });
});

describe("a planted fault is found", () => {
  for (const [name, { variant, attacks, liars }] of Object.entries(PLANTED)) {
    test(
      name,
      async () => {
        let found: string | null = null;
        for (let seed = 0; seed < PLANTED_SEEDS && found === null; seed++) {
          const result = runSeed({ seed, variant, liars, count: 4, ...(attacks === undefined ? {} : { attacks }) });
          if (result.verdict === "violation") found = result.detail;
          await breathe();
        }
        expect(found).not.toBeNull();
      },
      CAMPAIGN_MS_MAX,
    );
  }
});
