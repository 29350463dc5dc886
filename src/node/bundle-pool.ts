import type { BundleRef } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";

/** Executed bundles that stay in memory, to answer peers and readers without the disk, and the bytes of their bodies. */
const EXECUTED_KEPT_MAX = 256;
const EXECUTED_KEPT_BYTES_MAX: number = 16 * 1024 * 1024;

interface Pending {
  readonly vertices: number;
  readonly bytes: number;
}

/** Where one vertex lies in a held bundle. */
export interface VertexPlace {
  readonly stored: StoredBundle;
  readonly index: number;
}

/** The bundles in memory: all that wait to be ordered, and the newest that are. Older ones are read from the ledger. */
export class BundlePool {
  readonly #ledger: Ledger;
  readonly #waiting = new Map<Hash, StoredBundle>();
  readonly #executed = new Map<Hash, StoredBundle>();
  /** The bytes of their bodies. */
  #executedBytes = 0;
  /** The first bundle that was seen for each place of a lane, of those in memory. */
  readonly #places = new Map<string, StoredBundle>();
  readonly #pendingByCreator = new Map<ValidatorIndex, Pending>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  has(digest: Hash): boolean {
    return this.#waiting.has(digest) || this.#executed.has(digest);
  }

  get(digest: Hash): StoredBundle | undefined {
    return this.#waiting.get(digest) ?? this.#executed.get(digest);
  }

  async find(digest: Hash): Promise<StoredBundle | null> {
    return this.get(digest) ?? (await this.#ledger.bundle(digest));
  }

  add(stored: StoredBundle): void {
    const { ref } = stored.held;
    if (this.#waiting.has(ref.digest)) return;
    this.#waiting.set(ref.digest, stored);
    this.#place(stored);
    this.#count(ref.creator, ref.count, stored.body.length);
  }

  /** What waits of those who are validators no more is let go. */
  onEpoch(set: ValidatorSet): void {
    for (const stored of this.#waiting.values()) {
      const { creator, term, digest, count } = stored.held.ref;
      if (set.has(creator) && set.termOf(creator) === term) continue;
      this.#waiting.delete(digest);
      this.#count(creator, -count, -stored.body.length);
      this.#displace(stored);
    }
  }

  /** Lets go of waiting bundles whose places are taken: the losing branches of forks. */
  forgetSettled(lanes: readonly LaneTip[]): void {
    for (const stored of this.#waiting.values()) {
      const { creator, firstNonce, digest, count } = stored.held.ref;
      if (firstNonce > (lanes[creator]?.nonce ?? 0)) continue;
      this.#waiting.delete(digest);
      this.#count(creator, -count, -stored.body.length);
      this.#displace(stored);
    }
  }

  onExecuted(ref: BundleRef): void {
    const stored = this.#waiting.get(ref.digest);
    if (stored === undefined) return;
    this.#waiting.delete(ref.digest);
    this.#count(ref.creator, -ref.count, -stored.body.length);
    this.keepExecuted(stored);
  }

  /** Keeps a bundle that was executed before, for as long as it is asked for. */
  keepExecuted(stored: StoredBundle): void {
    const { digest } = stored.held.ref;
    if (this.#executed.has(digest)) return;
    this.#executed.set(digest, stored);
    this.#executedBytes += stored.body.length;
    this.#place(stored);
    for (const oldest of this.#executed.values()) {
      const isMuch = this.#executed.size > EXECUTED_KEPT_MAX || this.#executedBytes > EXECUTED_KEPT_BYTES_MAX;
      // The newest stays, however large.
      if (!isMuch || oldest === stored) return;
      this.#forget(oldest);
    }
  }

  /** The bundle in memory that begins at this nonce of a lane: of a creator's fork, the one that came first. */
  at(creator: ValidatorIndex, firstNonce: number): StoredBundle | undefined {
    return this.#places.get(placeOf(creator, firstNonce));
  }

  /** Vertices of a creator that wait to be ordered. */
  pendingOf(creator: ValidatorIndex): number {
    return this.#pendingByCreator.get(creator)?.vertices ?? 0;
  }

  /** The bytes of those. */
  pendingBytesOf(creator: ValidatorIndex): number {
    return this.#pendingByCreator.get(creator)?.bytes ?? 0;
  }

  pending(): number {
    let total = 0;
    for (const { vertices } of this.#pendingByCreator.values()) total += vertices;
    return total;
  }

  /** A creator's waiting bundles from a nonce on, ascending. */
  waitingOf(creator: ValidatorIndex, fromNonce: number): readonly StoredBundle[] {
    return [...this.#waiting.values()]
      .filter(({ held }) => held.ref.creator === creator && held.ref.firstNonce >= fromNonce)
      .sort((left, right) => left.held.ref.firstNonce - right.held.ref.firstNonce);
  }

  /** A waiting vertex by its id. Looks through what waits: for single questions of readers. */
  vertex(id: Hash): VertexPlace | null {
    for (const stored of this.#waiting.values()) {
      const index = stored.held.vertexIds.indexOf(id);
      if (index >= 0) return { stored, index };
    }
    return null;
  }

  #place(stored: StoredBundle): void {
    const { creator, firstNonce } = stored.held.ref;
    const key = placeOf(creator, firstNonce);
    if (!this.#places.has(key)) this.#places.set(key, stored);
  }

  #forget(stored: StoredBundle): void {
    if (this.#executed.delete(stored.held.ref.digest)) this.#executedBytes -= stored.body.length;
    this.#displace(stored);
  }

  #displace(stored: StoredBundle): void {
    const { creator, firstNonce } = stored.held.ref;
    const key = placeOf(creator, firstNonce);
    if (this.#places.get(key) === stored) this.#places.delete(key);
  }

  #count(creator: ValidatorIndex, vertices: number, bytes: number): void {
    this.#pendingByCreator.set(creator, {
      vertices: this.pendingOf(creator) + vertices,
      bytes: this.pendingBytesOf(creator) + bytes,
    });
  }
}

function placeOf(creator: ValidatorIndex, firstNonce: number): string {
  return `${creator}/${firstNonce}`;
}
