import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CommandRejected } from "../replicated.ts";
import type { StepDefinition } from "./definition.ts";
import { dependentsIn, type Graph, graphOf } from "./graph.ts";
import { decodeRefusal } from "./refusal.ts";

function stepsOf(spec: readonly (readonly [name: string, ...dependsOn: string[]])[]): readonly StepDefinition[] {
  return spec.map(([name, ...dependsOn]) => {
    return { name, handler: "h", dependsOn, input: new Uint8Array(0), attemptsMax: 1, backoffMs: 0 };
  });
}

function refusalOf(steps: readonly StepDefinition[]): object | null {
  try {
    graphOf(steps);
    return null;
  } catch (error) {
    if (!(error instanceof CommandRejected)) throw error;
    const { code, step, dependency } = decodeRefusal(error.detail);
    return { code, step, dependency, message: error.message };
  }
}

/** Whether some step waits for itself: by looking at all ways, which is what a small graph allows. */
function hasCycle(graph: Graph): boolean {
  const reaches = graph.map((dependencies) => new Set(dependencies));
  for (let round = 0; round < graph.length; round++)
    for (const set of reaches) for (const place of [...set]) for (const next of reaches[place] ?? []) set.add(next);
  return reaches.some((set, step) => set.has(step));
}

describe("the steps of a run", () => {
  test("may name what comes later, and say who waits for whom", () => {
    const graph = graphOf(stepsOf([["end", "left", "right"], ["left", "begin"], ["right", "begin"], ["begin"]]));
    expect(graph).toEqual([[1, 2], [3], [3], []]);
    expect(dependentsIn(graph)).toEqual([[], [0], [0], [1, 2]]);
  });

  test.each([
    ["none", [], { code: "no-steps", step: null, dependency: null }],
    ["two of one name", [["a"], ["b"], ["a"]], { code: "duplicate-step", step: 2, dependency: null }],
    ["a dependency on nothing", [["a"], ["b", "a", "c"]], { code: "unknown-dependency", step: 1, dependency: 1 }],
    ["a dependency twice", [["a"], ["b", "a", "a"]], { code: "duplicate-dependency", step: 1, dependency: 1 }],
    ["itself", [["a"], ["b", "a", "b"]], { code: "cycle", step: 1, dependency: 1 }],
    [
      "a cycle behind which others wait",
      [["first", "c"], ["a", "b"], ["x"], ["b", "x", "c"], ["c", "a"]],
      { code: "cycle", step: 1, dependency: 0 },
    ],
  ] as const)("are refused with the place: %s", (_, spec, refusal) => {
    expect(refusalOf(stepsOf(spec as never))).toMatchObject(refusal);
  });

  test("are told the whole cycle", () => {
    const refusal = refusalOf(
      stepsOf([
        ["a", "c"],
        ["b", "a"],
        ["c", "b"],
      ]),
    );
    expect(refusal).toMatchObject({ message: "steps[0].dependsOn[0]: a waits for c waits for b waits for a" });
  });

  test("are refused for a cycle exactly where one waits for itself, and the place is on it", () => {
    const edges = fc.array(fc.tuple(fc.nat(6), fc.nat(6)), { maxLength: 14 });
    fc.assert(
      fc.property(edges, (pairs) => {
        const sets = Array.from({ length: 7 }, () => new Set<number>());
        for (const [step, dependency] of pairs) sets[step]?.add(dependency);
        const graph = sets.map((set) => [...set]);
        const refusal = refusalOf(stepsOf(graph.map((places, step) => [`${step}`, ...places.map(String)])));
        expect(refusal !== null).toBe(hasCycle(graph));
        if (refusal === null) return;
        const { step, dependency } = refusal as { step: number; dependency: number };
        const cut = graph.map((places, at) => (at === step ? places.toSpliced(dependency, 1) : places));
        // The edge is part of a cycle: its end leads back to the step.
        const seen = new Set<number>();
        const visit = (at: number): void => {
          if (seen.has(at)) return;
          seen.add(at);
          for (const next of cut[at] ?? []) visit(next);
        };
        visit(graph[step]?.[dependency] ?? -1);
        expect(seen.has(step)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
