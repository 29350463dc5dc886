import { heapStats } from "bun:jsc";
import { PAST_MAX, SETTLED_MAX } from "../../consensus/avalanche/limits.ts";
import { deriveParams } from "../../consensus/avalanche/params.ts";
import { Past, Winners } from "../../consensus/avalanche/past.ts";
import { hashOf } from "../../crypto/hash.ts";
import type { Hash } from "../../lib/hash.ts";
import { MemoryTape } from "./avalanche-memory-tape.ts";
import { ScaleNetwork } from "./avalanche-network.ts";
import type { ScaleNode } from "./avalanche-node.ts";
import type { ScaleQuestion } from "./avalanche-scale.ts";

export interface MemoryFigures {
  /** Virtual milliseconds that the network ran. */
  readonly ranMs: number;
  /** Heap of one engine with all that it keeps of what it received, and of the seals that its node keeps, in bytes. */
  readonly enginePerNode: number;
  /** The same without what engines of one process share: vertices, messages, seals. */
  readonly ownPerNode: number;
  /** What names of the past and winners of sets weigh once they are as many as are kept, in bytes. */
  readonly pastWhenFull: number;
  readonly openBundles: number;
  readonly openVertices: number;
  /** Settled bundles that are in memory. */
  readonly settledBundles: number;
  readonly finalized: number;
}

export interface MemoryRun {
  /** These nodes are down from the beginning: above f of them nothing is decided and everything stays. */
  readonly silent: number;
  /** At the most so long, in virtual milliseconds; less where the steady state is reached. */
  readonly untilMs: number;
  /** So many settled bundles in memory are the steady state; default: as many as are kept. */
  readonly settled?: number;
  /** Where all that the first node hears and does is written down. */
  readonly tape?: string;
}

/** Engines that hold copies, and as many that do not: enough that the collector's leftovers do not count. */
const MEASURED = 4;

/** The steady state is looked for so often, and the run goes on for so long behind it, in virtual milliseconds. */
const STEP_MS = 250;
const FURTHER_STEPS = 4;

/**
 * Runs the real engines of a network until each has settled as many bundles as it keeps, and answers what one of them weighs:
 * the heap shrinks by so much when it is let go of.
 */
export function measureMemory(
  question: ScaleQuestion,
  { untilMs, silent, settled = SETTLED_MAX, tape: path }: MemoryRun,
): MemoryFigures {
  // First, while nothing else is in the heap whose leftovers would count.
  const past = pastWhenFull();
  const tape = path === undefined ? null : new MemoryTape(path);
  const network = new ScaleNetwork({
    ...question,
    params: deriveParams(question.nodes, question.params),
    payloadBytes: 256,
    silent,
    copying: MEASURED,
    tape,
  });
  let [ranMs, steadySteps] = [0, 0];
  while (ranMs < untilMs && steadySteps <= FURTHER_STEPS) {
    ranMs = Math.min(untilMs, ranMs + STEP_MS);
    network.run(ranMs);
    if (settledIn(network.nodes[0]) >= settled) steadySteps += 1;
  }
  const first = network.nodes[0]?.core.status();
  const settledBundles = settledIn(network.nodes[0]);
  const finalized = network.finals.length;
  const nodes: (Pick<ScaleNode, "core" | "received"> | null)[] = network.nodes.map(({ core, received }) => ({
    core,
    received,
  }));
  network.close();
  tape?.close();
  const [all, withoutCopying, withoutSharing] = [heapAfter(), drop(nodes, 0), drop(nodes, MEASURED)];
  return {
    ranMs,
    enginePerNode: (all - withoutCopying) / MEASURED,
    ownPerNode: (withoutCopying - withoutSharing) / MEASURED,
    pastWhenFull: past,
    openBundles: first?.undecidedBundles ?? 0,
    openVertices: first?.undecidedVertices ?? 0,
    settledBundles,
    finalized,
  };
}

/** Accepted ones; with those of which something is open they are what an epoch hands to the next one. */
function settledIn(node: ScaleNode | undefined): number {
  if (node === undefined) return 0;
  return node.core.handOver().open.length - node.core.status().undecidedBundles;
}

/** A run is too short to fill them: at a thousand bundles a second the names take half a minute, the winners a whole one. */
function pastWhenFull(): number {
  const [past, winners] = [new Past(), new Winners()];
  const before = heapAfter();
  for (let number = 0; number < PAST_MAX; number++) {
    const digest = nameOf(number);
    past.add(digest, "accepted");
    winners.add(nameOf(PAST_MAX + number), digest);
  }
  const after = heapAfter();
  // Both are in use until here.
  return winners.added === PAST_MAX && past.get(nameOf(0)) !== undefined ? after - before : 0;
}

function nameOf(number: number): Hash {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return hashOf("bundle", bytes);
}

function drop(nodes: unknown[], from: number): number {
  nodes.fill(null, from, from + MEASURED);
  return heapAfter();
}

function heapAfter(): number {
  Bun.gc(true);
  Bun.gc(true);
  return heapStats().heapSize;
}
