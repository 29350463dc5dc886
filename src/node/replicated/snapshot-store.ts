import { decode, encode } from "../../codec/codec.ts";
import { bytes } from "../../codec/primitives.ts";
import { DecodeError } from "../../codec/reader.ts";
import { struct } from "../../codec/composites.ts";
import type { Codec } from "../../codec/codec.ts";
import type { Sequence } from "../../membership/ids.ts";
import { type MembershipState, membershipStateCodec } from "../../membership/membership-state.ts";
import { type ExecutionState, executionStateCodec } from "../../replication/executor.ts";
import {
  encodeManifest,
  type Manifest,
  manifestCodec,
  pourSnapshot,
  type Snapshot,
} from "../../replication/snapshot.ts";
import { keyNumber, numberKey } from "../ledger-keys.ts";
import type { Database } from "../ports.ts";
import { WriteBatch } from "../write-batch.ts";

/** The state that the log had led to, with the validator set that its digest stands for. */
export interface LogState {
  readonly execution: ExecutionState;
  readonly membership: MembershipState;
}

/** A whole snapshot on the disk. */
export interface StoredSnapshot extends LogState {
  readonly manifest: Manifest;
}

const STATE_BYTES_MAX: number = 1024 * 1024;
/** About 2.8 kB for each validator that the network ever had. */
const MEMBERSHIP_BYTES_MAX: number = 8 * 1024 * 1024;
const MANIFEST_BYTES_MAX: number = 4 * 1024 * 1024;

interface Row {
  readonly execution: Uint8Array;
  readonly membership: Uint8Array;
  readonly manifest: Uint8Array;
}

const rowCodec: Codec<Row> = struct<Row>({
  execution: bytes(STATE_BYTES_MAX),
  membership: bytes(MEMBERSHIP_BYTES_MAX),
  manifest: bytes(MANIFEST_BYTES_MAX),
});

/** Rows of one snapshot: its head under 0, its chunks under 1 and on. */
const HEAD = 0;
const FIRST_CHUNK = 1;

/** Heads and keys read at a time. */
const PAGE_ROWS = 256;

/**
 * Snapshots of the application in the database. A chunk is written by itself, so that a large state neither waits in memory nor
 * holds up votes; the head comes last, and what has no head is no snapshot.
 */
export class SnapshotStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Resolves when it is whole on the disk. @throws what taking it throws */
  async write(state: LogState, snapshot: Snapshot): Promise<Manifest> {
    const chunks = pourSnapshot(snapshot);
    for (let number = FIRST_CHUNK; ; number++) {
      const next = chunks.next();
      if (next.done === true) {
        await this.writeHead({ ...state, manifest: next.value });
        return next.value;
      }
      await this.writeChunk(snapshot.sequence, number, next.value.bytes);
    }
  }

  /** One chunk of a snapshot that is none yet. @param number from 1, in the manifest's order */
  async writeChunk(sequence: Sequence, number: number, chunk: Uint8Array): Promise<void> {
    const batch = new WriteBatch();
    batch.put("snapshots", rowKey(sequence, number), chunk);
    await this.#database.write(batch.finish());
  }

  /** Every chunk is there: from now on it is a snapshot. */
  async writeHead({ execution, membership, manifest }: StoredSnapshot): Promise<void> {
    const row: Row = {
      execution: encode(executionStateCodec, execution),
      membership: encode(membershipStateCodec, membership, 4_096),
      manifest: encodeManifest(manifest),
    };
    const batch = new WriteBatch();
    batch.put("snapshots", rowKey(manifest.sequence, HEAD), encode(rowCodec, row, 1_024 + row.manifest.length));
    await this.#database.write(batch.finish());
  }

  /** Up to a sequence, the newest first. A head that cannot be read is passed over: an older snapshot and the log do as well. */
  async list(upTo: Sequence): Promise<readonly StoredSnapshot[]> {
    const found: StoredSnapshot[] = [];
    for (const sequence of await this.sequences(upTo)) {
      const snapshot = await this.head(sequence);
      if (snapshot !== null) found.push(snapshot);
    }
    return found;
  }

  /** Up to a sequence, the newest first: those of which there is anything. */
  async sequences(upTo: Sequence): Promise<readonly Sequence[]> {
    return (await this.#sequences()).filter((sequence) => sequence <= upTo).toReversed();
  }

  /** Null where it is not whole, or cannot be read. */
  async head(sequence: Sequence): Promise<StoredSnapshot | null> {
    const row = await this.#database.get("snapshots", rowKey(sequence, HEAD));
    return row === undefined ? null : open(row);
  }

  /** One chunk, by its number from 1; null where this snapshot is gone, or has no such chunk. */
  async chunk(sequence: Sequence, number: number): Promise<Uint8Array | null> {
    if (number < FIRST_CHUNK) return null;
    return (await this.#database.get("snapshots", rowKey(sequence, number))) ?? null;
  }

  /** All chunks of a snapshot, in the manifest's order; what is missing is left out and found by its manifest. */
  async chunks({ sequence, sessionChunks, stateChunks }: Manifest): Promise<readonly Uint8Array[]> {
    const count = sessionChunks.length + stateChunks.length;
    const chunks: Uint8Array[] = [];
    for (let number = FIRST_CHUNK; number < FIRST_CHUNK + count; number++) {
      const row = await this.#database.get("snapshots", rowKey(sequence, number));
      if (row !== undefined) chunks.push(row);
    }
    return chunks;
  }

  /**
   * Deletes all but the newest so many whole ones, and what was begun before them and never ended.
   * @param also one that stays besides; null for none
   */
  async keep(count: number, also: Sequence | null): Promise<void> {
    const whole: Sequence[] = [];
    const all = await this.#sequences();
    for (const sequence of all) {
      if ((await this.#database.get("snapshots", rowKey(sequence, HEAD))) !== undefined) whole.push(sequence);
    }
    const oldest = whole.at(-count);
    if (oldest === undefined) return;
    for (const sequence of all) if (sequence < oldest && sequence !== also) await this.#delete(sequence);
  }

  /** Deletes the rows of a snapshot that did not become whole. */
  async forgetUnfinished(sequence: Sequence): Promise<void> {
    if ((await this.#database.get("snapshots", rowKey(sequence, HEAD))) === undefined) await this.#delete(sequence);
  }

  /** With that write no later batch has a whole snapshot; what is left of them is for `forgetAfter`. */
  async eraseAfter(batch: WriteBatch, sequence: Sequence): Promise<void> {
    for (const one of await this.#sequences()) if (one > sequence) batch.delete("snapshots", rowKey(one, HEAD));
  }

  /** Deletes every snapshot, whole or not, of a later batch. */
  async forgetAfter(sequence: Sequence): Promise<void> {
    for (const one of await this.#sequences()) if (one > sequence) await this.#delete(one);
  }

  /** The head goes first: without it the rest is nothing, should a crash come in between. */
  async #delete(sequence: Sequence): Promise<void> {
    for (;;) {
      const range = { gte: rowKey(sequence, HEAD), lt: rowKey((sequence + 1) as Sequence, HEAD), limit: 1 };
      const [row] = await this.#database.scan("snapshots", range);
      if (row === undefined) return;
      const batch = new WriteBatch();
      batch.delete("snapshots", row.key);
      await this.#database.write(batch.finish());
    }
  }

  /** Those of which there is any row, ascending. */
  async #sequences(): Promise<readonly Sequence[]> {
    const found: Sequence[] = [];
    for (let gte = rowKey(0 as Sequence, HEAD); found.length < PAGE_ROWS; ) {
      const [row] = await this.#database.scan("snapshots", { gte, limit: 1 });
      if (row === undefined) break;
      const sequence = keyNumber(row.key) as Sequence;
      found.push(sequence);
      gte = rowKey((sequence + 1) as Sequence, HEAD);
    }
    return found;
  }
}

function open(row: Uint8Array): StoredSnapshot | null {
  try {
    const { execution, membership, manifest } = decode(rowCodec, row);
    return {
      execution: decode(executionStateCodec, execution),
      membership: decode(membershipStateCodec, membership),
      manifest: decode(manifestCodec, manifest),
    };
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

function rowKey(sequence: Sequence, number: number): Uint8Array {
  const key = new Uint8Array(12);
  key.set(numberKey(sequence));
  new DataView(key.buffer).setUint32(8, number);
  return key;
}
