import type { Invariant } from "../checker.ts";
import type { Plan } from "../plan.ts";
import type { RunOptions } from "../run.ts";
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
  readonly plant: Pick<RunOptions, "makeEngine" | "alterParts">;
}

export function planFor({ swarm, adjust }: WrongNode, seed: number): Plan {
  const plan = planOf({ ...swarm, seed });
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
