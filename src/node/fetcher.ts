import { decode, encode } from "../codec/codec.ts";
import type { Batch } from "../dag/batch.ts";
import { batchDigest } from "../dag/batch.ts";
import type { Hash } from "../lib/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { StoredBundle } from "./ledger.ts";
import type { AboutDag, ProvenBody } from "./wire.ts";
import {
  ANSWER_BODIES_MAX,
  batchesAnswerCodec,
  bundlesAnswerCodec,
  committedAnswerCodec,
  type CommittedAnswer,
  type DagAnswer,
  dagAnswerCodec,
  type Question,
  questionCodec,
} from "./wire.ts";
import type { Sequence } from "../membership/ids.ts";

/** How long one peer may take for one answer of up to 4 MiB. */
const ANSWER_TIMEOUT_MS = 4_000;

/**
 * What a proposal names is mostly on its way already: bodies travel on a lane of their own and may come a moment later.
 * Only what is still missing after this time is asked for.
 */
const GRACE_MS = 60;

/** Digests that are looked for at the same time; the engine asks again for what did not fit. */
const WANTED_MAX = 8_192;

/** By what a bundle is asked for: its digest, or its last vertex. */
type Wanted = "bundles" | "vertices";

export interface FetcherPorts {
  /** Who can be asked now, without this node; validators first. */
  reachable(): readonly NodeId[];
  ask(peer: NodeId, question: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /** Whether the engine has the bundle of this name by now. */
  isHeld(name: Hash): boolean;
  delay(ms: number): Promise<void>;
  /** What is on this node's own disk. */
  findLocally(digest: Hash): Promise<StoredBundle | null>;
  findByTip(tip: Hash): Promise<StoredBundle | null>;
  /** Checks a peer's bundle in full; null where it is not what was asked for. */
  open(body: ProvenBody): Promise<StoredBundle | null>;
  onBundles(bundles: readonly StoredBundle[], source: "disk" | "peer"): void;
  onBatches(batches: readonly Batch[]): void;
  onAnswerFault(peer: NodeId, reason: string): void;
}

/** Looks for missing bodies: on the own disk, then at those who should have them, then at everybody else. */
export class Fetcher {
  readonly #ports: FetcherPorts;
  readonly #wanted = new Set<Hash>();

  constructor(ports: FetcherPorts) {
    this.#ports = ports;
  }

  /** One name in `from` is a proposer, whose bundles may be on their way; several are holders of what is committed. */
  async fetchBundles(digests: readonly Hash[], from: readonly NodeId[]): Promise<void> {
    await this.#fetch("bundles", digests, from);
  }

  /** Bundles of a leaderless network by their last vertices. */
  async fetchVertices(tips: readonly Hash[], from: readonly NodeId[]): Promise<void> {
    await this.#fetch("vertices", tips, from);
  }

  async #fetch(kind: Wanted, hashes: readonly Hash[], from: readonly NodeId[]): Promise<void> {
    let missing = this.#claim(hashes);
    const claimed = missing;
    try {
      if (from.length === 1) await this.#ports.delay(GRACE_MS);
      missing = await this.#takeLocal(
        kind,
        missing.filter((one) => !this.#ports.isHeld(one)),
      );
      for (const peer of this.#candidates(from)) {
        while (missing.length > 0) {
          const left = await this.#takeFrom(peer, kind, missing);
          if (left.length === missing.length) break;
          missing = left;
        }
      }
    } finally {
      for (const one of claimed) this.#wanted.delete(one);
    }
  }

  async fetchBatches(digests: readonly Hash[], from: readonly NodeId[]): Promise<void> {
    const claimed = this.#claim(digests);
    let missing = new Set(claimed);
    try {
      for (const peer of this.#candidates(from)) {
        if (missing.size === 0) return;
        const answer = await this.#ask(peer, { kind: "batches", digests: [...missing] });
        if (answer === null) continue;
        const batches = this.#decode(peer, () => decode(batchesAnswerCodec, answer).batches) ?? [];
        const found = batches.filter((batch) => missing.has(batchDigest(batch)));
        if (found.length > 0) this.#ports.onBatches(found);
        missing = missing.difference(new Set(found.map(batchDigest)));
      }
    } finally {
      for (const digest of claimed) this.#wanted.delete(digest);
    }
  }

  /** Committed places from one peer; null where it did not answer properly. */
  async fetchCommitted(peer: NodeId, from: Sequence): Promise<CommittedAnswer | null> {
    const answer = await this.#ask(peer, { kind: "committed", from });
    return answer === null ? null : this.#decode(peer, () => decode(committedAnswerCodec, answer));
  }

  /** What a node of a leaderless network has of the DAG above these nonces; null where it did not answer properly. */
  async fetchDag(peer: NodeId, about: AboutDag): Promise<DagAnswer | null> {
    const answer = await this.#ask(peer, { kind: "dag", ...about });
    return answer === null ? null : this.#decode(peer, () => decode(dagAnswerCodec, answer));
  }

  async #takeLocal(kind: Wanted, hashes: readonly Hash[]): Promise<readonly Hash[]> {
    const found: StoredBundle[] = [];
    const missing: Hash[] = [];
    for (const one of hashes) {
      const stored = await (kind === "bundles" ? this.#ports.findLocally(one) : this.#ports.findByTip(one));
      if (stored === null) missing.push(one);
      else found.push(stored);
    }
    if (found.length > 0) this.#ports.onBundles(found, "disk");
    return missing;
  }

  async #takeFrom(peer: NodeId, kind: Wanted, hashes: readonly Hash[]): Promise<readonly Hash[]> {
    const asked = hashes.slice(0, ANSWER_BODIES_MAX);
    const answer = await this.#ask(
      peer,
      kind === "bundles" ? { kind, digests: asked } : { kind: "vertices", tips: asked },
    );
    if (answer === null) return hashes;
    const bodies = this.#decode(peer, () => decode(bundlesAnswerCodec, answer).bundles) ?? [];
    const opened = await Promise.all(bodies.map((body) => this.#ports.open(body)));
    const wanted = new Set(asked);
    const nameOf = ({ held: { ref } }: StoredBundle): Hash => (kind === "bundles" ? ref.digest : ref.tip);
    const found = opened.filter((stored) => stored !== null).filter((stored) => wanted.has(nameOf(stored)));
    if (found.length > 0) this.#ports.onBundles(found, "peer");
    const got = new Set(found.map(nameOf));
    return hashes.filter((one) => !got.has(one));
  }

  async #ask(peer: NodeId, question: Question): Promise<Uint8Array | null> {
    try {
      return await this.#ports.ask(peer, encode(questionCodec, question), ANSWER_TIMEOUT_MS);
    } catch {
      // The transport counts and logs it; the next candidate is asked.
      return null;
    }
  }

  #decode<T>(peer: NodeId, read: () => T): T | null {
    try {
      return read();
    } catch (error) {
      this.#ports.onAnswerFault(peer, String(error));
      return null;
    }
  }

  #claim(digests: readonly Hash[]): readonly Hash[] {
    const fresh = digests.filter((digest) => !this.#wanted.has(digest)).slice(0, WANTED_MAX - this.#wanted.size);
    for (const digest of fresh) this.#wanted.add(digest);
    return fresh;
  }

  #candidates(from: readonly NodeId[]): readonly NodeId[] {
    const reachable = this.#ports.reachable();
    const first = from.filter((peer) => reachable.includes(peer));
    return [...first, ...reachable.filter((peer) => !first.includes(peer))];
  }
}
