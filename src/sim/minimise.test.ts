import { describe, expect, test } from "bun:test";
import type { Engine } from "../consensus/engine.ts";
import { PbftEngine, type PbftOptions } from "../consensus/pbft/engine.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";
import { edited } from "./attacks.ts";
import { minimise } from "./minimise.ts";
import type { Plan } from "./plan.ts";
import { parsePlan, printPlan } from "./plan-file.ts";
import { type RunResult, runPlan } from "./run.ts";
import { planOf } from "./swarm.ts";

/** A planted bug: votes never reach the disk. */
function forgetful(options: PbftOptions): Engine<PbftMessage> {
  return edited(new PbftEngine(options), (effect) => {
    if (effect.kind !== "persist") return [effect];
    return [{ ...effect, writes: effect.writes.filter(({ key }) => !key.startsWith("accepted/")) }];
  });
}

function runForgetful(plan: Plan): Promise<RunResult> {
  return runPlan(plan, { makeEngine: forgetful });
}

function sizeOf({ faults, work, liars }: Plan): number {
  return faults.length + work.length + liars.flatMap(({ attacks }) => ["a liar", ...attacks]).length;
}

describe("the minimiser", () => {
  test("leaves of a planted bug's plan what the bug needs", async () => {
    const plan = planOf({ seed: 4, nodes: 4 });
    const found = await runForgetful(plan);
    expect(found.invariant).toBe("durable-before-visible");
    const failed = async (candidate: Plan): Promise<boolean> =>
      (await runForgetful(candidate)).invariant === found.invariant;
    const { plan: least, runs } = await minimise(plan, failed);
    expect(runs).toBeLessThan(200);
    expect(await failed(least)).toBe(true);
    // Nothing has to go wrong for this bug, and nodes order reports of their own: it needs no client either.
    expect(least).toMatchObject({ faults: [], liars: [], clocks: [], work: [] });
    expect(await failed(parsePlan(printPlan({ about: "", plan: least }), "kept").plan)).toBe(true);
    expect((await runPlan(least)).verdict).toBe("pass");
  });

  /** No simulator: a failure that needs these parts. */
  async function least(plan: Plan, needs: (plan: Plan) => boolean): Promise<Plan> {
    expect(needs(plan)).toBe(true);
    const minimised = await minimise(plan, (candidate) => Promise.resolve(needs(candidate)), { runsMax: 5_000 });
    expect(needs(minimised.plan)).toBe(true);
    return minimised.plan;
  }

  test("keeps two faults that only fail together", async () => {
    const crash = (node: number): Plan["faults"][number] => ({
      kind: "crash",
      node,
      atMs: 700,
      operations: 9,
      downMs: 800,
    });
    const plan: Plan = { ...planOf({ seed: 3, nodes: 4 }), faults: [0, 1, 2, 3, 0, 1, 2, 3].map(crash) };
    const has = (candidate: Plan, node: number): boolean =>
      candidate.faults.some((fault) => "node" in fault && fault.node === node);
    const found = await least(plan, (candidate) => has(candidate, 1) && has(candidate, 3));
    expect(sizeOf(found)).toBe(2);
    expect(found.faults).toContainEqual({ kind: "crash", node: 1, atMs: 700, operations: 0, downMs: 20 });
    expect(found.chaosMs).toBeLessThan(1_000);
  });

  test("keeps the one attack, the one way and the one message that matter", async () => {
    const plan: Plan = {
      ...planOf({ seed: 3, nodes: 7 }),
      liars: [
        { node: 1, attacks: ["garbage", "equivocate", "lie"], twin: false },
        { node: 2, attacks: ["replay"], twin: false },
      ],
      faults: [
        {
          kind: "partition",
          atMs: 5,
          durationMs: 400,
          blocked: [
            [0, 1],
            [1, 0],
            [2, 3],
          ],
        },
        { kind: "loss", atMs: 5, durationMs: 400, messages: [1, 2, 3], from: [0, 1], to: [2, 3] },
      ],
    };
    const found = await least(
      plan,
      ({ liars, faults }) =>
        liars.some(({ attacks }) => attacks.includes("equivocate")) &&
        faults.some(
          (fault) => fault.kind === "partition" && fault.blocked.some(([from, to]) => from === 1 && to === 0),
        ) &&
        faults.some((fault) => fault.kind === "loss" && fault.messages.includes(2) && fault.to.includes(3)),
    );
    expect(found).toMatchObject({
      nodes: 4,
      work: [],
      liars: [{ node: 1, attacks: ["equivocate"] }],
      faults: [
        { kind: "partition", durationMs: 20, blocked: [[1, 0]] },
        { kind: "loss", messages: [2], from: [], to: [3] },
      ],
    });
  });

  test("ends after so many runs, and when time is up", async () => {
    const plan = planOf({ seed: 3, nodes: 4 });
    const fails = (): Promise<boolean> => Promise.resolve(false);
    expect(await minimise(plan, fails, { runsMax: 3 })).toEqual({ plan, runs: 3 });
    expect(await minimise(plan, fails, { isTimeUp: () => true })).toEqual({ plan, runs: 0 });
  });
});
