import type { Position, Sequence } from "../../membership/ids.ts";
import type { ExecutionState } from "../../replication/executor.ts";
import type { Ledger } from "../ledger.ts";
import type { LogStart } from "../ledger-rows.ts";
import type { Log } from "../observer.ts";
import type { Database } from "../ports.ts";
import { ProofLedger } from "../proof-ledger.ts";
import type { SnapshotStore } from "../replicated/snapshot-store.ts";
import { WriteBatch } from "../write-batch.ts";
import { forgetBefore } from "./log-trimming.ts";
import type { StateOffers } from "./state-offers.ts";

export interface PrunerParts {
  readonly ledger: Ledger;
  readonly database: Database;
  readonly snapshots: SnapshotStore;
  readonly offers: StateOffers;
  /** So many of the newest vertices stay at least; 0 keeps everything. */
  readonly retention: number;
  readonly log: Log;
}

/**
 * Deletes the old part of the log.
 *
 * Invariant: what every kept snapshot needs to be brought up to date stays, and nothing goes before a quorum certified one of
 * them: so this node can start again, and can bring another one to where it is.
 */
export class Pruner {
  readonly #parts: PrunerParts;

  constructor(parts: PrunerParts) {
    this.#parts = parts;
  }

  /** Resolves when what is old is gone. */
  async prune(execution: ExecutionState): Promise<void> {
    const { ledger, database, log } = this.#parts;
    const start = await this.#startAfter(execution);
    const present = await ledger.logStart();
    if (start === null || start.sequence <= present.sequence) return;
    const batch = new WriteBatch();
    ledger.recordLogStart(batch, start);
    await database.write(batch.finish());
    await forgetOld({ ledger, database });
    log("info", "log.pruned", { firstBatch: start.sequence, firstVertex: start.position });
  }

  /** Where the log is to begin: with the batch of the oldest vertex that must stay. */
  async #startAfter({ sequence, position }: ExecutionState): Promise<LogStart | null> {
    const { ledger, snapshots, offers, retention } = this.#parts;
    if (retention === 0 || (await offers.certified(sequence)) === null) return null;
    const oldest = (await snapshots.list(sequence)).at(-1);
    if (oldest === undefined) return null;
    const least = Math.min(oldest.execution.position, position - retention);
    let [first] = least < 1 ? [] : await ledger.finalizedRuns(least, 1);
    if (first === undefined) return null;
    const { batch } = first.run;
    let start: Position = first.firstPosition;
    while (first !== undefined && first.run.batch === batch) {
      start = first.firstPosition;
      [first] = start <= 1 ? [] : await ledger.finalizedRuns(start - 1, 1);
    }
    return { sequence: batch as Sequence, position: start };
  }
}

/** Deletes what lies before the log's start. */
export async function forgetOld(parts: Pick<PrunerParts, "ledger" | "database">): Promise<void> {
  const start = await parts.ledger.logStart();
  if (start.sequence === 1) return;
  await forgetBefore(parts, start);
  await new ProofLedger(parts.database).forgetBefore(start.sequence);
}
