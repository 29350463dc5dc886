import { describe, expect, test } from "bun:test";
import type { Plan } from "./plan.ts";
import { BASE_PLAN, parsePlan, PlanError, printPlan } from "./plan-file.ts";
import { planOf } from "./swarm.ts";

function problemsOf(json: unknown): readonly string[] {
  try {
    parsePlan(JSON.stringify(json), "x.json");
  } catch (error) {
    if (error instanceof PlanError) return error.problems;
    throw error;
  }
  return [];
}

describe("a plan's file", () => {
  test("reads back as the plan that was printed", () => {
    for (let seed = 0; seed < 200; seed++) {
      const plan = planOf({ seed, nodes: 4 + (seed % 4) });
      expect(parsePlan(printPlan({ about: `seed "${seed}"`, plan }), "x.json")).toEqual({
        about: `seed "${seed}"`,
        plan,
      });
    }
  });

  test("leaves out what is as usual", () => {
    expect(printPlan({ about: "", plan: BASE_PLAN })).toBe('{\n  "nodes": 4,\n  "seed": 1\n}\n');
    expect(parsePlan("{}", "x.json")).toEqual({ about: "", plan: BASE_PLAN });
  });

  test("has one line for each fault", () => {
    const faults: Plan["faults"] = [
      { kind: "crash", node: 1, atMs: 2, operations: 0, downMs: 3 },
      { kind: "partition", atMs: 1, durationMs: 2, blocked: [[0, 1]] },
    ];
    const text = printPlan({ about: "", plan: { ...BASE_PLAN, faults } });
    expect(text.split("\n").filter((line) => line.includes('"kind"'))).toHaveLength(2);
  });

  const WRONG: readonly (readonly [json: unknown, problem: string])[] = [
    [{ fautls: [] }, 'the plan has no key "fautls"; did you mean "faults"?'],
    [{ nodes: "four" }, 'nodes is "four", but must be a whole number 1 to 100'],
    [{ seed: -1 }, "seed is -1, but must be a whole number 0 to 4294967295"],
    [{ seed: 1.5 }, "seed is 1.5, but must be a whole number 0 to 4294967295"],
    [{ faults: [{ kind: "crush" }] }, 'faults[0].kind is "crush", but must be a fault: one of crash, partition'],
    [{ faults: [{ kind: "disk-full", node: 1, atMs: 5 }] }, "faults[0].durationMs is missing; it must be a number"],
    [
      { faults: [{ kind: "disk-full", node: 1, atMs: 5, duratoinMs: 1, durationMs: 1 }] },
      'faults[0] has no key "duratoinMs"; did you mean "durationMs"?',
    ],
    [{ liars: [{ node: 1, attacks: ["equivocat"] }] }, 'did you mean "equivocate"?'],
    [{ liars: [{ node: 4 }] }, "liars[0].node is 4, but must be 0 to 3"],
    [{ liars: [{ node: 1 }, { node: 1 }] }, "liars[1].node 1 lies twice"],
    [{ nodes: 1, liars: [{ node: 0 }] }, "one of 1 nodes must be correct"],
    [{ faults: [{ kind: "lost-disk", node: 9, atMs: 1, downMs: 1 }] }, "faults[0]: node is 9, but must be 0 to 3"],
    [{ faults: [{ kind: "partition", atMs: 1, durationMs: 1, blocked: [[0]] }] }, "faults[0].blocked[0]"],
    [{ links: { ...BASE_PLAN.links, delayMinMs: 9 } }, "links.delayMinMs, links.delayMaxMs is 9 and 5"],
    [{ links: { ...BASE_PLAN.links, loss: 1 } }, "links.loss is 1, but must be a number 0 to 0.9"],
    [[], "the plan is [], but must be a table with about, engine"],
  ];
  test.each(WRONG)("is refused with its field and what is allowed: %j", (json, problem) => {
    expect(problemsOf(json).join("\n")).toContain(problem);
  });

  test("tells all problems at once", () => {
    expect(problemsOf({ nodes: 0, seed: "x", engine: "raft" })).toHaveLength(3);
  });

  test("that is not JSON is named with its source", () => {
    expect(() => parsePlan("{", "plan.json")).toThrow(/^plan\.json:\n {2}- is not JSON/);
  });

  test("may name the second of two twins", () => {
    const twin = {
      liars: [{ node: 0, twin: true }],
      faults: [{ kind: "crash", node: 4, atMs: 1, operations: 0, downMs: 1 }],
    };
    expect(problemsOf(twin)).toEqual([]);
  });
});
