import type { Codec } from "../codec/codec.ts";
import { mapped, struct, vec } from "../codec/composites.ts";
import { hash, u64 } from "../codec/primitives.ts";
import { batchCodec } from "../dag/batch.ts";
import { epochCodec } from "../membership/evidence.ts";
import type { Sequence, View } from "../membership/ids.ts";
import type { Proof } from "../membership/seal.ts";
import { withSealTable } from "../membership/seal-table.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";
import type { CheckpointCertificate, CommitCertificate, CommittedSlot } from "./engine.ts";

/** What every ordered engine leaves in the log: the same bytes, whichever of them it was. */

/** Distinct signatures inside one message: bounded by the frame long before. */
export const SEALS_MAX = 65_536;

export const viewCodec: Codec<View> = mapped(
  u64,
  (value) => value as View,
  (value) => value,
);
export const sequenceCodec: Codec<Sequence> = mapped(
  u64,
  (value) => value as Sequence,
  (value) => value,
);

export function checkpointBody(proof: Codec<Proof>): Codec<CheckpointCertificate> {
  return struct<CheckpointCertificate>({
    epoch: epochCodec,
    sequence: sequenceCodec,
    stateDigest: hash,
    proofs: vec(proof, VALIDATORS_MAX),
  });
}

export const checkpointCertificateCodec: Codec<CheckpointCertificate> = withSealTable(checkpointBody, SEALS_MAX);

export const committedSlotCodec: Codec<CommittedSlot> = withSealTable(
  (proof) =>
    struct<CommittedSlot>({
      sequence: sequenceCodec,
      batch: batchCodec,
      certificate: struct<CommitCertificate>({
        epoch: epochCodec,
        view: viewCodec,
        digest: hash,
        proofs: vec(proof, VALIDATORS_MAX),
      }),
    }),
  SEALS_MAX,
);
