import { heapStats } from "bun:jsc";
import type { AvalancheCore } from "../../consensus/avalanche/core.ts";
import { deriveParams } from "../../consensus/avalanche/params.ts";
import { ScaleNetwork } from "./avalanche-network.ts";
import type { ScaleQuestion } from "./avalanche-scale.ts";

export interface MemoryFigures {
  /** Heap of one engine with all that it keeps of what it received, seals included, in bytes. */
  readonly enginePerNode: number;
  /** The same without what engines of one process share: vertices, messages, seals. */
  readonly ownPerNode: number;
  readonly openBundles: number;
  readonly openVertices: number;
  readonly finalized: number;
}

/** Engines that hold copies, and as many that do not: enough that the collector's leftovers do not count. */
const MEASURED = 4;

/**
 * Runs the real engines of a network and answers what one of them weighs: the heap shrinks by so much when it is let go of.
 * `silent` nodes are down from the beginning: above f of them nothing is decided and everything stays.
 */
export function measureMemory(
  question: ScaleQuestion,
  { untilMs, silent }: { readonly untilMs: number; readonly silent: number },
): MemoryFigures {
  const network = new ScaleNetwork({
    ...question,
    params: deriveParams(question.nodes, question.params),
    payloadBytes: 256,
    silent,
    copying: MEASURED,
  });
  network.run(untilMs);
  const first = network.nodes[0]?.core.status();
  const finalized = network.finals.length;
  const cores: (AvalancheCore | null)[] = network.nodes.map(({ core }) => core);
  network.close();
  const [all, withoutCopying, withoutSharing] = [heapAfter(), drop(cores, 0), drop(cores, MEASURED)];
  return {
    enginePerNode: (all - withoutCopying) / MEASURED,
    ownPerNode: (withoutCopying - withoutSharing) / MEASURED,
    openBundles: first?.undecidedBundles ?? 0,
    openVertices: first?.undecidedVertices ?? 0,
    finalized,
  };
}

function drop(cores: (AvalancheCore | null)[], from: number): number {
  cores.fill(null, from, from + MEASURED);
  return heapAfter();
}

function heapAfter(): number {
  Bun.gc(true);
  Bun.gc(true);
  return heapStats().heapSize;
}
