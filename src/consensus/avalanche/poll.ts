import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { BundleNode } from "./bundle-node.ts";
import { QUERIED_LANES_MAX, WAYPOINTS_MAX } from "./limits.ts";
import type { Answer, Query } from "./messages.ts";

/** Chains of bundles that a poll asks about, newest first, and which of them the query names. */
export interface Chain {
  readonly nodes: readonly BundleNode[];
  /** Indices into `nodes`, ascending. */
  readonly waypoints: readonly number[];
}

export interface PollBegin {
  readonly id: number;
  readonly chains: readonly Chain[];
  /** Whom it is about, without this node itself; some of them may not be asked because they are silent. */
  readonly sampled: readonly ValidatorIndex[];
  readonly asked: readonly ValidatorIndex[];
  readonly nowMs: number;
  readonly deadlineMs: number;
}

/**
 * One poll: whom it asks, and what they answered. A vote for a bundle counts for all bundles behind it in its chain; a vertex
 * that an answer names as not preferred has not that vote, whatever its bundle has.
 */
export class Poll {
  readonly id: number;
  readonly chains: readonly Chain[];
  readonly sampled: readonly ValidatorIndex[];
  readonly asked: ReadonlySet<ValidatorIndex>;
  readonly startedMs: number;
  readonly deadlineMs: number;
  readonly waiting: Set<ValidatorIndex>;
  /** Whether its outcome is fixed and counted. Late answers only tell who is alive. */
  isClosed = false;
  /** For each chain, how many answers have their head at each node. */
  readonly #credits: readonly Uint16Array[];
  /** Where dissents are counted; made when the first one comes, for most polls hear of none. */
  #places: Map<BundleNode, Place> | null = null;
  /** For each chain how many of its newest bundles it counts: behind a fork two chains share their stem. */
  readonly #owned: readonly number[];
  /** The chain that was open when this was last looked at: most probably it still is. */
  #openChain = 0;
  readonly #dissents = new Map<BundleNode, Map<number, number>>();

  constructor({ id, chains, sampled, asked, nowMs, deadlineMs }: PollBegin) {
    this.id = id;
    this.chains = chains;
    this.sampled = sampled;
    this.asked = new Set(asked);
    this.startedMs = nowMs;
    this.deadlineMs = deadlineMs;
    this.waiting = new Set(asked);
    this.#credits = chains.map(({ nodes }) => new Uint16Array(nodes.length));
    this.#owned = ownedOf(chains);
  }

  query(): Query {
    const lanes = this.chains.map(({ nodes, waypoints }) =>
      waypoints.map((at) => nodes[at]?.digest).filter((digest) => digest !== undefined),
    );
    return { kind: "query", poll: this.id, lanes };
  }

  /** Counts one validator's answer. The caller has checked its shape. */
  count(answer: Pick<Answer, "heads" | "dissents">, nodeOf: (digest: Hash) => BundleNode | undefined): void {
    const heads = this.chains.map(({ waypoints }, chain) => waypoints[answer.heads[chain] ?? waypoints.length] ?? -1);
    heads.forEach((at, chain) => {
      const credits = this.#credits[chain];
      if (at >= 0 && credits !== undefined) credits[at] = (credits[at] ?? 0) + 1;
    });
    // Chains that share a stem name it once each, and a liar whatever it likes: of one answer a dissent counts once.
    const named = new Set<BundleNode>();
    for (const { bundle, vertices } of answer.dissents) {
      const node = nodeOf(bundle);
      if (node === undefined || named.has(node)) continue;
      named.add(node);
      this.#places ??= placesOf(this.chains, this.#owned);
      const place = this.#places.get(node);
      if (place === undefined) continue;
      const head = heads[place.chain] ?? -1;
      if (head < 0 || place.at < head) continue;
      const counts = this.#dissents.get(node) ?? new Map<number, number>();
      for (const vertex of new Set(vertices))
        if (vertex < node.count) counts.set(vertex, (counts.get(vertex) ?? 0) + 1);
      this.#dissents.set(node, counts);
    }
  }

  /** Bundles with the votes for their places, each once, the oldest of a chain first. */
  *results(): Generator<{ readonly node: BundleNode; readonly yes: number }> {
    for (let chain = 0; chain < this.chains.length; chain++) yield* this.#resultsOf(chain);
  }

  *#resultsOf(chain: number): Generator<{ readonly node: BundleNode; readonly yes: number }> {
    const nodes = this.chains[chain]?.nodes ?? [];
    const sums = this.#sums(chain);
    for (let at = (this.#owned[chain] ?? 0) - 1; at >= 0; at--) {
      const node = nodes[at];
      if (node !== undefined) yield { node, yes: sums[at] ?? 0 };
    }
  }

  /** Of so many votes for a bundle, how many are also for one of its vertices. */
  yesFor(node: BundleNode, vertex: number, yes: number): number {
    return yes - (this.#dissents.get(node)?.get(vertex) ?? 0);
  }

  dissentsOf(node: BundleNode): ReadonlyMap<number, number> {
    return this.#dissents.get(node) ?? NONE;
  }

  /** Whether no answer that is still to come can change what the poll decides (arXiv 1906.08936, §4: early termination). */
  isFixed(thresholds: { readonly preference: number; readonly confidence: number }): boolean {
    const left = this.waiting.size;
    if (left === 0) return true;
    const isOpen = (yes: number): boolean => yes < thresholds.confidence && yes + left >= thresholds.preference;
    for (let step = 0; step < this.chains.length; step++) {
      const chain = (this.#openChain + step) % this.chains.length;
      if (!this.#isChainOpen(chain, isOpen)) continue;
      this.#openChain = chain;
      return false;
    }
    return true;
  }

  #isChainOpen(chain: number, isOpen: (yes: number) => boolean): boolean {
    for (const { node, yes } of this.#resultsOf(chain)) {
      if (isOpen(yes)) return true;
      for (const [, no] of this.dissentsOf(node)) if (isOpen(yes - no)) return true;
      if (node.isPlain) continue;
      for (const vertex of node.contested.keys()) if (isOpen(this.yesFor(node, vertex, yes))) return true;
    }
    return false;
  }

  #sums(chain: number): Uint16Array {
    let sum = 0;
    return (this.#credits[chain] ?? NO_CREDITS).map((credit) => {
      sum += credit;
      return sum;
    });
  }
}

interface Place {
  readonly chain: number;
  readonly at: number;
}

const NO_CREDITS = new Uint16Array(0);

/** Only chains of one creator share bundles, always their oldest ones; the first chain counts them. */
function ownedOf(chains: readonly Chain[]): readonly number[] {
  const creators = new Set(chains.map(({ nodes }) => nodes[0]?.creator));
  if (creators.size === chains.length) return chains.map(({ nodes }) => nodes.length);
  const counted = new Set<BundleNode>();
  return chains.map(({ nodes }) => {
    const shared = nodes.findIndex((node) => counted.has(node));
    for (const node of nodes) counted.add(node);
    return shared < 0 ? nodes.length : shared;
  });
}

function placesOf(chains: readonly Chain[], owned: readonly number[]): Map<BundleNode, Place> {
  const places = new Map<BundleNode, Place>();
  chains.forEach(({ nodes }, chain) => {
    for (const [at, node] of nodes.slice(0, owned[chain]).entries()) places.set(node, { chain, at });
  });
  return places;
}

const NONE: ReadonlyMap<number, number> = new Map();

/** The chain with its waypoints: all of a short one; of a long one the newest, and of the rest evenly spread ones. */
export function chainOf(nodes: readonly BundleNode[]): Chain {
  if (nodes.length <= WAYPOINTS_MAX) return { nodes, waypoints: nodes.map((_, at) => at) };
  const near = WAYPOINTS_MAX / 2;
  const far = WAYPOINTS_MAX - near;
  const waypoints = Array.from({ length: near }, (_, at) => at);
  for (let step = 1; step <= far; step++) {
    waypoints.push(near - 1 + Math.floor(((nodes.length - near) * step) / far));
  }
  return { nodes, waypoints };
}

/** The chains of what a poll is about: for each lane from each of its newest bundles down to the oldest. */
export function chainsOf(lane: readonly BundleNode[]): readonly Chain[] {
  const open = new Set(lane);
  const hasChild = new Set<BundleNode>();
  for (const { previous } of lane) if (previous !== "past") hasChild.add(previous);
  const chains: Chain[] = [];
  for (const leaf of lane) {
    if (hasChild.has(leaf)) continue;
    const nodes: BundleNode[] = [];
    for (let node: BundleNode | "past" = leaf; node !== "past" && open.has(node); node = node.previous)
      nodes.push(node);
    chains.push(chainOf(nodes));
    if (chains.length >= QUERIED_LANES_MAX) break;
  }
  return chains;
}
