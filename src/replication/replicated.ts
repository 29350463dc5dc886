import { PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import type { NodeId } from "../crypto/identity.ts";
import { assert } from "../lib/assert.ts";
import type { Position, Sequence } from "../membership/ids.ts";
import type { ClientId } from "./command.ts";

/** The largest answer to one command, in bytes: as much as a command may bring. */
export const RESULT_BYTES_MAX: number = PAYLOAD_BYTES_MAX;

/** The longest reason of a refusal, in UTF-16 units; a longer one is cut. It is remembered for every rejected command. */
export const REASON_CHARS_MAX = 200;

/** The largest piece of a snapshot, in bytes: it is fetched, checked and written whole. */
export const CHUNK_BYTES_MAX: number = 1024 * 1024;

/** All that a command may depend on beside the state: equal at every replica. */
export interface CommandContext {
  /** The command's place in the total order, from 1. */
  readonly position: Position;
  /** Its batch. */
  readonly sequence: Sequence;
  /** The batch's agreed time in Unix milliseconds, monotone: the only clock there is. */
  readonly timestampMs: number;
  /** The validator in whose lane it came. */
  readonly creator: NodeId;
  readonly client: ClientId;
  /** The client's number of it, from 1. */
  readonly number: number;
  /** 32 bytes that differ from command to command. The leader knows them beforehand, so they are no secret and no lottery. */
  readonly seed: Uint8Array;
}

/**
 * A state machine that all replicas drive with the same commands in the same order, so that all have the same state. It must
 * depend on nothing but its commands and their contexts: no clock, no randomness, no files, no iteration in an order that
 * is not a function of the state.
 */
export interface Application {
  /** As the genesis names it; up to 64 bytes of UTF-8. */
  readonly name: string;
  /**
   * Synchronous and deterministic. The bytes of `command` are the host's: what is kept of them is copied.
   * @returns the answer to the submitter, at most RESULT_BYTES_MAX
   * @throws CommandRejected a deterministic refusal that leaves the state as it was. Anything else stops the replica.
   */
  apply(command: Uint8Array, context: CommandContext): Uint8Array;
  /**
   * Reads only.
   * @throws QueryRefused
   */
  query(question: Uint8Array): Uint8Array;
  /**
   * The state as of this call, in chunks of CHUNK_BYTES_MAX at most. It is iterated later, while commands go on. Equal states
   * give equal chunks.
   */
  snapshot(): Iterable<Uint8Array>;
  /** Replaces the state; throws where the chunks are no state, and is restored again or dropped after that. */
  restore(chunks: Iterable<Uint8Array>): void;
  /** 32 bytes, the hash of the whole state. Called once a batch: it must not cost as much as the state is large. */
  stateHash(): Uint8Array;
}

/** Thrown by an application that refuses a command. Every replica refuses it in the same words; the client is told them. */
export class CommandRejected extends Error {
  override readonly name = "CommandRejected";
  /** What a program may want to know of the refusal, as the application encodes it. */
  readonly detail: Uint8Array;

  /** @param detail at most RESULT_BYTES_MAX */
  constructor(reason: string, detail: Uint8Array = new Uint8Array(0)) {
    super(reason);
    assert(detail.length <= RESULT_BYTES_MAX, `a refusal's detail of ${detail.length} bytes`);
    this.detail = detail;
  }
}

/** A question that has no answer, in words for who asked. */
export class QueryRefused extends Error {
  override readonly name = "QueryRefused";
  readonly code: "malformed" | "failed";

  constructor(code: QueryRefused["code"], message: string, options?: { readonly cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}
