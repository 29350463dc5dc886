import { decode } from "../codec/codec.ts";
import {
  type CheckpointCertificate,
  checkpointCertificateOf,
  type CommittedSlot,
  commitCertificateOf,
  type Verified,
} from "../consensus/engine.ts";
import { checkpointCertificateCodec, committedSlotCodec } from "../consensus/pbft/codec.ts";
import { batchDigest } from "../dag/batch.ts";
import { hasDistinctSigners, type Obligation, obligationsOf } from "../membership/certificate.ts";
import type { Sequence } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { SealVerification } from "./verification.ts";
import type { CommittedAnswer } from "./wire.ts";

export interface OpenedCommitted {
  readonly slots: Verified<readonly CommittedSlot[]>;
  readonly checkpoint: Verified<CheckpointCertificate> | null;
}

/**
 * Checks committed places that a peer handed over, as far as they are of the present epoch: the certificate proves them,
 * the peer is not trusted. Null where anything is wrong.
 */
export async function openCommitted(
  network: NetworkContext,
  verification: SealVerification,
  answer: CommittedAnswer,
  from: Sequence,
): Promise<OpenedCommitted | null> {
  let slots: readonly CommittedSlot[];
  let checkpoint: CheckpointCertificate | null;
  try {
    slots = answer.slots.map((bytes) => decode(committedSlotCodec, bytes));
    checkpoint = answer.checkpoint === null ? null : decode(checkpointCertificateCodec, answer.checkpoint);
  } catch {
    return null;
  }
  const { epoch } = network.set;
  // What a later epoch certified is for later: its validator set follows from the places before it.
  const next = slots.findIndex(({ certificate }) => certificate.epoch !== epoch);
  if (next >= 0) slots = slots.slice(0, next);
  if (checkpoint !== null && checkpoint.epoch !== epoch) checkpoint = null;
  const obligations: Obligation[] = [];
  for (const [index, slot] of slots.entries()) {
    const { certificate } = slot;
    if (slot.sequence !== from + index || batchDigest(slot.batch) !== certificate.digest) return null;
    if (!hasDistinctSigners(network.set, certificate.proofs, network.set.quorum)) return null;
    obligations.push(...obligationsOf(network, commitCertificateOf(slot)));
  }
  if (checkpoint !== null) {
    if (!hasDistinctSigners(network.set, checkpoint.proofs, network.set.quorum)) return null;
    obligations.push(...obligationsOf(network, checkpointCertificateOf(checkpoint)));
  }
  if (!(await verification.allHold(obligations))) return null;
  return { slots: verification.mint(slots), checkpoint: checkpoint === null ? null : verification.mint(checkpoint) };
}
