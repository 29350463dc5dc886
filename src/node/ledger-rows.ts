import type { Codec } from "../codec/codec.ts";
import { mapped, struct, union, variant } from "../codec/composites.ts";
import { bool, hash, u32, u64 } from "../codec/primitives.ts";
import { sequenceCodec } from "../consensus/log-codec.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, Position, Sequence, ValidatorIndex } from "../membership/ids.ts";
import { epochCodec } from "../membership/evidence.ts";
import { validatorIndexCodec } from "../membership/seal.ts";
import type { Silence } from "./start-gate.ts";

/** The first place of the log that is on this disk, and the first vertex of it. */
export interface LogStart {
  readonly sequence: Sequence;
  readonly position: Position;
}

export const LOG_BEGINNING: LogStart = { sequence: 1 as Sequence, position: 1 as Position };

/** Where a bundle lies in `vertices`. */
export interface BundleLocation {
  readonly kind: "bundle";
  readonly creator: ValidatorIndex;
  readonly firstNonce: Nonce;
}

/** What `metadata` says of a finalized vertex; its content is in its bundle. */
export interface VertexMetadata {
  readonly kind: "vertex";
  readonly creator: ValidatorIndex;
  readonly firstNonce: Nonce;
  readonly bundle: Hash;
  readonly index: number;
  readonly position: Position;
  readonly height: number;
}

/** Where a bundle of a leaderless network lies in `dag`. */
export interface DagBundleLocation {
  readonly kind: "dag-bundle";
  readonly creator: ValidatorIndex;
  readonly firstNonce: Nonce;
}

/** Of which bundle of a leaderless network a vertex is the last one; others name it as their parent by that. */
export interface DagTip {
  readonly kind: "dag-tip";
  readonly creator: ValidatorIndex;
  readonly firstNonce: Nonce;
  readonly bundle: Hash;
}

/** A vertex of a leaderless network that is final: accepted, or lost to another. */
export interface DagVertexMetadata {
  readonly kind: "dag-vertex";
  readonly creator: ValidatorIndex;
  readonly firstNonce: Nonce;
  readonly bundle: Hash;
  readonly index: number;
  readonly isAccepted: boolean;
  /** Its place in this node's own order of acceptance; 0 for one that lost. */
  readonly position: Position;
  readonly height: number;
  /** FR-004: what the polls came to, 0 to 1,000,000, and how many there were. */
  readonly confidencePpm: number;
  readonly polls: number;
}

export type MetadataRow = BundleLocation | VertexMetadata | DagBundleLocation | DagTip | DagVertexMetadata;

/** One bundle's place in the total order: `finalized`, under its first vertex's position. */
export interface FinalizedRun {
  readonly bundle: Hash;
  readonly creator: ValidatorIndex;
  readonly firstNonce: Nonce;
  readonly count: number;
  readonly height: number;
  /** PBFT's sequence number of the batch. */
  readonly batch: Sequence;
  /** Monotone along the order. */
  readonly timestampMs: number;
}

/** What connects a parent with the vertices of a bundle. */
export interface EdgeRow {
  readonly timestampMs: number;
  /** How many vertices of the bundle hang on the parent. */
  readonly weight: number;
}

const nonce: Codec<Nonce> = mapped(
  u64,
  (value) => value as Nonce,
  (value) => value,
);

const position: Codec<Position> = mapped(
  u64,
  (value) => value as Position,
  (value) => value,
);

/** Append only: the order gives each kind its tag. */
export const metadataCodec: Codec<MetadataRow> = union<MetadataRow>({
  bundle: variant<BundleLocation>("bundle", { creator: validatorIndexCodec, firstNonce: nonce }),
  vertex: variant<VertexMetadata>("vertex", {
    creator: validatorIndexCodec,
    firstNonce: nonce,
    bundle: hash,
    index: u32,
    position,
    height: u64,
  }),
  "dag-bundle": variant<DagBundleLocation>("dag-bundle", { creator: validatorIndexCodec, firstNonce: nonce }),
  "dag-tip": variant<DagTip>("dag-tip", { creator: validatorIndexCodec, firstNonce: nonce, bundle: hash }),
  "dag-vertex": variant<DagVertexMetadata>("dag-vertex", {
    creator: validatorIndexCodec,
    firstNonce: nonce,
    bundle: hash,
    index: u32,
    isAccepted: bool,
    position,
    height: u64,
    confidencePpm: u32,
    polls: u32,
  }),
});

export const finalizedCodec: Codec<FinalizedRun> = struct<FinalizedRun>({
  bundle: hash,
  creator: validatorIndexCodec,
  firstNonce: nonce,
  count: u32,
  height: u64,
  batch: mapped(
    u64,
    (value) => value as Sequence,
    (value) => value,
  ),
  timestampMs: u64,
});

export const edgeCodec: Codec<EdgeRow> = struct<EdgeRow>({ timestampMs: u64, weight: u32 });

/** The view is kept one higher, so that "none" is 0. */
export const silenceCodec: Codec<Silence> = struct<Silence>({
  epoch: epochCodec,
  term: epochCodec,
  stable: u64,
  nonce: u64,
  viewFloor: mapped(
    u64,
    (value) => value - 1,
    (value) => value + 1,
  ),
});

export const logStartCodec: Codec<LogStart> = struct<LogStart>({
  sequence: sequenceCodec,
  position: mapped(
    u64,
    (value) => value as Position,
    (value) => value,
  ),
});
