import type { DagStatus, DagView } from "../consensus/dag-engine.ts";
import { vertexAt } from "../dag/bundle.ts";
import { conflictSetOf, openEnvelope } from "../dag/conflict-keys.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Position, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { type CommutativeApplication, envelopeFault } from "../replication/application.ts";
import type { DagLane } from "./dag-lane.ts";
import type { DagParts } from "./dag-loop.ts";
import type { OpenedDag } from "./dag-restore.ts";
import type { Epochs } from "./epochs.ts";
import type { Clock } from "./ports.ts";
import type { DagLedger } from "./dag-ledger.ts";
import type { DagOrder, DagOutcome } from "./dag-order.ts";
import type { DagPool } from "./dag-pool.ts";
import type { AcceptedRun } from "./dag-rows.ts";
import type { EventFeed } from "./event-feed.ts";
import type { StoredBundle } from "./ledger.ts";
import type { LoopObserver } from "./observer.ts";
import { type FinalizedItem, NodeError, type RejectedItem, type VertexState, type VertexView } from "./service.ts";

const PPM = 1_000_000;

export interface DagDeskPorts {
  readonly network: NetworkContext;
  readonly ledger: DagLedger;
  readonly pool: DagPool;
  readonly order: DagOrder;
  readonly feed: EventFeed;
  readonly observer: LoopObserver;
  dagLane(): DagLane | null;
  view(): DagView | null;
  monotonicMs(): number;
}

/** What a node of a leaderless network tells its clients: what became of vertices, and where they lie. */
export class DagDesk {
  readonly #ports: DagDeskPorts;
  /** The last local place that is durable. */
  #lastPosition: Position;
  #telling: Promise<void> = Promise.resolve();

  constructor(ports: DagDeskPorts) {
    this.#ports = ports;
    this.#lastPosition = ports.order.position;
  }

  get lastPosition(): Position {
    return this.#lastPosition;
  }

  /** What the loop works on. `application` judges vertices; null takes every payload. */
  parts(application: Pick<CommutativeApplication, "claimOf"> | null): DagParts {
    const { ledger, pool, order, network, observer } = this.#ports;
    return {
      ...{ ledger, pool, order },
      isInvalid: (payload, creator) => {
        return application !== null && envelopeFault(application, payload, network.set.at(creator).nodeId) !== null;
      },
      onDecided: (outcomes) => this.onDecided(outcomes),
      onPartition: (isPartitioned) => {
        const event = isPartitioned ? "consensus.partitioned" : "consensus.healed";
        observer.log("warn", event, { timeoutShare: this.#ports.view()?.status().timeoutShare ?? 0 });
      },
    };
  }

  /** Vertices of which nothing is final yet. */
  pending(): number {
    return this.#ports.pool.pending() + (this.#ports.dagLane()?.queued ?? 0);
  }

  /** What of a validator waits for finality: this one's own. */
  waitingOf(self: ValidatorIndex): { readonly vertices: number; readonly bytes: number } {
    const { pool } = this.#ports;
    const lane = this.#ports.dagLane();
    return {
      vertices: pool.pendingOf(self) + (lane?.pending ?? 0),
      bytes: pool.pendingBytesOf(self) + (lane?.queuedBytes ?? 0),
    };
  }

  /** Final and durable. */
  onDecided(outcomes: readonly DagOutcome[]): void {
    const { feed, observer } = this.#ports;
    const nowMs = this.#ports.monotonicMs();
    const lane = this.#ports.dagLane();
    const items: FinalizedItem[] = [];
    let vertices = 0;
    let bundles = 0;
    for (const { stored, runs } of outcomes) {
      const { digest } = stored.held.ref;
      for (const { firstPosition, run } of runs) {
        vertices += run.count;
        this.#lastPosition = (firstPosition + run.count - 1) as Position;
        const taken = { from: run.first, to: run.first + run.count, firstPosition, nowMs };
        for (const { vertices: count, finalityMs } of lane?.onFinalized(digest, taken) ?? []) {
          observer.onFinality(count, finalityMs);
        }
        if (feed.isHeard) items.push(...this.#items(stored, firstPosition, run));
      }
      if (runs.length > 0) bundles += 1;
    }
    if (vertices > 0) observer.onFinalized(vertices, bundles);
    if (items.length > 0) feed.onAccepted(items);
    // One after the other: who waits for a vertex that lost is told before its bundle is forgotten.
    this.#telling = this.#telling.then(async () => {
      for (const outcome of outcomes) {
        if (outcome.rejected.length > 0) await this.#tellRejected(outcome);
        if (outcome.isSettled) this.#ports.dagLane()?.onSettled(outcome.stored.held.ref.digest);
      }
    });
  }

  /** Null where no vertex of the DAG has this id. */
  async vertex(hash: Hash): Promise<VertexView | null> {
    const { ledger, pool } = this.#ports;
    const place = pool.vertex(hash);
    const state = place?.entry.stateOf(place.index);
    if (place !== null && state === "open") {
      const { ref } = place.entry.stored.held;
      const confidencePpm = this.#ports.view()?.confidencePpm(ref.digest, place.index) ?? null;
      return this.#view(place.entry.stored, place.index, {
        state: "pending",
        confidencePpm,
        sequence: null,
        height: null,
      });
    }
    const final = await ledger.vertex(hash);
    if (final === null) {
      // Decided, and on its way to the disk: until then nobody is told.
      const where = { state: "pending", confidencePpm: null, sequence: null, height: null } as const;
      return place === null ? null : this.#view(place.entry.stored, place.index, where);
    }
    const { metadata, stored } = final;
    const { isAccepted, position, height, confidencePpm, index } = metadata;
    return this.#view(stored, index, {
      state: isAccepted ? "finalized" : "rejected",
      confidencePpm,
      sequence: isAccepted ? position : null,
      height: isAccepted ? height : null,
    });
  }

  /** Local places `from` to `from + limit - 1`, as far as they are durable. */
  async finalized({
    from,
    limit,
  }: {
    readonly from: number;
    readonly limit: number;
  }): Promise<readonly FinalizedItem[]> {
    const count = Math.min(limit, this.#lastPosition - from + 1);
    if (count <= 0) return [];
    const { ledger, pool } = this.#ports;
    const items: FinalizedItem[] = [];
    for (const { firstPosition, run } of await ledger.runs(from, count)) {
      const stored = pool.get(run.bundle)?.stored ?? (await ledger.bundle(run.bundle));
      items.push(...this.#items(present(stored, `the accepted bundle ${run.bundle}`), firstPosition, run));
    }
    return items.filter(({ sequence }) => sequence >= from && sequence < from + count);
  }

  /** Why a vertex of this network lost; for who waits for it. */
  async conflictOf(hash: Hash): Promise<NodeError> {
    const { ledger, pool } = this.#ports;
    const held = pool.vertex(hash);
    const found = held === null ? await ledger.vertex(hash) : null;
    const stored = held?.entry.stored ?? found?.stored;
    const index = held?.index ?? found?.metadata.index;
    const payload = index === undefined ? undefined : stored?.held.bundle.payloads[index];
    return conflictError(hash, payload === undefined ? null : await this.#winnerOver(hash, payload));
  }

  async #tellRejected({ stored, rejected }: DagOutcome): Promise<void> {
    const { feed, network, observer } = this.#ports;
    const { held } = stored;
    const lane = this.#ports.dagLane();
    const items: RejectedItem[] = [];
    const creator = network.set.at(held.ref.creator).nodeId;
    try {
      for (const index of rejected) {
        const hash = present(held.vertexIds[index], "a vertex of the bundle");
        const payload = present(held.bundle.payloads[index], "a payload");
        const winner = await this.#winnerOver(hash, payload);
        // A lane knows its own bundles, and passes over others'.
        lane?.onRejected(held.ref.digest, index, conflictError(hash, winner));
        items.push({ hash, creator, winner });
      }
    } catch (error) {
      // The disk failed; the loop learns it by its next write, and ends the node.
      observer.log("error", "dag.rejections-untold", { error: String(error) });
    }
    if (items.length > 0) feed.onRejected(items, ({ hash, winner }) => conflictError(hash, winner));
  }

  async #winnerOver(id: Hash, payload: Uint8Array): Promise<Hash | null> {
    const { ledger, order } = this.#ports;
    const sets = (openEnvelope(payload)?.conflictKeys ?? []).map(conflictSetOf);
    const recent = sets.map((set) => order.winnerOf(set)).find((winner) => winner !== undefined && winner !== id);
    if (recent !== undefined || sets.length === 0) return recent ?? null;
    return (await ledger.winners(sets)).find((winner) => winner !== null && winner !== id) ?? null;
  }

  #items({ held }: StoredBundle, firstPosition: Position, run: AcceptedRun): readonly FinalizedItem[] {
    const creator = this.#ports.network.set.at(held.ref.creator).nodeId;
    return Array.from({ length: run.count }, (_, offset) => ({
      sequence: firstPosition + offset,
      purpose: held.bundle.purpose,
      hash: present(held.vertexIds[run.first + offset], "an accepted vertex"),
      creator,
      payload: present(held.bundle.payloads[run.first + offset], "a payload"),
      timestampMs: run.timestampMs,
    }));
  }

  #view(
    { held }: StoredBundle,
    index: number,
    place: {
      readonly state: VertexState;
      readonly confidencePpm: number | null;
      readonly sequence: number | null;
      readonly height: number | null;
    },
  ): VertexView {
    const { confidencePpm, ...rest } = place;
    const { nodeId } = this.#ports.network.set.at(held.ref.creator);
    return {
      hash: present(held.vertexIds[index], "a vertex of the bundle"),
      ...vertexAt(held.bundle, nodeId, index),
      ...rest,
      finalized: place.state === "finalized",
      confidence: confidencePpm === null ? null : confidencePpm / PPM,
    };
  }
}

export function openDesk<M>(
  { ledger, pool, order }: OpenedDag,
  parts: Pick<DagDeskPorts, "feed" | "observer"> & { readonly epochs: Epochs<M>; readonly clock: Clock },
): DagDesk {
  const { epochs, clock, feed, observer } = parts;
  return new DagDesk({
    ...{ ledger, pool, order, feed, observer },
    network: epochs.network,
    dagLane: () => epochs.dagLane,
    view: () => epochs.engine.dag,
    monotonicMs: () => clock.monotonicMs(),
  });
}

/** Why a leaderless engine finalizes nothing now, in words for an operator. */
export function dagReasons(status: DagStatus | null): readonly string[] {
  if (status === null) return [];
  const reasons: string[] = [];
  if (status.isPartitioned) {
    const share = Math.round(100 * status.timeoutShare);
    reasons.push(
      `consensus pauses: more than half of the queries time out (${share} %), the network may be partitioned`,
    );
  }
  if (!status.mayVote) reasons.push("waits to hear from a quorum what the epoch before certified");
  return reasons;
}

function conflictError(hash: Hash, winner: Hash | null): NodeError {
  const why =
    winner === null
      ? "its rival is decided and not final here yet, its bundle lost its place, or the application takes no such payload"
      : `vertex ${winner} won a conflict set that both declare, and is final`;
  return new NodeError("conflict", `vertex ${hash} is rejected for good: ${why}; submit something else instead`);
}
