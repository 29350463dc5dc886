import type { DagDecision } from "../consensus/dag-engine.ts";
import type { LaneTip } from "../dag/lanes.ts";
import { assert, present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, Position, ValidatorIndex } from "../membership/ids.ts";
import type { DagLedger } from "./dag-ledger.ts";
import type { DagEntry, DagPool } from "./dag-pool.ts";
import type { AcceptedRun, DagPlace, LocalOrder } from "./dag-rows.ts";
import type { StoredBundle } from "./ledger.ts";
import type { WriteBatch } from "./write-batch.ts";

/** Winners of conflict sets that are remembered beside the disk: more than are decided while one read is under way. */
const WINNERS_KEPT_MAX = 65_536;

/** What became final of one bundle, once it is durable. */
export interface DagOutcome {
  readonly stored: StoredBundle;
  /** What became of its place; null where that was decided before. */
  readonly place: Exclude<DagPlace, "open"> | null;
  /** Vertices that took local places, in stretches. */
  readonly runs: readonly { readonly firstPosition: Position; readonly run: AcceptedRun }[];
  /** Vertices that lost, ascending. */
  readonly rejected: readonly number[];
  /** Nothing of it is open any more. */
  readonly isSettled: boolean;
}

export interface DagOrderPorts {
  readonly genesis: Hash;
  readonly ledger: DagLedger;
  readonly pool: DagPool;
  /** Milliseconds since 1970. */
  wallMs(): number;
}

/**
 * This node's own order of acceptance: a linear extension of the DAG, ancestors first. Two nodes accept the same vertices,
 * and order them differently where nothing conflicts.
 *
 * Invariant: positions count from 1 without gaps, and each accepted vertex has one.
 */
export class DagOrder {
  readonly #ports: DagOrderPorts;
  readonly #winners = new Map<Hash, Hash>();
  readonly #lanes: LaneTip[];
  #order: LocalOrder;

  constructor(ports: DagOrderPorts, restored: { readonly order: LocalOrder; readonly lanes: readonly LaneTip[] }) {
    this.#ports = ports;
    this.#order = restored.order;
    this.#lanes = [...restored.lanes];
  }

  get position(): Position {
    return this.#order.position;
  }

  /** Up to where each lane is placed. */
  laneOf(creator: ValidatorIndex): LaneTip {
    return this.#lanes[creator] ?? { nonce: 0 as Nonce, tip: this.#ports.genesis };
  }

  /** The final winner of a conflict set, where it was decided lately; the disk knows the others. */
  winnerOf(set: Hash): Hash | undefined {
    return this.#winners.get(set);
  }

  /** Takes over what is final; its rows become durable together with the order. */
  decide(batch: WriteBatch, decisions: readonly DagDecision[]): readonly DagOutcome[] {
    const outcomes = decisions.map((decision) => this.#decideOne(batch, decision));
    this.#ports.ledger.recordOrder(batch, this.#order);
    return outcomes;
  }

  #decideOne(batch: WriteBatch, decision: DagDecision): DagOutcome {
    const { ledger, pool } = this.#ports;
    const entry = present(pool.get(decision.bundle), `the open bundle ${decision.bundle}`);
    if (decision.place !== null && entry.place === "open") this.#place(batch, entry, decision.place);
    assert(decision.accepted.length === 0 || entry.place === "accepted", "vertices are accepted in their place");
    const accepted = decision.accepted.filter((index) => entry.settle(index, "accepted"));
    const lost = decision.place === "rejected" ? entry.indicesIn("open") : decision.rejected;
    const rejected = lost.filter((index) => entry.settle(index, "rejected"));
    const runs = this.#run(batch, entry, accepted);
    for (const { firstPosition, run } of runs) {
      for (let offset = 0; offset < run.count; offset++) {
        const position = (firstPosition + offset) as Position;
        this.#record(batch, entry, { index: run.first + offset, isAccepted: true, position }, decision);
      }
    }
    for (const index of rejected) {
      this.#record(batch, entry, { index, isAccepted: false, position: 0 as Position }, decision);
    }
    const { isSettled } = entry;
    ledger.recordStanding(batch, entry.stored, entry.standing, isSettled);
    if (isSettled) pool.settle(entry);
    return { stored: entry.stored, place: decision.place, runs, rejected, isSettled };
  }

  #place(batch: WriteBatch, entry: DagEntry, place: "accepted" | "rejected"): void {
    entry.place = place;
    if (place === "rejected") return;
    const { ledger, pool, genesis } = this.#ports;
    const { ref, bundle } = entry.stored.held;
    const heights = bundle.parents.map((parent, index) => {
      if (parent === genesis) return 0;
      // A parent that is final was so before this one, and its height is remembered or was looked up.
      return pool.heightOf(parent) ?? entry.parentHeights[index] ?? 0;
    });
    entry.height = 1 + Math.max(0, ...heights);
    pool.onPlaced(entry);
    const lane: LaneTip = { nonce: (ref.firstNonce + ref.count - 1) as Nonce, tip: ref.tip };
    const before = this.#lanes[ref.creator];
    const isNewer = before === undefined || lane.nonce > before.nonce;
    if (isNewer) this.#lanes[ref.creator] = lane;
    ledger.recordPlace(batch, entry.stored, isNewer ? lane : before);
  }

  /** Places for these vertices, one run for each stretch without a gap. */
  #run(batch: WriteBatch, entry: DagEntry, accepted: readonly number[]): DagOutcome["runs"] {
    const runs: { firstPosition: Position; run: AcceptedRun }[] = [];
    const { digest: bundle, creator, firstNonce } = entry.stored.held.ref;
    for (const { first, count } of stretches(accepted)) {
      const { position } = this.#order;
      // A bundle's time is its creator's word: what lies ahead of this node's clock is not believed.
      const saidMs = Math.min(entry.stored.held.bundle.timestampMs, this.#ports.wallMs());
      const timestampMs = Math.max(this.#order.timestampMs, saidMs);
      const run: AcceptedRun = { bundle, creator, firstNonce, first, count, height: entry.height, timestampMs };
      const firstPosition = (position + 1) as Position;
      this.#ports.ledger.recordRun(batch, run, firstPosition);
      this.#order = { position: (position + count) as Position, timestampMs };
      runs.push({ firstPosition, run });
    }
    return runs;
  }

  #record(
    batch: WriteBatch,
    entry: DagEntry,
    vertex: { readonly index: number; readonly isAccepted: boolean; readonly position: Position },
    { confidencePpm, polls }: DagDecision,
  ): void {
    const { ledger } = this.#ports;
    const { digest: bundle, creator, firstNonce } = entry.stored.held.ref;
    const id = present(entry.stored.held.vertexIds[vertex.index], "a vertex of the bundle");
    const { height } = entry;
    const place = { kind: "dag-vertex", creator, firstNonce, bundle } as const;
    ledger.recordVertex(batch, id, { ...place, ...vertex, height, confidencePpm, polls });
    if (!vertex.isAccepted) return;
    for (const set of entry.sets.get(vertex.index) ?? []) {
      ledger.recordSpent(batch, set, id);
      this.#winners.set(set, id);
      if (this.#winners.size <= WINNERS_KEPT_MAX) continue;
      const oldest = this.#winners.keys().next();
      if (oldest.done !== true) this.#winners.delete(oldest.value);
    }
  }
}

function stretches(indices: readonly number[]): readonly { readonly first: number; readonly count: number }[] {
  const found: { first: number; count: number }[] = [];
  for (const index of indices) {
    const last = found.at(-1);
    if (last !== undefined && last.first + last.count === index) last.count += 1;
    else found.push({ first: index, count: 1 });
  }
  return found;
}
