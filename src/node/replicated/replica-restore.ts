import { decode } from "../../codec/codec.ts";
import { committedSlotCodec } from "../../consensus/log-codec.ts";
import type { CommittedSlot } from "../../consensus/engine.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { type ExecutionState, nextHistory } from "../../replication/executor.ts";
import type { Replica } from "../../replication/replica.ts";
import { SnapshotFault } from "../../replication/snapshot.ts";
import type { Ledger } from "../ledger.ts";
import type { FinalizedRun } from "../ledger-rows.ts";
import type { Log } from "../observer.ts";
import { NodeError } from "../service.ts";
import { orderedBatch, type PlacedBundle } from "./ordered-batch.ts";
import type { SnapshotStore } from "./snapshot-store.ts";

/** Rows read at a time. */
const PAGE_ROWS = 512;

export interface RestorePorts {
  readonly network: NetworkContext;
  readonly ledger: Pick<Ledger, "committed" | "finalizedRuns" | "bundle" | "logStart">;
  readonly snapshots: Pick<SnapshotStore, "list" | "chunks">;
  readonly log: Log;
  /** An application to which nothing happened yet: a new one each time. */
  newReplica(): Replica;
}

/** Where a replay goes on. */
interface Place {
  readonly sequence: Sequence;
  readonly position: Position;
  readonly timestampMs: number;
  readonly history: Hash;
}

/** The place before the first batch. */
const beginningOf = ({ genesis }: NetworkContext): Place => ({
  sequence: 0 as Sequence,
  position: 0 as Position,
  timestampMs: 0,
  history: genesis,
});

/**
 * The application as the log has led to it: from the newest snapshot that is whole, and what was ordered since. A snapshot that is
 * damaged, or leads to another state than the log says, is passed over for an older one, and at last for the beginning.
 * @throws NodeError `storage-failed` where no way leads to the state that this node has executed and voted for
 */
export async function restoreReplica(ports: RestorePorts, execution: ExecutionState): Promise<Replica> {
  const { sequence: first } = await ports.ledger.logStart();
  let why = "no snapshot on this disk is whole";
  for (const { execution: from, manifest } of await ports.snapshots.list(execution.sequence)) {
    // It is of a time before the state that was taken over: what came in between is not on this disk.
    if (from.sequence + 1 < first) continue;
    const replica = ports.newReplica();
    try {
      replica.restore(manifest, await ports.snapshots.chunks(manifest));
      if (await isReplayed(ports, replica, from, execution)) return replica;
      why = "the application comes to another state than this node had from every snapshot on this disk";
      ports.log("warn", "snapshot.wrong", { batch: from.sequence, why: "it leads to another state than the log" });
    } catch (error) {
      if (!(error instanceof SnapshotFault)) throw error;
      ports.log("warn", "snapshot.damaged", { batch: from.sequence, why: error.message });
    }
  }
  if (first > 1) {
    throw new NodeError(
      "storage-failed",
      `${why}, and the log begins with batch ${first}: move the data folder away and start again, ` +
        "the node then takes everything over from its peers",
    );
  }
  const replica = ports.newReplica();
  if (await isReplayed(ports, replica, beginningOf(ports.network), execution)) return replica;
  const root = replica.root();
  throw new NodeError(
    "storage-failed",
    `the application comes to another state than this node had (root ${root}, not ${execution.application}, after batch ` +
      `${execution.sequence}): is it another version of the application, or is it not deterministic?`,
  );
}

/** Applies what was ordered after a place, and says whether it led to the state that was executed. */
async function isReplayed(ports: RestorePorts, replica: Replica, from: Place, to: ExecutionState): Promise<boolean> {
  const { network, ledger } = ports;
  const runs = runsAfter(ports, from.position, to.position);
  let run = await runs.next();
  let { history, timestampMs } = from;
  for await (const slot of slotsAfter(ledger, from.sequence, to.sequence)) {
    timestampMs = Math.max(timestampMs, slot.batch.timestampMs);
    const bundles: PlacedBundle[] = [];
    const executed: { readonly bundle: Hash; readonly firstPosition: Position }[] = [];
    for (; run.done !== true && run.value.run.batch === slot.sequence; run = await runs.next()) {
      const { firstPosition, run: placed } = run.value;
      const stored = present(await ledger.bundle(placed.bundle), `the executed bundle ${placed.bundle}`);
      bundles.push({ held: stored.held, firstPosition });
      executed.push({ bundle: placed.bundle, firstPosition });
    }
    history = nextHistory(history, slot.batch, executed);
    replica.applyBatch(orderedBatch(network, { sequence: slot.sequence, timestampMs, history }, bundles));
  }
  return replica.root() === to.application;
}

async function* slotsAfter(
  ledger: Pick<Ledger, "committed">,
  after: Sequence,
  last: Sequence,
): AsyncGenerator<CommittedSlot> {
  for (let next = after + 1; next <= last; ) {
    const page = await ledger.committed(next as Sequence, Math.min(PAGE_ROWS, last - next + 1));
    if (page.length === 0) throw new NodeError("storage-failed", `the log has no place ${next} of ${last}`);
    for (const row of page) yield decode(committedSlotCodec, row);
    next += page.length;
  }
}

async function* runsAfter(
  { ledger }: RestorePorts,
  after: Position,
  last: Position,
): AsyncGenerator<{ readonly firstPosition: Position; readonly run: FinalizedRun }> {
  for (let next = after + 1; next <= last; ) {
    const page = await ledger.finalizedRuns(next, Math.min(PAGE_ROWS, last - next + 1));
    const final = page.at(-1);
    if (final === undefined) throw new NodeError("storage-failed", `the order has no vertex ${next} of ${last}`);
    yield* page;
    next = final.firstPosition + final.run.count;
  }
}
