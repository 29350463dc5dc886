import type { LaneTip } from "../../dag/lanes.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import type { Ledger } from "../ledger.ts";
import type { LogStart } from "../ledger-rows.ts";
import { eraseBundle, forgetName, namedBefore } from "../named-bundles.ts";
import type { Database } from "../ports.ts";
import { WriteBatch } from "../write-batch.ts";

/** Rows read at a time. */
const PAGE_ROWS = 64;

/** Takes back all that was executed after a place: rows that are written again when it is executed again. The bundles stay. */
export async function undoAfter(
  ledger: Ledger,
  batch: WriteBatch,
  { sequence, position }: { readonly sequence: Sequence; readonly position: Position },
): Promise<void> {
  for (let from = sequence + 1; ; ) {
    const page = await ledger.sequencesFrom(from, PAGE_ROWS);
    for (const one of page) ledger.eraseSlot(batch, one);
    const last = page.at(-1);
    if (last === undefined) break;
    from = last + 1;
  }
  for (let from = position + 1; ; ) {
    const page = await ledger.runs({ from, before: Number.MAX_SAFE_INTEGER }, PAGE_ROWS);
    for (const one of page) await ledger.eraseRun(batch, one, null);
    const last = page.at(-1);
    if (last === undefined) break;
    from = last.firstPosition + 1;
  }
}

/**
 * Deletes what lies before the log's start, in steps that each become durable. The start was recorded before: a crash in
 * between leaves rows that nobody reads, and the next call finds them.
 */
export async function forgetBefore(
  { ledger, database }: { readonly ledger: Ledger; readonly database: Database },
  start: LogStart,
): Promise<void> {
  const lanes = (await ledger.loadExecution())?.lanes ?? [];
  const tips = new Set(lanes.map(({ tip }) => tip));
  for (;;) {
    const runs = await ledger.runs({ from: 0, before: start.position }, PAGE_ROWS);
    if (runs.length === 0) break;
    const batch = new WriteBatch();
    for (const one of runs) await ledger.eraseRun(batch, one, { start: start.sequence, tips });
    await database.write(batch.finish());
  }
  for (;;) {
    const sequences = (await ledger.sequencesFrom(0, PAGE_ROWS)).filter((sequence) => sequence < start.sequence);
    if (sequences.length === 0) break;
    const batch = new WriteBatch();
    for (const sequence of sequences) ledger.eraseSlot(batch, sequence);
    await database.write(batch.finish());
  }
  await forgetNamed({ ledger, database }, start.sequence, lanes);
}

/**
 * Lets go of what only places before the log's beginning name, unless it is its lane's last, or may still execute, or the log
 * that is left executed it.
 */
async function forgetNamed(
  { ledger, database }: { readonly ledger: Ledger; readonly database: Database },
  start: Sequence,
  lanes: readonly LaneTip[],
): Promise<void> {
  for await (const digests of namedBefore(database, start)) {
    const batch = new WriteBatch();
    for (const digest of digests) {
      const { ref, vertexIds } = (await ledger.bundle(digest))?.held ?? {};
      const lane = ref === undefined ? undefined : lanes[ref.creator];
      if (ref !== undefined && (ref.firstNonce > (lane?.nonce ?? 0) || ref.tip === lane?.tip)) continue;
      forgetName(batch, digest);
      const [first] = vertexIds ?? [];
      if (ref !== undefined && first !== undefined && (await ledger.vertex(first)) === null) eraseBundle(batch, ref);
    }
    if (batch.count > 0) await database.write(batch.finish());
  }
}
