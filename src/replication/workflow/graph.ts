import { present } from "../../lib/assert.ts";
import type { StepDefinition } from "./definition.ts";
import { refuse } from "./refusal.ts";

/** The places of each step's dependencies, in the order in which it names them. */
export type Graph = readonly (readonly number[])[];

/**
 * The dependencies as places, where they are those of a run that can end.
 * @throws CommandRejected `no-steps`, `duplicate-step`, `unknown-dependency`, `duplicate-dependency`, `cycle`, with the place
 */
export function graphOf(steps: readonly StepDefinition[]): Graph {
  if (steps.length === 0) refuse("no-steps", "a run has one step at least");
  const places = new Map<string, number>();
  for (const [step, { name }] of steps.entries()) {
    const first = places.get(name);
    if (first !== undefined)
      refuse("duplicate-step", `steps[${first}] and steps[${step}] are both named ${name}`, { step });
    places.set(name, step);
  }
  const graph = steps.map(({ dependsOn }, step) => {
    const seen = new Set<string>();
    return dependsOn.map((name, dependency) => {
      const at = `steps[${step}].dependsOn[${dependency}]`;
      const place = places.get(name);
      if (place === undefined)
        refuse("unknown-dependency", `${at} is ${name}: no step has that name`, { step, dependency });
      if (seen.has(name)) refuse("duplicate-dependency", `${at} is ${name} a second time`, { step, dependency });
      seen.add(name);
      return place;
    });
  });
  const cycle = cycleIn(graph);
  if (cycle !== null) {
    const { step, dependency, path } = cycle;
    const names = path.map((place) => steps[place]?.name).join(" waits for ");
    refuse("cycle", `steps[${step}].dependsOn[${dependency}]: ${names}`, { step, dependency });
  }
  return graph;
}

/** For each step those that wait for it, ascending. */
export function dependentsIn(graph: Graph): readonly (readonly number[])[] {
  const dependents: number[][] = graph.map(() => []);
  for (const [step, dependencies] of graph.entries()) {
    for (const dependency of dependencies) present(dependents[dependency], "a dependency").push(step);
  }
  return dependents;
}

interface Cycle {
  /** Its first step in the definition, and the place of the one that closes the cycle among what it waits for. */
  readonly step: number;
  readonly dependency: number;
  /** Along the dependencies, from that step to itself. */
  readonly path: readonly number[];
}

/** One cycle; null where there is none. */
function cycleIn(graph: Graph): Cycle | null {
  const stuck = stuckIn(graph);
  const [start] = stuck;
  if (start === undefined) return null;
  const next = (step: number): number =>
    present(
      graph[step]?.find((dependency) => stuck.has(dependency)),
      "what is stuck waits for what is stuck",
    );
  const seen = new Set<number>();
  let at = start;
  for (; !seen.has(at); at = next(at)) seen.add(at);
  const ring = [at];
  for (let step = next(at); step !== at; step = next(step)) ring.push(step);
  const first = ring.indexOf(Math.min(...ring));
  const path = [...ring.slice(first), ...ring.slice(0, first)];
  const [step = at, second = at] = path;
  return { step, dependency: graph[step]?.indexOf(path.length > 1 ? second : step) ?? 0, path: [...path, step] };
}

/** The steps that could never be ready: those in cycles, and those behind them. */
function stuckIn(graph: Graph): ReadonlySet<number> {
  const dependents = dependentsIn(graph);
  const missing = graph.map(({ length }) => length);
  const ready = [...missing.keys()].filter((step) => missing[step] === 0);
  const stuck = new Set(missing.keys());
  for (let step = ready.pop(); step !== undefined; step = ready.pop()) {
    stuck.delete(step);
    for (const dependent of dependents[step] ?? []) {
      const left = (missing[dependent] ?? 0) - 1;
      missing[dependent] = left;
      if (left === 0) ready.push(dependent);
    }
  }
  return stuck;
}
