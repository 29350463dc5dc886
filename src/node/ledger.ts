import { decode, encode } from "../codec/codec.ts";
import { hash } from "../codec/primitives.ts";
import { committedSlotCodec } from "../consensus/log-codec.ts";
import type { CommittedSlot, DurableWrite } from "../consensus/engine.ts";
import { bundleCodec, type HeldBundle, holdBundle } from "../dag/bundle.ts";
import { type ResolutionState, resolutionStateCodec } from "../dag/resolution-state.ts";
import { asciiBytes } from "../lib/ascii.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, Position, Sequence, ValidatorIndex } from "../membership/ids.ts";
import { type MembershipState, membershipStateCodec } from "../membership/membership-state.ts";
import type { Proof } from "../membership/seal.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import {
  type ExecutedBundle,
  type Execution,
  type ExecutionState,
  executionStateCodec,
} from "../replication/executor.ts";
import { bundleKey, edgeKey, hashKey, indexKey, keyNumber, laneKey, numberKey } from "./ledger-keys.ts";
import {
  edgeCodec,
  silenceCodec,
  type FinalizedRun,
  finalizedCodec,
  LOG_BEGINNING,
  type LogStart,
  logStartCodec,
  type MetadataRow,
  metadataCodec,
  type VertexMetadata,
} from "./ledger-rows.ts";
import { eraseBundle, lastNamed, recordNamed } from "./named-bundles.ts";
import type { Database } from "./ports.ts";
import type { LogState } from "./replicated/snapshot-store.ts";
import type { Silence } from "./start-gate.ts";
import { provenBodyCodec } from "./wire.ts";
import type { WriteBatch } from "./write-batch.ts";

/** A bundle with its creator's proof, as it is kept and handed to peers. */
export interface StoredBundle {
  readonly held: HeldBundle;
  readonly body: Uint8Array;
  readonly proof: Proof;
}

/** Each epoch's engine has rows of its own: what it promised binds nobody in the next. */
const ENGINE_PREFIX = "engine/";
const EXECUTION_KEY = asciiBytes("execution");
const MEMBERSHIP_KEY = asciiBytes("membership");
const PREVIOUS_KEY = asciiBytes("membership-before");
const RESOLUTION_KEY = asciiBytes("resolution");
const SILENCE_KEY = asciiBytes("silence");
const LOG_START_KEY = asciiBytes("log-start");

/** Rows of a lane that are looked through for the newest one of a term. */
const VOID_ROWS_MAX = 64;

/** Rows read at a time at start and by range queries. */
const PAGE_ROWS = 512;

/**
 * The node's own schema over the database: bundles, the total order, the log of committed batches, what the engine must
 * not forget. Writes go into the caller's batch, so that what was applied and up to where become durable together.
 */
export class Ledger {
  readonly #database: Database;
  #network: NetworkContext;

  readonly #isLeaderless: boolean;
  /** As it is on the disk, once it was asked for. */
  #logStart: LogStart | null = null;

  constructor(database: Database, network: NetworkContext, isLeaderless = false) {
    this.#database = database;
    this.#network = network;
    this.#isLeaderless = isLeaderless;
  }

  /** Bundles are opened with the roster of this network from now on; it may grow. */
  follow(network: NetworkContext): void {
    this.#network = network;
  }

  storeBundle(batch: WriteBatch, stored: StoredBundle): void {
    const { ref } = stored.held;
    const value = encode(provenBodyCodec, { body: stored.body, proof: stored.proof }, stored.body.length + 6_000);
    batch.put("vertices", bundleKey(ref.creator, ref.firstNonce, ref.digest), value);
    const location: MetadataRow = { kind: "bundle", creator: ref.creator, firstNonce: ref.firstNonce };
    batch.put("metadata", hashKey(ref.digest), encode(metadataCodec, location));
  }

  recordExecution(
    batch: WriteBatch,
    slot: CommittedSlot,
    execution: Execution,
    membershipBefore: MembershipState,
    bundleOf: (digest: Hash) => HeldBundle,
  ): void {
    batch.put("log", numberKey(slot.sequence), encode(committedSlotCodec, slot));
    for (const executed of execution.executed) {
      this.#recordBundle(batch, executed, bundleOf(executed.ref.digest), slot.sequence, execution.timestampMs);
    }
    const taken = new Set(execution.executed.map(({ ref }) => ref.digest));
    const passedOver = slot.batch.bundles.filter((digest) => !taken.has(digest));
    recordNamed(batch, passedOver, slot.sequence);
    batch.put("consensus", EXECUTION_KEY, encode(executionStateCodec, execution.state));
    if (execution.membership === membershipBefore) return;
    batch.put("consensus", MEMBERSHIP_KEY, encode(membershipStateCodec, execution.membership, 4_096));
    if (execution.changed === null) return;
    batch.put("consensus", PREVIOUS_KEY, encode(membershipStateCodec, membershipBefore, 4_096));
  }

  recordEngine(batch: WriteBatch, epoch: Epoch, writes: readonly DurableWrite[]): void {
    for (const { key, value } of writes) {
      const row = asciiBytes(engineKey(epoch, key));
      if (value === null) batch.delete("consensus", row);
      else batch.put("consensus", row, value);
    }
  }

  /** The state that the log goes on from, where it was not executed here. `recordLogStart` says that what led to it is not here. */
  recordState(batch: WriteBatch, { execution, membership }: LogState): void {
    batch.put("consensus", EXECUTION_KEY, encode(executionStateCodec, execution));
    batch.put("consensus", MEMBERSHIP_KEY, encode(membershipStateCodec, membership, 4_096));
    batch.delete("consensus", PREVIOUS_KEY);
  }

  /** Nothing was executed yet. */
  forgetState(batch: WriteBatch): void {
    this.#logStart = null;
    for (const key of [EXECUTION_KEY, MEMBERSHIP_KEY, PREVIOUS_KEY, RESOLUTION_KEY, LOG_START_KEY])
      batch.delete("consensus", key);
  }

  async loadExecution(): Promise<ExecutionState | null> {
    const row = await this.#database.get("consensus", EXECUTION_KEY);
    return row === undefined ? null : decode(executionStateCodec, row);
  }

  recordSilence(batch: WriteBatch, silence: Silence | null): void {
    if (silence === null) batch.delete("consensus", SILENCE_KEY);
    else batch.put("consensus", SILENCE_KEY, encode(silenceCodec, silence));
  }

  async loadSilence(): Promise<Silence | null> {
    const row = await this.#database.get("consensus", SILENCE_KEY);
    return row === undefined ? null : decode(silenceCodec, row);
  }

  recordResolution(batch: WriteBatch, state: ResolutionState): void {
    batch.put("consensus", RESOLUTION_KEY, encode(resolutionStateCodec, state, 4_096));
  }

  async loadResolution(): Promise<ResolutionState | null> {
    const row = await this.#database.get("consensus", RESOLUTION_KEY);
    return row === undefined ? null : decode(resolutionStateCodec, row);
  }

  async loadMembership(): Promise<MembershipState | null> {
    const row = await this.#database.get("consensus", MEMBERSHIP_KEY);
    return row === undefined ? null : decode(membershipStateCodec, row);
  }

  /** The membership with which the epoch before ended; null in the first epoch. */
  async loadPreviousMembership(): Promise<MembershipState | null> {
    const row = await this.#database.get("consensus", PREVIOUS_KEY);
    return row === undefined ? null : decode(membershipStateCodec, row);
  }

  /** Deletes what the engines of the epochs before this one left; a crash may have come between a change and this. */
  async forgetEngines(batchNow: () => WriteBatch, present: Epoch): Promise<void> {
    const range = { gte: asciiBytes(ENGINE_PREFIX), lt: asciiBytes(engineKey(present, "")), limit: PAGE_ROWS };
    for (;;) {
      const rows = await this.#database.scan("consensus", range);
      const batch = batchNow();
      for (const { key } of rows) batch.delete("consensus", key);
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE_ROWS) return;
      range.gte = successor(last.key);
    }
  }

  async loadEngine(epoch: Epoch): Promise<readonly { readonly key: string; readonly value: Uint8Array }[]> {
    const prefix = asciiBytes(engineKey(epoch, ""));
    const end = asciiBytes(engineKey(epoch, "~"));
    const rows: { key: string; value: Uint8Array }[] = [];
    let gte = prefix;
    for (;;) {
      const page = await this.#database.scan("consensus", { gte, lt: end, limit: PAGE_ROWS });
      for (const row of page)
        rows.push({ key: String.fromCharCode(...row.key.subarray(prefix.length)), value: row.value });
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_ROWS) return rows;
      gte = successor(last.key);
    }
  }

  /** The held bundles of a lane from a nonce on, in order; at most `limit`. */
  async bundlesOfLane(creator: ValidatorIndex, fromNonce: number, limit: number): Promise<readonly StoredBundle[]> {
    const range = { gte: laneKey(creator, fromNonce), lt: laneKey((creator + 1) as ValidatorIndex, 0), limit };
    const rows = await this.#database.scan("vertices", range);
    return rows.map((row) => this.#openBundle(row.value));
  }

  /**
   * The bundle of a term that begins nearest before a nonce of a lane, or at it; null where none is among the last rows.
   * What an earlier term left there is void, and lies between.
   */
  async bundleUpTo(creator: ValidatorIndex, term: Epoch, nonce: number): Promise<StoredBundle | null> {
    const range = { gte: laneKey(creator, 0), lt: laneKey(creator, nonce + 1), reverse: true, limit: VOID_ROWS_MAX };
    const rows = await this.#database.scan("vertices", range);
    const stored = rows.map((row) => this.#openBundle(row.value));
    return stored.find(({ held }) => held.ref.term === term) ?? null;
  }

  async bundle(digest: Hash): Promise<StoredBundle | null> {
    const metadata = await this.#metadata(digest);
    if (metadata === null || metadata.kind !== "bundle") return null;
    const row = await this.#database.get("vertices", bundleKey(metadata.creator, metadata.firstNonce, digest));
    return row === undefined ? null : this.#openBundle(row);
  }

  /** A finalized vertex; null where none has this id. */
  async vertex(id: Hash): Promise<{ readonly metadata: VertexMetadata; readonly stored: StoredBundle } | null> {
    const metadata = await this.#metadata(id);
    if (metadata === null || metadata.kind !== "vertex") return null;
    const stored = await this.bundle(metadata.bundle);
    // Both rows go in one write, which may have come between the two reads.
    if (stored === null && (await this.#metadata(id)) === null) return null;
    return { metadata, stored: present(stored, `the bundle of finalized vertex ${id}`) };
  }

  /** The runs that cover `count` positions from `from` on, ascending, each with its first position. */
  async finalizedRuns(
    from: number,
    count: number,
  ): Promise<readonly { readonly firstPosition: Position; readonly run: FinalizedRun }[]> {
    const before = await this.#database.scan("finalized", { lt: numberKey(from + 1), reverse: true, limit: 1 });
    const first = before[0];
    const start = first === undefined ? numberKey(from) : first.key;
    const rows = await this.#database.scan("finalized", { gte: start, lt: numberKey(from + count), limit: count + 1 });
    return rows
      .map((row) => ({ firstPosition: keyNumber(row.key) as Position, run: decode(finalizedCodec, row.value) }))
      .filter(({ firstPosition, run }) => firstPosition + run.count > from);
  }

  /** The runs on this disk that begin at these positions, ascending; at most `limit` rows. There may be gaps. */
  async runs(
    { from, before }: { readonly from: number; readonly before: number },
    limit: number,
  ): Promise<readonly { readonly firstPosition: Position; readonly run: FinalizedRun }[]> {
    const rows = await this.#database.scan("finalized", { gte: numberKey(from), lt: numberKey(before), limit });
    return rows.map((row) => ({
      firstPosition: keyNumber(row.key) as Position,
      run: decode(finalizedCodec, row.value),
    }));
  }

  /**
   * Encoded committed places from a sequence on, without gaps; none where the log begins later. What lies before its beginning
   * is about to be deleted, and after a crash may stay: its bodies may be gone, and it does not lead to what comes after it.
   */
  async committed(from: Sequence, limit: number): Promise<readonly Uint8Array[]> {
    if (from < (await this.logStart()).sequence) return [];
    const rows = await this.#database.scan("log", { gte: numberKey(from), limit });
    const [first] = rows;
    return first === undefined || keyNumber(first.key) !== from ? [] : rows.map((row) => row.value);
  }

  /** Where this node's log begins: it may have begun with a snapshot, or have forgotten what is old. */
  async logStart(): Promise<LogStart> {
    if (this.#logStart === null) {
      const row = await this.#database.get("consensus", LOG_START_KEY);
      this.#logStart = row === undefined ? LOG_BEGINNING : decode(logStartCodec, row);
    }
    return this.#logStart;
  }

  recordLogStart(batch: WriteBatch, start: LogStart): void {
    this.#logStart = start;
    batch.put("consensus", LOG_START_KEY, encode(logStartCodec, start));
  }

  async committedSlot(sequence: Sequence): Promise<CommittedSlot | null> {
    const row = await this.#database.get("log", numberKey(sequence));
    return row === undefined ? null : decode(committedSlotCodec, row);
  }

  #recordBundle(
    batch: WriteBatch,
    { ref, firstPosition, height }: ExecutedBundle,
    held: HeldBundle,
    sequence: Sequence,
    timestampMs: number,
  ): void {
    const { digest, creator, firstNonce, count } = ref;
    const run: FinalizedRun = { bundle: digest, creator, firstNonce, count, height, batch: sequence, timestampMs };
    batch.put("finalized", numberKey(firstPosition), encode(finalizedCodec, run));
    if (!this.#isLeaderless) {
      // In a leaderless network these are the DAG's, and positions are its own.
      batch.put("index_height", indexKey(height, firstPosition), encode(hash, digest));
      batch.put("index_timestamp", indexKey(timestampMs, firstPosition), encode(hash, digest));
    }
    const firstId = present(held.vertexIds[0], "a bundle's first vertex");
    batch.put("edges", edgeKey(ref.previous, firstId), encode(edgeCodec, { timestampMs, weight: count }));
    held.vertexIds.forEach((id, index) => {
      const position = (firstPosition + index) as Position;
      const row: MetadataRow = { kind: "vertex", creator, firstNonce, bundle: digest, index, position, height };
      batch.put("metadata", hashKey(id), encode(metadataCodec, row));
    });
  }

  /**
   * Takes back what `recordExecution` wrote of a bundle.
   * @param forgotten where the log begins from now on, and the lanes' last vertices: the bundle itself goes too, unless a place from
   * there on names it once more, or it is its lane's last, which proves to a creator that lost its disk how far its lane went
   */
  async eraseRun(
    batch: WriteBatch,
    { firstPosition, run }: { readonly firstPosition: Position; readonly run: FinalizedRun },
    forgotten: { readonly start: Sequence; readonly tips: ReadonlySet<Hash> } | null,
  ): Promise<void> {
    const { bundle: digest, height, timestampMs } = run;
    batch.delete("finalized", numberKey(firstPosition));
    batch.delete("index_height", indexKey(height, firstPosition));
    batch.delete("index_timestamp", indexKey(timestampMs, firstPosition));
    const stored = await this.bundle(digest);
    if (stored === null) return;
    const { ref, vertexIds } = stored.held;
    batch.delete("edges", edgeKey(ref.previous, present(vertexIds[0], "a bundle's first vertex")));
    for (const id of vertexIds) batch.delete("metadata", hashKey(id));
    if (forgotten === null) return;
    const { start, tips } = forgotten;
    if (((await lastNamed(this.#database, digest)) ?? 0) >= start) return;
    if (tips.has(ref.tip)) recordNamed(batch, [digest], start);
    else eraseBundle(batch, ref);
  }

  /** At most `limit` sequences of the log from one on, ascending. */
  async sequencesFrom(from: number, limit: number): Promise<readonly Sequence[]> {
    const rows = await this.#database.scan("log", { gte: numberKey(from), limit });
    return rows.map(({ key }) => keyNumber(key) as Sequence);
  }

  eraseSlot(batch: WriteBatch, sequence: Sequence): void {
    batch.delete("log", numberKey(sequence));
  }

  async #metadata(key: Hash): Promise<MetadataRow | null> {
    const row = await this.#database.get("metadata", hashKey(key));
    return row === undefined ? null : decode(metadataCodec, row);
  }

  #openBundle(row: Uint8Array): StoredBundle {
    const { body, proof } = decode(provenBodyCodec, row);
    return { held: holdBundle(this.#network, decode(bundleCodec, body)), body, proof };
  }
}

/** The row of one epoch's engine. */
export function engineKey(epoch: Epoch, key: string): string {
  return `${ENGINE_PREFIX}${epoch.toString(16).padStart(14, "0")}/${key}`;
}

/** The smallest key above this one. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
