import type { DagOpen, DagRestored } from "../consensus/dag-engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { LaneTip } from "../dag/lanes.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { DagLedger, type StandingBundle } from "./dag-ledger.ts";
import { DagOrder } from "./dag-order.ts";
import { DagEntry, DagPool } from "./dag-pool.ts";
import { acceptedOf, type LocalOrder } from "./dag-rows.ts";
import type { StoredBundle } from "./ledger.ts";
import type { Clock, Database } from "./ports.ts";

/** What the disk says of the DAG at start. */
export interface RestoredDag {
  /** For the engine. */
  readonly engine: DagRestored;
  /** Bundles of which something is open. */
  readonly entries: readonly DagEntry[];
  readonly order: LocalOrder;
  readonly lanes: readonly LaneTip[];
  /** Where this node's own lane goes on; genesis for an observer. */
  readonly ownTip: LaneTip;
}

/** The DAG of a node that opens: rows, memory and order, and what was read. */
export interface OpenedDag {
  readonly ledger: DagLedger;
  readonly pool: DagPool;
  readonly order: DagOrder;
  readonly restored: RestoredDag;
}

export async function openDag(
  { database, clock, nodeId }: { readonly database: Database; readonly clock: Clock; readonly nodeId: NodeId },
  network: NetworkContext,
): Promise<OpenedDag> {
  const ledger = new DagLedger(database, network);
  const restored = await restoreDag(ledger, network, network.set.indexOf(nodeId));
  const pool = new DagPool(restored.entries);
  const { genesis } = network;
  const order = new DagOrder({ genesis, ledger, pool, wallMs: () => clock.nowMs() }, restored);
  return { ledger, pool, order, restored };
}

/** Reads back what of the DAG is open, and up to where it is decided. */
export async function restoreDag(
  ledger: DagLedger,
  network: NetworkContext,
  self: ValidatorIndex | null,
): Promise<RestoredDag> {
  const [order, lanes, open] = await Promise.all([ledger.loadOrder(), ledger.loadLanes(), ledger.loadOpen()]);
  const sorted = parentsFirst(open);
  const entries: DagEntry[] = [];
  for (const { stored, standing } of sorted) {
    const heights: (number | null)[] = [];
    for (const parent of stored.held.bundle.parents) {
      heights.push(parent === network.genesis ? 0 : await ledger.heightOfTip(parent));
    }
    entries.push(new DagEntry(stored, standing, heights));
  }
  const ownTip = self === null ? { nonce: 0 as Nonce, tip: network.genesis } : await laneEnd(ledger, self, lanes);
  const won = await wonSets(ledger, entries);
  return { engine: { lanes, open: sorted.map(openOf), won }, entries, order, lanes, ownTip };
}

/** A bundle may be durable without the decision that one of its vertices came too late. */
async function wonSets(
  ledger: DagLedger,
  entries: readonly DagEntry[],
): Promise<readonly { readonly set: Hash; readonly winner: Hash }[]> {
  const sets = [...new Set(entries.flatMap((entry) => [...entry.sets.values()].flat()))];
  if (sets.length === 0) return [];
  const winners = await ledger.winners(sets);
  return sets.flatMap((set, at) => {
    const winner = winners[at] ?? null;
    return winner === null ? [] : [{ set, winner }];
  });
}

function openOf({ stored, standing }: StandingBundle): DagOpen {
  const { held } = stored;
  return {
    held,
    place: standing.place === "accepted" ? "accepted" : "open",
    accepted: acceptedOf(standing, held.ref.count),
    rejected: standing.rejected,
    certified: [],
  };
}

/** Ancestors before descendants; where nothing binds them, in the order of the rows. */
function parentsFirst(open: readonly StandingBundle[]): readonly StandingBundle[] {
  const byTip = new Map<Hash, StandingBundle>(open.map((one) => [one.stored.held.ref.tip, one]));
  const sorted: StandingBundle[] = [];
  const visited = new Set<StandingBundle>();
  for (const first of open) {
    // A stack of its own: a lane may be longer than the call stack is deep.
    const stack = [first];
    for (let one = stack.at(-1); one !== undefined; one = stack.at(-1)) {
      const waiting = one.stored.held.bundle.parents
        .map((parent) => byTip.get(parent))
        .find((parent) => parent !== undefined && !visited.has(parent) && !stack.includes(parent));
      if (waiting !== undefined && !visited.has(one)) {
        stack.push(waiting);
        continue;
      }
      stack.pop();
      if (visited.has(one)) continue;
      visited.add(one);
      sorted.push(one);
    }
  }
  return sorted;
}

/** Behind the last bundle that this node made in this term, or that took its place. */
async function laneEnd(ledger: DagLedger, self: ValidatorIndex, lanes: readonly LaneTip[]): Promise<LaneTip> {
  const placed = lanes[self];
  const last: StoredBundle | null = await ledger.lastOf(self);
  const ref = last?.held.ref;
  const made = ref === undefined ? undefined : { nonce: (ref.firstNonce + ref.count - 1) as Nonce, tip: ref.tip };
  if (placed !== undefined && (made === undefined || placed.nonce >= made.nonce)) return placed;
  if (made === undefined) throw new Error(`no lane for validator ${self}`);
  return made;
}
