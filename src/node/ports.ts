import type { NodeId } from "../crypto/identity.ts";
import type { HybridSignature } from "../crypto/signature.ts";

/**
 * What the node's loop needs from the world. The adapters (`network/`, `storage/`, `crypto/`) implement these for
 * production; a simulator implements them over virtual time. Nothing here names QUIC, RocksDB or a thread.
 */

/** Consensus has a lane of its own, so that a flood of bodies can never starve votes. */
export type Lane = "consensus" | "dissemination";

export type PeerRole = "validator" | "observer";

export interface PeerInfo {
  readonly nodeId: NodeId;
  readonly role: PeerRole;
  /** `host:port` of the peer's QUIC socket as seen from here. */
  readonly address: string;
  readonly direction: "inbound" | "outbound";
  readonly connectedSinceMs: number;
  /** Smoothed round trip; null until measured. */
  readonly roundTripMs: number | null;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Bytes accepted for sending and not yet handed to the socket. */
  readonly queuedBytes: number;
}

/** What became of one frame: on its way, or dropped (the peer is away, or its queue on that lane is full). */
export type SendOutcome = "queued" | "not-connected" | "queue-full";

/** Authenticated connections to the other nodes. Frames of one lane from one peer arrive in order or not at all. */
export interface Transport {
  /** Binds the socket, begins to dial. Resolves when the socket listens. */
  start(handler: TransportHandler): Promise<void>;
  /** Queues one frame (at most `FRAME_BYTES_MAX`); never blocks, never throws for a peer's state. */
  send(peer: NodeId, lane: Lane, frame: Uint8Array): SendOutcome;
  /**
   * One question, one answer, on a stream of its own.
   * @throws TransportError when the peer is away, does not answer in time, or answers with an error
   */
  request(peer: NodeId, body: Uint8Array, options: { readonly timeoutMs: number }): Promise<Uint8Array>;
  /** The authenticated peers, in ascending order of node id. */
  peers(): readonly PeerInfo[];
  /** Ends the connection to a peer, where there is one; the reason goes to the log. Whether it may come back is another question. */
  disconnect(peer: NodeId, reason: string): void;
  close(): Promise<void>;
}

export interface TransportHandler {
  onPeerConnected(peer: PeerInfo): void;
  onPeerDisconnected(peer: NodeId, reason: string): void;
  /** The transport reads no further frame of this peer and lane until the promise resolves: that is backpressure. */
  onFrame(peer: NodeId, lane: Lane, frame: Uint8Array): Promise<void> | void;
  /** The answer to a peer's question. A rejection closes the stream with an error; the connection stays. */
  onRequest(peer: NodeId, body: Uint8Array): Promise<Uint8Array>;
}

/**
 * The column families. The order is the wire order of `WriteBatch`; append only. Those behind `consensus` are a leaderless
 * network's: bundles, how far each is decided, those of which something is open, the local order, conflict sets won. The last
 * has snapshots of the replicated application.
 */
export const COLUMNS = [
  "vertices",
  "edges",
  "metadata",
  "index_height",
  "index_timestamp",
  "finalized",
  "log",
  "consensus",
  "dag",
  "dag_status",
  "dag_open",
  "accepted",
  "spent",
  "snapshots",
] as const;

export type Column = (typeof COLUMNS)[number];

/** Ordered keys and values by column, with atomic durable batches. */
export interface Database {
  /**
   * Applies a batch atomically and resolves when it is on disk (fsync). Batches are applied in the order of the calls;
   * several that wait share one fsync. Rejects with StorageError; after a rejection every later write rejects too, until
   * the database is reopened. Takes the batch's buffer over: the caller must not touch it again.
   */
  write(batch: WriteBatchBytes): Promise<void>;
  get(column: Column, key: Uint8Array): Promise<Uint8Array | undefined>;
  getMany(column: Column, keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]>;
  /** Rows with `gte <= key < lt`, ascending unless `reverse`, at most `limit`. */
  scan(column: Column, range: ScanRange): Promise<readonly Row[]>;
  close(): Promise<void>;
}

export interface ScanRange {
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly reverse?: boolean;
  readonly limit: number;
}

export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A finished `WriteBatch` (see `write-batch.ts`): packed operations, ready to cross to a worker without a copy. */
export interface WriteBatchBytes {
  readonly bytes: Uint8Array;
  readonly count: number;
}

export interface Clock {
  /** Wall clock in milliseconds since 1970; for timestamps only, never for safety. */
  nowMs(): number;
  /** Milliseconds that never go back; for timers and latencies. */
  monotonicMs(): number;
  /** Calls back once at or after `atMs` of `monotonicMs`; the answer cancels it. */
  setTimer(atMs: number, callback: () => void): () => void;
  /** Calls back once after the events that wait now were handled. */
  defer(callback: () => void): void;
}

/** Signs with this node's private keys. */
export interface Signer {
  sign(message: Uint8Array): Promise<HybridSignature>;
}

export interface Verifier {
  /** Whether `signer`'s keys made this signature over these bytes. False for an unknown signer; never throws. */
  verify(signer: NodeId, message: Uint8Array, signature: HybridSignature): Promise<boolean>;
}

/** Unpredictable bytes in production, seeded ones in a simulation. */
export interface Entropy {
  bytes(count: number): Uint8Array;
}
