import { Random } from "../../src/sim/random.ts";
import type { Fault } from "./workload.ts";

/** What a test can do to the nodes of its cluster; each resolves when it is done. */
export interface NodeFaults {
  readonly nodes: number;
  /** SIGKILL: nothing is flushed or said. */
  kill(node: number): Promise<void>;
  /** After `kill`, on the same folder; resolves when the node answers again. */
  restart(node: number): Promise<void>;
  /** SIGSTOP: it keeps its connections and says nothing. */
  pause(node: number): Promise<void>;
  /** SIGCONT. */
  resume(node: number): Promise<void>;
}

export interface FaultPlan {
  readonly seed: number;
  /** Faults are spread over so many operations, and healed before their end. */
  readonly operations: number;
  /** How many times a node is hit. Only one is down at a time: a cluster of four tolerates no more. */
  readonly hits: number;
}

/** Nodes at random are killed and restarted, or paused and resumed, one after the other. */
export function planFaults(nodes: NodeFaults, { seed, operations, hits }: FaultPlan): readonly Fault[] {
  const random = Random.of(seed, 1_000);
  const gap = Math.floor(operations / (2 * hits + 1));
  if (gap === 0) throw new RangeError(`${operations} operations are too few for ${hits} faults`);
  return Array.from({ length: hits }, (_, hit): readonly Fault[] => {
    const node = random.below(nodes.nodes);
    const at = gap * (2 * hit + 1);
    return random.chance(0.5)
      ? [
          { name: `kill ${node}`, afterOperations: at, run: () => nodes.kill(node) },
          { name: `restart ${node}`, afterOperations: at + gap, run: () => nodes.restart(node) },
        ]
      : [
          { name: `pause ${node}`, afterOperations: at, run: () => nodes.pause(node) },
          { name: `resume ${node}`, afterOperations: at + gap, run: () => nodes.resume(node) },
        ];
  }).flat();
}
