import type { HeldBundle } from "../../dag/bundle.ts";
import { conflictSetOf, openEnvelope } from "../../dag/conflict-keys.ts";
import type { VoteEntry, VoteLevel } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { DagCertificate } from "../dag-engine.ts";
import { BUNDLE_BYTES, VERTEX_BYTES } from "./limits.ts";
import { Snow } from "./snow.ts";
import { Tally } from "./tally.ts";

/** A parent: a bundle in memory, or one that was accepted and let go of (genesis among them). */
export type Parent = BundleNode | "past";

/** What this node said of one bundle at one level in this epoch. */
export interface OwnVote {
  /** Vertices that are not covered yet. */
  readonly except: Set<number>;
  saidAtMs: number;
  isUnsaid: boolean;
}

/**
 * One bundle in the DAG: its place in its creator's lane and its vertices, each decided apart. Vertices that nobody
 * contests share the bundle's polls; a contested one has a memory of its own (Amores-Sesar et al., arXiv 2210.03423: votes
 * are counted for each vertex, so that a rogue one cannot hurt its ancestors).
 */
export class BundleNode {
  readonly digest: Hash;
  readonly held: HeldBundle;
  previous: Parent;
  second: Parent;
  readonly children: BundleNode[] = [];
  readonly forkSet: Hash;
  /** Conflict sets by vertex; absent where no vertex declares one. */
  readonly sets: ReadonlyMap<number, readonly Hash[]>;
  /** Counts the bundles of an engine in the order in which they came: parents before children. */
  readonly order: number;
  readonly snow: Snow = new Snow();
  readonly contested: Map<number, Snow> = new Map();
  /** Votes for all of it, one entry for all who say so. */
  readonly wholeVotes: Readonly<Record<VoteLevel, VoteEntry>>;
  readonly accepts: Tally;
  readonly commits: Tally;
  /** Who told, asked directly, that it knows this bundle as final: f + 1 of them cannot all lie. */
  readonly claims: Map<
    ValidatorIndex,
    { readonly undecided: readonly number[]; readonly rejected: readonly number[] }
  > = new Map();

  /** Who told that it knows its place as lost. */
  readonly denials: Set<ValidatorIndex> = new Set();
  /** Units that the log decided for: vertex + 1, 0 for the place. */
  readonly resolved: Set<number> = new Set();

  place: "open" | "accepted" | "rejected" = "open";
  readonly accepted: Set<number> = new Set();
  readonly rejected: Set<number> = new Set();
  /** Whether no vertex of it was ever contested or rejected: polls look at nothing else of such a bundle. */
  get isPlain(): boolean {
    return this.#isPlain;
  }

  #isPlain = true;
  readonly #onContested: ((creator: ValidatorIndex) => void) | undefined;
  /** Whether it is preferred and all its ancestors are. */
  isStrong = true;
  ownAccept: OwnVote | null = null;
  ownCommit: OwnVote | null = null;
  isCertified = false;
  readonly certified: Set<number> = new Set();
  /** Since when this node waits for a decision, in `nowMs`'s clock. */
  sinceMs: number;
  settledAtMs: number | null = null;
  /** What earlier epochs' quorums accepted of it, as far as this node knows; ascending by epoch. */
  carried: readonly DagCertificate[] = [];
  /** Units that this node reported to the log in this epoch (vertex + 1, 0 for the place), and when it last did. */
  readonly reported: Map<number, number> = new Map();

  constructor(
    held: HeldBundle,
    link: {
      readonly previous: Parent;
      readonly second: Parent;
      readonly forkSet: Hash;
      readonly nowMs: number;
      readonly order: number;
      /** Called once, when it is plain no more. */
      readonly onContested?: (creator: ValidatorIndex) => void;
    },
  ) {
    this.held = held;
    this.digest = held.ref.digest;
    this.previous = link.previous;
    this.second = link.second;
    this.forkSet = link.forkSet;
    this.sinceMs = link.nowMs;
    this.order = link.order;
    this.#onContested = link.onContested;
    const whole = (level: VoteLevel): VoteEntry => ({ level, bundle: this.digest, except: NOTHING });
    this.wholeVotes = { accept: whole("accept"), commit: whole("commit") };
    this.accepts = new Tally("accept", this.digest);
    this.commits = new Tally("commit", this.digest);
    this.sets = setsOf(held);
  }

  /** About the bytes that it takes in memory. */
  get weight(): number {
    const { payloads } = this.held.bundle;
    const start = BUNDLE_BYTES + payloads.length * VERTEX_BYTES;
    return payloads.reduce((sum, { length }) => sum + length, start);
  }

  get creator(): ValidatorIndex {
    return this.held.ref.creator;
  }

  get firstNonce(): number {
    return this.held.ref.firstNonce;
  }

  get count(): number {
    return this.held.ref.count;
  }

  get tip(): Hash {
    return this.held.ref.tip;
  }

  /** Validators that vote for it, or told that it is final. */
  get support(): number {
    return Math.max(this.accepts.size, this.commits.size, this.claims.size);
  }

  get openVertices(): number {
    return this.place === "rejected" ? 0 : this.count - this.accepted.size - this.rejected.size;
  }

  /** Nothing of it is open any more. */
  get isSettled(): boolean {
    return this.place !== "open" && this.openVertices === 0;
  }

  isOpen(vertex: number): boolean {
    return !this.accepted.has(vertex) && !this.rejected.has(vertex);
  }

  /** Indices of the vertices that are open, ascending. */
  *open(): Generator<number> {
    if (this.place === "rejected") return;
    for (let vertex = 0; vertex < this.count; vertex++) if (this.isOpen(vertex)) yield vertex;
  }

  snowOf(vertex: number | null): Snow {
    return vertex === null ? this.snow : (this.contested.get(vertex) ?? this.snow);
  }

  reject(vertex: number): void {
    this.#markContested();
    this.rejected.add(vertex);
  }

  /** From now on this vertex is counted apart. */
  contest(vertex: number): Snow {
    const known = this.contested.get(vertex);
    if (known !== undefined) return known;
    this.#markContested();
    const snow = this.snow.copy();
    this.contested.set(vertex, snow);
    return snow;
  }

  #markContested(): void {
    if (!this.#isPlain) return;
    this.#isPlain = false;
    this.#onContested?.(this.creator);
  }

  setsOf(vertex: number | null): readonly Hash[] {
    return vertex === null ? [this.forkSet] : (this.sets.get(vertex) ?? NONE);
  }

  /** Whether this node has nothing left to poll about: all that is open has its binding vote already. */
  get isVoted(): boolean {
    if (this.isSettled) return true;
    if (this.ownAccept === null) return this.place === "open" ? false : this.openVertices === 0;
    for (const vertex of this.ownAccept.except) if (this.place !== "rejected" && this.isOpen(vertex)) return false;
    return true;
  }
}

const NONE: readonly Hash[] = [];

const NOTHING: readonly number[] = [];

function setsOf(held: HeldBundle): ReadonlyMap<number, readonly Hash[]> {
  const sets = new Map<number, readonly Hash[]>();
  held.bundle.payloads.forEach((payload, vertex) => {
    // An envelope without keys begins with a count of 0: the common case is seen at its first byte.
    if (payload[0] === 0) return;
    const keys = openEnvelope(payload)?.conflictKeys ?? [];
    if (keys.length > 0) sets.set(vertex, keys.map(conflictSetOf));
  });
  return sets;
}
