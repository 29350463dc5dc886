import { type Codec, encode } from "../codec/codec.ts";
import { mapped, struct, vec } from "../codec/composites.ts";
import { hash, string, u16, u64 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import type { Hash } from "../lib/hash.ts";
import type { Position, Sequence } from "../membership/ids.ts";

/** Another layout of the chunks gets another number. */
export const SNAPSHOT_FORMAT = 1;

/** The most chunks of each kind: 32 GiB of state, and 2 MiB of manifest. */
const CHUNKS_MAX = 32_768;

/** What a snapshot is, and how each of its chunks is recognised. */
export interface Manifest {
  readonly format: number;
  /** The application's name. */
  readonly application: string;
  /** The last batch and the last vertex that the state has seen. Nothing but the checkpoint that has the root proves them. */
  readonly sequence: Sequence;
  readonly position: Position;
  /** What `Replica.root` was, and must be again. */
  readonly root: Hash;
  /** The chunks come in this order. */
  readonly sessionChunks: readonly Hash[];
  readonly stateChunks: readonly Hash[];
}

export const manifestCodec: Codec<Manifest> = struct<Manifest>({
  format: u16,
  application: string(64),
  sequence: mapped(
    u64,
    (value) => value as Sequence,
    (value) => value,
  ),
  position: mapped(
    u64,
    (value) => value as Position,
    (value) => value,
  ),
  root: hash,
  sessionChunks: vec(hash, CHUNKS_MAX),
  stateChunks: vec(hash, CHUNKS_MAX),
});

export function encodeManifest(manifest: Manifest): Uint8Array {
  return encode(manifestCodec, manifest, 128 + 32 * (manifest.sessionChunks.length + manifest.stateChunks.length));
}

/** A replica's state at one moment, not yet written; the replica goes on meanwhile. */
export interface Snapshot extends Pick<Manifest, "application" | "sequence" | "position" | "root"> {
  readonly sessions: Iterable<Uint8Array>;
  readonly state: Iterable<Uint8Array>;
}

/** One chunk to write under its hash. */
export interface SnapshotChunk {
  readonly bytes: Uint8Array;
  readonly hash: Hash;
}

/** Every chunk, as fast as the caller takes them; what is returned at the end is to be written last. */
export function* pourSnapshot(snapshot: Snapshot): Generator<SnapshotChunk, Manifest> {
  const { application, sequence, position, root } = snapshot;
  const sessionChunks: Hash[] = [];
  const stateChunks: Hash[] = [];
  for (const [chunks, hashes] of [
    [snapshot.sessions, sessionChunks],
    [snapshot.state, stateChunks],
  ] as const) {
    for (const bytes of chunks) {
      const digest = chunkHash(bytes);
      hashes.push(digest);
      yield { bytes, hash: digest };
    }
  }
  return { format: SNAPSHOT_FORMAT, application, sequence, position, root, sessionChunks, stateChunks };
}

export type SnapshotFaultCode = "format" | "application" | "chunk-hash" | "chunk-count" | "not-state" | "root";

/** A snapshot that is none: take it from somebody else. What was restored from it so far is worth nothing. */
export class SnapshotFault extends Error {
  override readonly name = "SnapshotFault";
  readonly code: SnapshotFaultCode;

  constructor(code: SnapshotFaultCode, message: string, options?: { readonly cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The next chunks of `source`, one for each hash.
 * @throws SnapshotFault at the first that is missing or another one
 */
export function* chunksOf(source: Iterator<Uint8Array>, hashes: readonly Hash[], what: string): Generator<Uint8Array> {
  for (const [at, wanted] of hashes.entries()) {
    const next = source.next();
    const place = `${what} chunk ${at + 1} of ${hashes.length}`;
    if (next.done === true) throw new SnapshotFault("chunk-count", `the snapshot ends before ${place}`);
    const digest = chunkHash(next.value);
    if (digest !== wanted) throw new SnapshotFault("chunk-hash", `${place} has hash ${digest}, not ${wanted}`);
    yield next.value;
  }
}

/** What a manifest calls a chunk by. */
export function chunkHash(chunk: Uint8Array): Hash {
  return hashOf("snapshot-chunk", chunk);
}
