import type { Codec } from "../../codec/codec.ts";
import { option, struct, union, variant, vec } from "../../codec/composites.ts";
import { hash } from "../../codec/primitives.ts";
import { batchCodec } from "../../dag/batch.ts";
import type { Proof, Signed } from "../../membership/seal.ts";
import { withSealTable } from "../../membership/seal-table.ts";
import { VALIDATORS_MAX } from "../../membership/validator-set.ts";
import { checkpointBody, SEALS_MAX, sequenceCodec, viewCodec } from "../log-codec.ts";
import { RECEIVE_WINDOW } from "./limits.ts";
import type {
  Checkpoint,
  Commit,
  NewView,
  PbftMessage,
  Prepare,
  PreparedCertificate,
  PrePrepare,
  ViewChange,
} from "./messages.ts";

function preparedBody(proof: Codec<Proof>): Codec<PreparedCertificate> {
  return struct<PreparedCertificate>({
    view: viewCodec,
    sequence: sequenceCodec,
    digest: hash,
    prePrepare: proof,
    prepares: vec(proof, VALIDATORS_MAX),
  });
}

function viewChangeBody(proof: Codec<Proof>): Codec<ViewChange> {
  return variant<ViewChange>("view-change", {
    view: viewCodec,
    stable: option(checkpointBody(proof)),
    prepared: vec(preparedBody(proof), RECEIVE_WINDOW),
  });
}

function newViewBody(proof: Codec<Proof>): Codec<NewView> {
  return variant<NewView>("new-view", {
    view: viewCodec,
    viewChanges: vec(struct<Signed<ViewChange>>({ message: viewChangeBody(proof), proof }), VALIDATORS_MAX),
  });
}

export const viewChangeCodec: Codec<ViewChange> = withSealTable(viewChangeBody, SEALS_MAX);

export const messageCodec: Codec<PbftMessage> = union<PbftMessage>({
  "pre-prepare": variant<PrePrepare>("pre-prepare", {
    view: viewCodec,
    sequence: sequenceCodec,
    digest: hash,
    batch: option(batchCodec),
  }),
  prepare: variant<Prepare>("prepare", { view: viewCodec, sequence: sequenceCodec, digest: hash }),
  commit: variant<Commit>("commit", { view: viewCodec, sequence: sequenceCodec, digest: hash }),
  checkpoint: variant<Checkpoint>("checkpoint", { sequence: sequenceCodec, stateDigest: hash }),
  "view-change": viewChangeCodec,
  "new-view": withSealTable(newViewBody, SEALS_MAX),
});

export const preparedCertificateCodec: Codec<PreparedCertificate> = withSealTable(preparedBody, SEALS_MAX);

export const signedNewViewCodec: Codec<Signed<NewView>> = withSealTable(
  (proof) => struct<Signed<NewView>>({ message: newViewBody(proof), proof }),
  SEALS_MAX,
);
