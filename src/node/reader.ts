import { vertexAt } from "../dag/bundle.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { BundlePool } from "./bundle-pool.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import { type FinalizedItem, NodeError, type VertexView } from "./service.ts";

/** Answers questions about vertices from what is durable; only unfinalized vertices come from memory. */
export class Reader {
  readonly #network: NetworkContext;
  readonly #ledger: Ledger;
  readonly #pool: BundlePool;

  constructor(network: NetworkContext, ledger: Ledger, pool: BundlePool) {
    this.#network = network;
    this.#ledger = ledger;
    this.#pool = pool;
  }

  async vertex(hash: Hash): Promise<VertexView | null> {
    const final = await this.#ledger.vertex(hash);
    if (final !== null) {
      const { metadata, stored } = final;
      return this.#view(hash, stored, metadata.index, { sequence: metadata.position, height: metadata.height });
    }
    const place = this.#pool.vertex(hash);
    return place === null ? null : this.#view(hash, place.stored, place.index, null);
  }

  /** Positions `from` to `from + limit - 1`, as far as they are durable (`last`). @throws NodeError `too-old` */
  async finalized(
    { from, limit }: { readonly from: number; readonly limit: number },
    last: number,
  ): Promise<readonly FinalizedItem[]> {
    const count = Math.min(limit, last - from + 1);
    if (count <= 0) return [];
    await this.#requireKept(from);
    const runs = await this.#ledger.finalizedRuns(from, count);
    const items: FinalizedItem[] = [];
    for (const { firstPosition, run } of runs) {
      const stored = await this.#pool.find(run.bundle);
      // It may have been forgotten since its run was read.
      if (stored === null) await this.#requireKept(from);
      const found = present(stored, `the finalized bundle ${run.bundle}`);
      items.push(...finalizedItems(this.#network, found, firstPosition, run.timestampMs));
    }
    return items.filter((item) => item.sequence >= from && item.sequence < from + count);
  }

  async #requireKept(from: number): Promise<void> {
    const { position: first } = await this.#ledger.logStart();
    if (from >= first) return;
    const why = `this node's log begins with sequence ${first}: read from there, or ask a node that keeps more`;
    throw new NodeError("too-old", why);
  }

  #view(
    hash: Hash,
    { held }: StoredBundle,
    index: number,
    place: { readonly sequence: number; readonly height: number } | null,
  ): VertexView {
    const { nodeId } = this.#network.set.at(held.ref.creator);
    return {
      hash,
      ...vertexAt(held.bundle, nodeId, index),
      finalized: place !== null,
      state: place === null ? "pending" : "finalized",
      confidence: null,
      sequence: place?.sequence ?? null,
      height: place?.height ?? null,
    };
  }
}

/** The items of one executed bundle, in order. */
export function finalizedItems(
  network: NetworkContext,
  { held }: StoredBundle,
  firstPosition: number,
  timestampMs: number,
): readonly FinalizedItem[] {
  const creator = network.set.at(held.ref.creator).nodeId;
  return held.vertexIds.map((hash, index) => ({
    sequence: firstPosition + index,
    purpose: held.bundle.purpose,
    hash,
    creator,
    payload: present(held.bundle.payloads[index], "a payload"),
    timestampMs,
  }));
}
