import type { Hash } from "../lib/hash.ts";
import type { Sequence } from "../membership/ids.ts";
import type { CheckpointCertificate } from "./engine.ts";

/** A checkpoint after so many places (Castro & Liskov 1999, §4.3); the same on all replicas of a network, whatever its engine. */
export const CHECKPOINT_INTERVAL = 32;

/**
 * A quorum certified another state than the one to which this replica's execution came. It must say nothing more: its state is
 * rolled back to one that a quorum certified, and it executes anew from there (`node/transfer/roll-back.ts`).
 */
export class StateDivergence extends Error {
  override readonly name = "StateDivergence";
  readonly sequence: Sequence;
  /** Digests of the execution state after `sequence`. */
  readonly own: Hash;
  readonly certified: Hash;

  constructor({ sequence, stateDigest }: Pick<CheckpointCertificate, "sequence" | "stateDigest">, own: Hash) {
    super(
      `this replica's state at sequence ${sequence} is ${own}, a quorum's is ${stateDigest}: its execution diverged`,
    );
    this.sequence = sequence;
    this.own = own;
    this.certified = stateDigest;
  }
}
