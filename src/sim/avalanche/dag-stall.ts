import { conflictSetOf } from "../../dag/conflict-keys.ts";
import { deriveParams } from "../../consensus/avalanche/params.ts";
import { faultTolerance } from "../../membership/quorum.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { Random } from "../random.ts";
import { DagAdversary, vertexOf } from "./dag-adversary.ts";
import { behaviourOf, type DagAdversaryName } from "./dag-behaviour.ts";
import { DagChecker } from "./dag-checker.ts";
import { DagCluster } from "./dag-cluster.ts";
import { simNetwork } from "./dag-network.ts";
import { DagSchemer } from "./dag-schemer.ts";

/** One double spend by two liars, while all liars keep the network split. At least two of them. */
export interface StallWords {
  readonly nodes: number;
  /** Default: f of the nodes. */
  readonly byzantine?: number;
  readonly seed: number;
  /** False: nothing but sampling may decide, which is Avalanche as document 2 has it. */
  readonly hasFallback: boolean;
  readonly adversary?: DagAdversaryName;
  /** When it is given up, in virtual milliseconds. */
  readonly untilMs: number;
}

export interface StallResult {
  /** Until the pair was decided at every correct member, in virtual milliseconds; null: not within the time. */
  readonly endMs: number | null;
  /** Every 50 ms: how many correct members prefer the first of the pair, and how many have it decided. */
  readonly looks: readonly { readonly atMs: number; readonly first: number; readonly decided: number }[];
  /** Polls of all correct members. */
  readonly polls: number;
  /** Which of the two each correct member's sampling came to an end with first; null where it did not. */
  readonly sampled: readonly (0 | 1 | null)[];
  /** Whether two correct members' sampling ended differently. */
  readonly isSplit: boolean;
}

/** The key of the double spend. */
const PAIR = "pair";
const KEY = Uint8Array.from(PAIR, (char) => char.charCodeAt(0));

/** Longer than any run. */
const NEVER_MS = 3_000_000;
const LOOK_MS = 50;

/** Delays of 5 to 25 ms, nothing lost: the adversary alone is to blame. */
const WEATHER = { delayMinMs: 5, delayMaxMs: 25, lossPermille: 0 };

/** @throws DagViolation where the engines break a promise */
export function runStall({
  nodes,
  byzantine = faultTolerance(nodes),
  seed,
  hasFallback,
  untilMs,
  ...rest
}: StallWords): StallResult {
  const { adversary = "split" } = rest;
  const never = { patienceMs: NEVER_MS, resolveAfterMs: NEVER_MS + 1, maxRounds: 1_000_000 };
  const liars = new Map(
    Array.from({ length: byzantine }, (_, place) => {
      const index = (nodes - 1 - place) as ValidatorIndex;
      const random = Random.of(seed, 0x57a, index);
      return [index, new DagAdversary(behaviourOf(adversary, random), random, [])] as const;
    }),
  );
  const cluster = new DagCluster({
    network: simNetwork(nodes),
    params: deriveParams(nodes, hasFallback ? {} : never),
    seed,
    weather: WEATHER,
    liars,
    logMs: hasFallback ? 100 : null,
  });
  const checker = new DagChecker(cluster);
  const schemer = new DagSchemer(cluster, checker.facts, cluster.member(0 as ValidatorIndex).index);
  for (const liar of liars.values()) liar.join(cluster, schemer);
  cluster.start(checker);
  // Two liars spend the same, and each half of the correct members sees one of the two first.
  const makers = [...liars.keys()];
  const pair = [0, 1].map((place) => {
    const maker = cluster.member(makers[place] ?? (place as ValidatorIndex));
    const held = maker.form([vertexOf(place, [PAIR])], 0);
    const half = cluster.correct.filter((_, at) => at % 2 === place).map(({ index }) => index);
    cluster.spread(maker.index, held, [...makers, ...half]);
    return held;
  });
  const ids = pair.map(({ vertexIds }) => vertexIds[0] ?? "");
  const sampled: (0 | 1 | null)[] = cluster.correct.map(() => null);
  const looks: StallResult["looks"][number][] = [];
  const { beta, finalizationPpm } = cluster.options.params;
  for (let atMs = 0; atMs < untilMs && !isDecided(cluster, ids); ) {
    atMs += LOOK_MS;
    cluster.run(atMs, () => {
      cluster.correct.forEach(({ inside }, member) => {
        pair.forEach(({ ref }, place) => {
          const snow = inside.nodeOf(ref.digest)?.snowOf(0);
          if (snow === undefined || sampled[member] !== null) return;
          if (snow.inRow >= beta && snow.confidencePpm >= finalizationPpm) sampled[member] = place === 0 ? 0 : 1;
        });
      });
      return false;
    });
    const { ref } = pair[0] ?? {};
    const first = cluster.correct.filter(({ inside }) => {
      const { preferred } = inside.graph.sets.get(conflictSetOf(KEY)) ?? {};
      return preferred != null && preferred.node.digest === ref?.digest;
    }).length;
    const decided = cluster.correct.filter(({ finalAtMs }) =>
      [...finalAtMs.keys()].some((id) => ids.includes(id)),
    ).length;
    looks.push({ atMs, first, decided });
  }
  const verdicts = new Set(sampled.filter((verdict) => verdict !== null));
  const polls = cluster.correct.reduce((sum, { inside }) => sum + inside.pollsDone, 0);
  return {
    endMs: isDecided(cluster, ids) ? lastMs(cluster, ids) : null,
    looks,
    polls,
    sampled,
    isSplit: verdicts.size > 1,
  };
}

function isDecided(cluster: DagCluster, ids: readonly string[]): boolean {
  return cluster.correct.every(({ finalAtMs }) => [...finalAtMs.keys()].some((id) => ids.includes(id)));
}

function lastMs(cluster: DagCluster, ids: readonly string[]): number {
  const times = cluster.correct.flatMap(({ finalAtMs }) => ids.flatMap((id) => finalAtMs.get(id as never) ?? []));
  return Math.round(Math.max(...times));
}
