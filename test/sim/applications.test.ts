import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Plan, SIM_APPLICATIONS, type SimApplication, type SimEngine } from "../../src/sim/plan.ts";
import { BASE_PLAN, parsePlan, printPlan } from "../../src/sim/plan-file.ts";
import { Recorder } from "../../src/sim/recorder.ts";
import { type RunResult, runPlan } from "../../src/sim/run.ts";
import { planOf } from "../../src/sim/swarm.ts";
import { traceText } from "../../src/sim/trace-text.ts";

/** Whole nodes that drive a replicated application, for clients that keep asking until they are answered. */

/** The runs of one kind, on a busy machine. */
setDefaultTimeout(240_000);

interface Runs {
  readonly engine: SimEngine;
  readonly application: SimApplication;
  readonly nodes: number;
  readonly seeds: number;
}

const FIXED: readonly Runs[] = [
  { engine: "pbft", application: "key-value", nodes: 4, seeds: 8 },
  { engine: "pbft", application: "ledger", nodes: 4, seeds: 8 },
  { engine: "hotstuff", application: "key-value", nodes: 4, seeds: 6 },
  { engine: "hotstuff", application: "ledger", nodes: 4, seeds: 6 },
  { engine: "pbft", application: "ledger", nodes: 7, seeds: 2 },
  { engine: "hotstuff", application: "key-value", nodes: 7, seeds: 2 },
];

async function results({ seeds, ...rest }: Runs, firstSeed: number): Promise<readonly RunResult[]> {
  const found: RunResult[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) found.push(await runPlan(planOf({ seed, ...rest })));
  return found;
}

describe("every invariant holds with a replicated application, and every client is answered", () => {
  for (const runs of FIXED) {
    const { engine, application, nodes, seeds } = runs;
    test(`${application} on ${nodes} nodes of ${engine}, seeds 1 to ${seeds}`, async () => {
      const found = await results(runs, 1);
      expect(found.filter(({ verdict }) => verdict !== "pass")).toEqual([]);
      for (const { commands } of found) expect(commands).toBeGreaterThan(0);
    });
  }

  for (const engine of ["pbft", "hotstuff"] as const) {
    test(`either on ${engine}, seeds that were never tried before`, async () => {
      for (const application of ["key-value", "ledger"] as const) {
        const found = await results({ engine, application, nodes: 4, seeds: 2 }, Date.now() % 2 ** 32);
        expect(found.filter(({ verdict }) => verdict !== "pass")).toEqual([]);
      }
    });
  }
});

/** On calm links all processes stop twice; snapshots are frequent, and the second time every node begins with one. */
function withBlackouts(application: SimApplication): Plan {
  const faults = [2_000, 4_000].flatMap((atMs) =>
    [0, 1, 2, 3].map((node) => ({ kind: "crash" as const, node, atMs, operations: 0, downMs: 150 })),
  );
  const clients = [{ atMs: 500, commands: 110, atATime: 1, patienceMs: 100 }];
  const snapshots = { ...BASE_PLAN.snapshots, interval: 4 };
  return { ...BASE_PLAN, seed: 3, application, faults, clients, snapshots };
}

describe("the application of a node that comes back", () => {
  for (const application of ["key-value", "ledger"] as const) {
    test(`is that of all others, from a snapshot and what was ordered after it (${application})`, async () => {
      const recorder = new Recorder();
      const { verdict, detail, commands } = await runPlan(withBlackouts(application), { recorder });
      expect({ verdict, detail, commands }).toEqual({ verdict: "pass", detail: "", commands: 110 });
      const text = traceText(recorder.records);
      expect(text).toContain("snapshot.taken");
      const restored = [...text.matchAll(/application of batch (\d+)/g)].map(([, batch]) => Number(batch));
      expect(restored.filter((batch) => batch > 4).length).toBeGreaterThanOrEqual(4);
    });
  }
});

describe("runs with an application are made of their plan alone", () => {
  test("the same plan gives the same trace to the byte, also as it is printed; another seed another one", async () => {
    const plan: Plan = { ...planOf({ seed: 9, nodes: 4, application: "key-value" }), chaosMs: 2_500 };
    const traceOf = async (given: Plan): Promise<readonly [string, string]> => {
      const recorder = new Recorder();
      const { fingerprint } = await runPlan(given, { recorder });
      return [fingerprint, traceText(recorder.records)];
    };
    const once = await traceOf(plan);
    expect(once[1]).toMatch(/tells \w+: command \d+ (applied|rejected) at \d+/);
    expect(await traceOf(plan)).toEqual(once);
    expect(await traceOf(parsePlan(printPlan({ about: "", plan }), "printed").plan)).toEqual(once);
    expect(await traceOf({ ...plan, seed: 10 })).not.toEqual(once);
  });

  test("a seed has one application, each has its turn, and the rest of the plan does not depend on it", () => {
    for (const engine of ["pbft", "hotstuff"] as const) {
      const plans = Array.from({ length: 60 }, (_, seed) => planOf({ seed, nodes: 4, engine }));
      expect(new Set(plans.map(({ application }) => application))).toEqual(new Set(SIM_APPLICATIONS));
      for (const plan of plans) {
        const { application, snapshots, clients, ...rest } = planOf({
          seed: plan.seed,
          nodes: 4,
          engine,
          application: "log",
        });
        expect(application).toBe("log");
        expect(plan).toMatchObject(rest);
      }
    }
  });

  test("a leaderless network runs a log, and a plan that says otherwise is refused", () => {
    const plans = Array.from({ length: 20 }, (_, seed) => planOf({ seed, nodes: 4, engine: "avalanche" }));
    expect(plans.filter(({ application }) => application !== "log")).toEqual([]);
    const refused = (text: string): (() => unknown) => {
      return () => parsePlan(text, "x.json");
    };
    expect(refused('{"engine": "avalanche", "application": "ledger"}')).toThrow("only log runs on it");
    const client = '{"atMs": 1, "commands": 1, "atATime": 1, "patienceMs": 5}';
    expect(refused(`{"clients": [${client}]}`)).toThrow("clients has 1 entries, but the application is log");
  });
});
