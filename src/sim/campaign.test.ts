import { describe, expect, test } from "bun:test";
import { campaign, CampaignError, type CampaignOptions, type TimedResult } from "./campaign.ts";
import type { Plan } from "./plan.ts";
import { planOf } from "./swarm.ts";
import { NO_TOTALS, withResult } from "./totals.ts";

const EIGHT: CampaignOptions = {
  seedFrom: 1_000,
  runs: 8,
  planOf: (seed) => planOf({ seed, nodes: 4, chaosMs: 1_500 }),
};

async function resultsOf(options: CampaignOptions): Promise<readonly TimedResult[]> {
  const results: TimedResult[] = [];
  for await (const result of campaign(options)) results.push(result);
  return results;
}

function withoutTime(results: readonly TimedResult[]): readonly Partial<TimedResult>[] {
  return results.map(({ wallMs: _, ...rest }) => rest);
}

describe("a campaign", () => {
  test("has the same results in the same order with one process and with three", async () => {
    const alone = await resultsOf(EIGHT);
    expect(alone.map(({ seed }) => seed)).toEqual([1_000, 1_001, 1_002, 1_003, 1_004, 1_005, 1_006, 1_007]);
    expect(withoutTime(await resultsOf({ ...EIGHT, jobs: 3 }))).toEqual(withoutTime(alone));
  });

  test("adds up what its runs came to", async () => {
    const results = await resultsOf({ ...EIGHT, runs: 3 });
    const failed: TimedResult = { ...(results[0] as TimedResult), verdict: "violation", invariant: "agreement" };
    const totals = [...results, failed].reduce(withResult, NO_TOTALS);
    expect(totals).toMatchObject({ runs: 4, passed: 3, violations: { agreement: 1 } });
    expect(totals.events).toBe([...results, failed].reduce((sum, { events }) => sum + events, 0));
  });

  test("that is left early ends its processes", async () => {
    for await (const { seed } of campaign({ ...EIGHT, runs: 500, jobs: 2 })) {
      expect(seed).toBe(1_000);
      break;
    }
  });

  test("names the seed of a run that does not end", async () => {
    const endless: Plan = { ...planOf({ seed: 9, nodes: 4 }), nodes: 31, chaosMs: 1_000_000 };
    const work = Array.from({ length: 2_000 }, (_, at) => ({ node: 0, atMs: at * 400, payloads: 1, bytes: 8 }));
    const running = resultsOf({ seedFrom: 9, runs: 2, jobs: 2, hangMs: 1_000, planOf: () => ({ ...endless, work }) });
    const error: unknown = await running.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CampaignError);
    expect(error).toMatchObject({ code: "hung", seed: 9 });
  });
});
