import { conflictSetOf, openEnvelope } from "../dag/conflict-keys.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import { acceptedOf, type DagPlace, type DagStanding, isSettled } from "./dag-rows.ts";
import type { StoredBundle } from "./ledger.ts";

/** Settled bundles that stay in memory, to answer peers and readers without the disk, and the bytes of their bodies. */
const SETTLED_KEPT_MAX = 256;
const SETTLED_KEPT_BYTES_MAX: number = 16 * 1024 * 1024;

/** Heights of settled bundles by their last vertex. A second parent is seconds old, not tens of thousands of bundles. */
const HEIGHTS_MAX = 65_536;

type VertexState = "open" | "accepted" | "rejected";

/** A bundle in memory, with how far it is decided. */
export class DagEntry {
  readonly stored: StoredBundle;
  /** Of vertices that declare keys, by their number. */
  readonly sets: ReadonlyMap<number, readonly Hash[]>;
  /** By parent; null for one whose height is not known yet. */
  readonly parentHeights: readonly (number | null)[];
  readonly #states: VertexState[];
  place: DagPlace;
  height: number;

  constructor(stored: StoredBundle, standing: DagStanding, parentHeights: readonly (number | null)[]) {
    this.stored = stored;
    this.sets = conflictSetsOf(stored);
    this.parentHeights = parentHeights;
    this.place = standing.place;
    this.height = standing.height;
    const { count } = stored.held.ref;
    this.#states = Array.from({ length: count }, () => (standing.place === "rejected" ? "rejected" : "open"));
    for (const index of standing.rejected) this.#states[index] = "rejected";
    for (const index of acceptedOf(standing, count)) this.#states[index] = "accepted";
  }

  stateOf(index: number): VertexState {
    return this.#states[index] ?? "open";
  }

  /** Answers false where it was so already. */
  settle(index: number, state: "accepted" | "rejected"): boolean {
    if (this.#states[index] !== "open") return false;
    this.#states[index] = state;
    return true;
  }

  indicesIn(state: VertexState): readonly number[] {
    return this.#states.flatMap((one, index) => (one === state ? [index] : []));
  }

  get standing(): DagStanding {
    const undecided = this.place === "accepted" ? this.indicesIn("open") : [];
    const rejected = this.place === "rejected" ? [] : this.indicesIn("rejected");
    return { place: this.place, undecided, rejected, height: this.height };
  }

  get isSettled(): boolean {
    return isSettled(this.standing);
  }
}

/** The bundles of a leaderless network in memory: all of which something is open, and the newest of which nothing is. */
export class DagPool {
  readonly #open = new Map<Hash, DagEntry>();
  readonly #settled = new Map<Hash, DagEntry>();
  /** The bytes of their bodies. */
  #settledBytes = 0;
  readonly #byTip = new Map<Hash, DagEntry>();
  readonly #heights = new Map<Hash, number>();
  readonly #pending = new Map<ValidatorIndex, { vertices: number; bytes: number; bundles: number }>();
  /** The bundles in memory for each place of a lane: more than one are forks. */
  readonly #places = new Map<string, DagEntry[]>();

  constructor(restored: readonly DagEntry[]) {
    for (const entry of restored) this.add(entry);
  }

  has(digest: Hash): boolean {
    return this.#open.has(digest) || this.#settled.has(digest);
  }

  get(digest: Hash): DagEntry | undefined {
    return this.#open.get(digest) ?? this.#settled.get(digest);
  }

  byTip(tip: Hash): DagEntry | undefined {
    return this.#byTip.get(tip);
  }

  /** How many bundles are held for this place of a lane. */
  heldAt(creator: ValidatorIndex, firstNonce: number): number {
    return this.#places.get(`${creator}/${firstNonce}`)?.length ?? 0;
  }

  /** The first of those. */
  at(creator: ValidatorIndex, firstNonce: number): DagEntry | undefined {
    return this.#places.get(`${creator}/${firstNonce}`)?.[0];
  }

  /** The height of the bundle with this last vertex, where it took its place and is remembered. */
  heightOf(tip: Hash): number | null {
    return this.#heights.get(tip) ?? null;
  }

  add(entry: DagEntry): void {
    const { ref } = entry.stored.held;
    if (this.has(ref.digest)) return;
    this.#open.set(ref.digest, entry);
    this.#byTip.set(ref.tip, entry);
    const place = `${ref.creator}/${ref.firstNonce}`;
    const here = this.#places.get(place);
    if (here === undefined) this.#places.set(place, [entry]);
    else here.push(entry);
    this.#count(entry, 1);
    if (entry.place === "accepted") this.onPlaced(entry);
    if (entry.isSettled) this.settle(entry);
  }

  onPlaced(entry: DagEntry): void {
    this.#heights.set(entry.stored.held.ref.tip, entry.height);
    if (this.#heights.size <= HEIGHTS_MAX) return;
    const oldest = this.#heights.keys().next();
    if (oldest.done !== true) this.#heights.delete(oldest.value);
  }

  /** Nothing of it is open any more. */
  settle(entry: DagEntry): void {
    const { digest } = entry.stored.held.ref;
    if (!this.#open.delete(digest)) return;
    this.#count(entry, -1);
    this.#settled.set(digest, entry);
    this.#settledBytes += entry.stored.body.length;
    for (const oldest of this.#settled.values()) {
      const isMuch = this.#settled.size > SETTLED_KEPT_MAX || this.#settledBytes > SETTLED_KEPT_BYTES_MAX;
      if (!isMuch || oldest === entry) return;
      this.#forget(oldest);
    }
  }

  /** Vertices in bundles of a creator of which something is open. */
  pendingOf(creator: ValidatorIndex): number {
    return this.#pending.get(creator)?.vertices ?? 0;
  }

  /** The bytes of those bundles. */
  pendingBytesOf(creator: ValidatorIndex): number {
    return this.#pending.get(creator)?.bytes ?? 0;
  }

  openBundlesOf(creator: ValidatorIndex): number {
    return this.#pending.get(creator)?.bundles ?? 0;
  }

  pending(): number {
    let total = 0;
    for (const { vertices } of this.#pending.values()) total += vertices;
    return total;
  }

  /** A vertex in memory by its id. Looks through all: for single questions of readers. */
  vertex(id: Hash): { readonly entry: DagEntry; readonly index: number } | null {
    for (const entries of [this.#open, this.#settled]) {
      for (const entry of entries.values()) {
        const index = entry.stored.held.vertexIds.indexOf(id);
        if (index >= 0) return { entry, index };
      }
    }
    return null;
  }

  #forget(entry: DagEntry): void {
    const { digest, tip, creator, firstNonce } = entry.stored.held.ref;
    if (this.#settled.delete(digest)) this.#settledBytes -= entry.stored.body.length;
    if (this.#byTip.get(tip) === entry) this.#byTip.delete(tip);
    const place = `${creator}/${firstNonce}`;
    const left = (this.#places.get(place) ?? []).filter((other) => other !== entry);
    if (left.length === 0) this.#places.delete(place);
    else this.#places.set(place, left);
  }

  #count({ stored }: DagEntry, sign: 1 | -1): void {
    const { creator, count } = stored.held.ref;
    this.#pending.set(creator, {
      vertices: this.pendingOf(creator) + sign * count,
      bytes: this.pendingBytesOf(creator) + sign * stored.body.length,
      bundles: this.openBundlesOf(creator) + sign,
    });
  }
}

/** The conflict sets that each vertex declares; vertices without keys are left out. */
export function conflictSetsOf({ held }: Pick<StoredBundle, "held">): ReadonlyMap<number, readonly Hash[]> {
  const sets = new Map<number, readonly Hash[]>();
  held.bundle.payloads.forEach((payload, index) => {
    // An envelope without keys begins with a count of 0: the common case is seen at its first byte.
    if (payload[0] === 0) return;
    const keys = openEnvelope(payload)?.conflictKeys ?? [];
    if (keys.length > 0) sets.set(index, keys.map(conflictSetOf));
  });
  return sets;
}
