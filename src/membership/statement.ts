import { hashOf } from "../crypto/hash.ts";
import { present } from "../lib/assert.ts";
import { type Hash, hashBytes } from "../lib/hash.ts";
import { Writer } from "../codec/writer.ts";
import type { Epoch } from "./ids.ts";

/** What can be said. The order gives each phase its byte in the digest; append only. */
const PHASES = [
  "bundle",
  "pre-prepare",
  "prepare",
  "commit",
  "checkpoint",
  "view-change",
  "new-view",
  "vertex",
  "query",
  "answer",
  "votes",
  "propose",
  "vote",
  "timeout",
  "block-sync",
  "executed",
  "accepted",
] as const;

export type Phase = (typeof PHASES)[number];

const PHASE_BYTES = new Map<Phase, number>(PHASES.map((phase, byte) => [phase, byte]));

/**
 * What a signature says, in full. Two statements of one validator with equal phase, view and sequence but different
 * digests are equivocation. Fields that a phase does not use are 0.
 */
export interface Statement {
  readonly phase: Phase;
  readonly view: number;
  readonly sequence: number;
  readonly digest: Hash;
}

/** What a statement binds beside itself; a `NetworkContext` is one. */
export interface StatementContext {
  readonly genesis: Hash;
  readonly set: { readonly epoch: Epoch };
}

/**
 * The leaf that is signed for a statement. It binds the network and the epoch, so that no vote can be replayed as
 * another phase's, another epoch's or another network's. A bundle (phases `bundle` and `vertex`) is no vote: who made
 * it holds in every epoch, so its statement names epoch 0 always, and what waits at an epoch's end is decided in the next one. Signature bytes never enter a digest: ML-DSA signing is randomised.
 */
export function statementDigest(network: StatementContext, statement: Statement): Hash {
  const writer = new Writer(96);
  writer.hash(network.genesis);
  writer.u64(isOfEveryEpoch(statement.phase) ? 0 : network.set.epoch);
  writer.u8(present(PHASE_BYTES.get(statement.phase), "a phase's byte"));
  writer.u64(statement.view);
  writer.u64(statement.sequence);
  writer.bytes(hashBytes(statement.digest));
  return hashOf("statement", writer.finish());
}

/** Who made a bundle holds in every epoch. */
export function isOfEveryEpoch(phase: Phase): boolean {
  return phase === "bundle" || phase === "vertex";
}
