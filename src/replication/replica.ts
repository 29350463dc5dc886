import { encode } from "../codec/codec.ts";
import { u64 } from "../codec/primitives.ts";
import { digestOf, hashOf } from "../crypto/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
import { assert } from "../lib/assert.ts";
import { HASH_BYTES, type Hash, hashBytes } from "../lib/hash.ts";
import type { Position, Sequence } from "../membership/ids.ts";
import { type ClientId, type Command, decodeCommand } from "./command.ts";
import { cutReason, type Outcome, resultFault } from "./outcome.ts";
import { type Application, CHUNK_BYTES_MAX, CommandRejected, QueryRefused } from "./replicated.ts";
import { type Recollection, type SessionLimits, Sessions } from "./sessions.ts";
import { chunksOf, type Manifest, SNAPSHOT_FORMAT, type Snapshot, SnapshotFault } from "./snapshot.ts";

/** A client's payload that took its place in the total order. */
export interface OrderedPayload {
  readonly position: Position;
  readonly creator: NodeId;
  readonly payload: Uint8Array;
}

/** An executed batch, of which only clients' payloads concern an application. */
export interface OrderedBatch {
  readonly sequence: Sequence;
  /** As `Execution.timestampMs`. */
  readonly timestampMs: number;
  /** `ExecutionState.history` after this batch: the commands' seeds come from it. */
  readonly history: Hash;
  /** In ascending order of their positions. */
  readonly payloads: Iterable<OrderedPayload>;
}

interface Addressed {
  /** Where it came this time. */
  readonly position: Position;
  readonly client: ClientId;
  readonly number: number;
}

/** What a client is to be told of a command that came in a batch. */
export type Handled = Addressed &
  (
    | {
        readonly kind: "outcome";
        /** Its own position and batch are those where it took effect. The result is whole the first time. */
        readonly outcome: Outcome;
        /** It took effect before; nothing happened now. */
        readonly isReplay: boolean;
      }
    /** Its number is no longer remembered: it was applied long ago, or never will be. */
    | { readonly kind: "forgotten" }
  );

/**
 * The application did what none may: this node's state can no longer be trusted to be that of the others, or to be any. It
 * must not vote on it, and starts again from a snapshot with a mended application.
 */
export class ApplicationFault extends Error {
  override readonly name = "ApplicationFault";
  readonly code: "threw" | "bad-result" | "bad-hash" | "bad-chunk";
  /** The command, or the last one before; 0 before the first. */
  readonly position: Position;

  constructor(code: ApplicationFault["code"], position: Position, what: string, options?: { readonly cause: unknown }) {
    const why = options === undefined ? "" : `: ${String(options.cause)}`;
    super(`the application failed at position ${position}: ${what}${why}`, options);
    this.code = code;
    this.position = position;
  }
}

/**
 * An application with the sessions of its clients: the state that replication keeps equal at all nodes. A function of the
 * batches alone; what it says of them it says again wherever it was restored in between.
 */
export class Replica {
  readonly #application: Application;
  readonly #limits: SessionLimits;
  #sessions: Sessions;
  #sequence = 0 as Sequence;
  #position = 0 as Position;
  #fault: ApplicationFault | null = null;

  /** @param limits less than usual, for tests */
  constructor(application: Application, limits: SessionLimits = {}) {
    this.#application = application;
    this.#limits = limits;
    this.#sessions = new Sessions(limits);
  }

  /** The last batch that was applied; 0 before the first. */
  get sequence(): Sequence {
    return this.#sequence;
  }

  /** The last payload that was applied; 0 before the first. */
  get position(): Position {
    return this.#position;
  }

  /**
   * What became of the batch's commands, in order. Payloads that are no commands leave no trace.
   * @throws ApplicationFault now and from then on
   */
  applyBatch(batch: OrderedBatch): readonly Handled[] {
    this.#requireSound();
    assert(batch.sequence > this.#sequence, `batch ${batch.sequence} comes after ${this.#sequence}`);
    const handled: Handled[] = [];
    for (const ordered of batch.payloads) {
      assert(ordered.position > this.#position, `position ${ordered.position} comes after ${this.#position}`);
      const command = decodeCommand(ordered.payload);
      if (command !== null) handled.push(this.#handle(command, ordered, batch));
      this.#position = ordered.position;
    }
    this.#sequence = batch.sequence;
    return handled;
  }

  /** What is known of a client's number: for who asks after its command again. */
  recall(client: ClientId, number: number): Recollection {
    return this.#sessions.recall(client, number);
  }

  /**
   * Stands for the whole state: what checkpoints sign.
   * @throws ApplicationFault
   */
  root(): Hash {
    this.#requireSound();
    const state = this.#guarded("its stateHash", this.#position, () => this.#application.stateHash());
    if (!(state instanceof Uint8Array) || state.length !== HASH_BYTES) {
      throw this.#failed(new ApplicationFault("bad-hash", this.#position, `its stateHash is not ${HASH_BYTES} bytes`));
    }
    return hashOf("replica-root", state, this.#sessions.digest());
  }

  /**
   * The application's answer from the state as it is. An application that fails here has changed nothing.
   * @throws QueryRefused
   */
  query(question: Uint8Array): Uint8Array {
    this.#requireSound();
    try {
      return this.#application.query(question);
    } catch (cause) {
      if (cause instanceof QueryRefused) throw cause;
      throw new QueryRefused("failed", `the application cannot answer: ${String(cause)}`, { cause });
    }
  }

  /** @throws ApplicationFault also later, where the application's chunks are none */
  snapshot(): Snapshot {
    const root = this.root();
    const [sequence, position] = [this.#sequence, this.#position];
    const state = this.#guarded("its snapshot", position, () => this.#application.snapshot());
    return {
      application: this.#application.name,
      sequence,
      position,
      root,
      sessions: this.#sessions.snapshot(),
      state: { [Symbol.iterator]: () => checkedChunks(state, position) },
    };
  }

  /**
   * Replaces the state by that of a snapshot, if that has the root of its manifest. That root, sequence and position are those
   * of a certified state is for the caller to know.
   * @param chunks as the manifest lists them
   * @throws SnapshotFault the replica must then be restored again before it is used
   */
  restore(manifest: Manifest, chunks: Iterable<Uint8Array>): void {
    const { format, application, sessionChunks, stateChunks } = manifest;
    if (format !== SNAPSHOT_FORMAT) throw new SnapshotFault("format", `format ${format}, not ${SNAPSHOT_FORMAT}`);
    if (application !== this.#application.name) {
      throw new SnapshotFault("application", `a snapshot of ${application}, not of ${this.#application.name}`);
    }
    const source = chunks[Symbol.iterator]();
    this.#sessions = restoring("the sessions", () =>
      Sessions.restored(chunksOf(source, sessionChunks, "session"), this.#limits),
    );
    restoring(application, () => this.#application.restore(chunksOf(source, stateChunks, "state")));
    this.#fault = null;
    this.#sequence = manifest.sequence;
    this.#position = manifest.position;
    // A peer chose the bytes: that the application cannot hash what it made of them is no fault of its own state.
    const root = restoring(application, () => this.root());
    if (root !== manifest.root) throw new SnapshotFault("root", `the state has root ${root}, not ${manifest.root}`);
  }

  #handle(command: Command, ordered: OrderedPayload, batch: OrderedBatch): Handled {
    const { client, number } = command;
    const addressed = { position: ordered.position, client, number };
    const known = this.#sessions.recall(client, number);
    if (known.kind === "forgotten") return { ...addressed, kind: "forgotten" };
    if (known.kind === "remembered") {
      return { ...addressed, kind: "outcome", outcome: known.outcome, isReplay: true };
    }
    const outcome = this.#run(command, ordered, batch);
    this.#sessions.record(client, outcome);
    return { ...addressed, kind: "outcome", outcome, isReplay: false };
  }

  #run({ client, number, body }: Command, ordered: OrderedPayload, batch: OrderedBatch): Outcome {
    const { position, creator } = ordered;
    const { sequence, timestampMs, history } = batch;
    const seed = digestOf("command-seed", hashBytes(history), encode(u64, position, 8));
    const context = { position, sequence, timestampMs, creator, client, number, seed };
    const place = { number, position, sequence };
    try {
      const answer = this.#application.apply(body, context);
      const fault = resultFault(answer);
      if (fault !== null) throw this.#failed(new ApplicationFault("bad-result", position, fault));
      return { ...place, status: "applied", result: { kind: "bytes", bytes: answer }, reason: null };
    } catch (cause) {
      if (cause instanceof CommandRejected) {
        const result = { kind: "bytes", bytes: cause.detail } as const;
        return { ...place, status: "rejected", result, reason: cutReason(cause.message) };
      }
      if (cause instanceof ApplicationFault) throw cause;
      throw this.#failed(new ApplicationFault("threw", position, "apply threw", { cause }));
    }
  }

  #guarded<T>(what: string, position: Position, call: () => T): T {
    try {
      return call();
    } catch (cause) {
      throw this.#failed(new ApplicationFault("threw", position, `${what} threw`, { cause }));
    }
  }

  #failed(fault: ApplicationFault): ApplicationFault {
    this.#fault ??= fault;
    return fault;
  }

  #requireSound(): void {
    if (this.#fault !== null) throw this.#fault;
  }
}

function* checkedChunks(chunks: Iterable<Uint8Array>, position: Position): Generator<Uint8Array> {
  for (const chunk of chunks) {
    const isChunk = chunk instanceof Uint8Array && chunk.length <= CHUNK_BYTES_MAX;
    if (!isChunk) throw new ApplicationFault("bad-chunk", position, `a chunk is not up to ${CHUNK_BYTES_MAX} bytes`);
    yield chunk;
  }
}

function restoring<T>(what: string, restore: () => T): T {
  try {
    return restore();
  } catch (cause) {
    if (cause instanceof SnapshotFault) throw cause;
    throw new SnapshotFault("not-state", `the chunks are no state of ${what}: ${String(cause)}`, { cause });
  }
}
