import type { Invariant } from "../violation.ts";
import type { Fault, Plan, Work } from "../plan.ts";
import type { Planted } from "../kinds.ts";
import { planOf, type SwarmOptions } from "../swarm.ts";

/** A bug planted into every correct node of a run. The simulator has to find it, or what it passes means nothing. */
export interface WrongNode {
  readonly bug: string;
  /** The rule that it breaks, with its place in the paper or in this house. */
  readonly breaks: string;
  /** It is found by this seed at the latest; seeds count from 1. */
  readonly seeds: number;
  /** What it is found by. Any other finding is an accident, or a bug of the simulator's own. */
  readonly expects: readonly Invariant[];
  /** What the finding must say: a node that stops itself does so for a reason. */
  readonly says?: RegExp;
  readonly swarm: Omit<SwarmOptions, "seed">;
  /** Circumstances that chance alone chooses too seldom. */
  readonly adjust?: (plan: Plan) => Plan;
  readonly plant: Planted;
}

export function planFor({ swarm, adjust }: WrongNode, seed: number): Plan {
  // Bugs of the engines and of the node are looked for without an application: it would only make the runs longer.
  const plan = planOf({ application: "log", ...swarm, seed });
  return adjust?.(plan) ?? plan;
}

/** Clocks ten seconds apart: within what replicas accept of a leader, and told apart by every change of leaders. */
export function withUnevenClocks(plan: Plan): Plan {
  const clocks = plan.clocks.map((clock, place) => ({ ...clock, skewMs: place % 2 === 0 ? 5_000 : -5_000 }));
  return { ...plan, clocks };
}

/** In the middle of the run all processes stop at the same instant; there are no other faults. */
export function withBlackout(plan: Plan): Plan {
  const atMs = plan.chaosMs / 2;
  const faults = Array.from({ length: plan.nodes }, (_, node) => {
    return { kind: "crash" as const, node, atMs, operations: 0, downMs: 100 };
  });
  return { ...plan, faults };
}

/** The kind of a commit on the wire. */
const COMMIT = 2;

/** Commits reach one node only, again and again: it executes what the others have but prepared, and their views fail. */
export function withLostCommits(plan: Plan): Plan {
  const all = Array.from({ length: plan.nodes }, (_, node) => node);
  const faults = [600, 1_800, 3_000, 4_200].map((atMs, index): Fault => {
    const to = all.filter((node) => node !== (plan.seed + index) % plan.nodes);
    return { kind: "loss", atMs, durationMs: 400, messages: [COMMIT], from: all, to };
  });
  const work = Array.from({ length: 40 }, (_, index): Work => {
    return { node: index % plan.nodes, atMs: 500 + 130 * index, payloads: 2, bytes: 8 };
  });
  return { ...plan, faults, work, timeouts: { floorMs: 60, initialMs: 100, capMs: 3_000 } };
}

/** Somebody is admitted while there is still much to order. */
export function withNewcomer(plan: Plan): Plan {
  const by = Array.from({ length: plan.nodes }, (_, place) => place);
  return { ...plan, joiners: 1, changes: [{ kind: "admit", atMs: 1_500, by, node: plan.nodes }] };
}
