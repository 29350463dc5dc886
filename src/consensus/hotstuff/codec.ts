import type { Codec } from "../../codec/codec.ts";
import { option, struct, union, variant, vec } from "../../codec/composites.ts";
import { hash, u8 } from "../../codec/primitives.ts";
import { batchCodec } from "../../dag/batch.ts";
import type { Proof, Signed } from "../../membership/seal.ts";
import { withSealTable } from "../../membership/seal-table.ts";
import { VALIDATORS_MAX } from "../../membership/validator-set.ts";
import { SEALS_MAX, sequenceCodec, viewCodec } from "../log-codec.ts";
import { validatorIndexCodec } from "../../membership/seal.ts";
import { COMMITS_MAX } from "./limits.ts";
import type {
  Absence,
  Ask,
  Block,
  Certificates,
  Checkpoint,
  Commit,
  HotStuffMessage,
  Proposal,
  ProvedCommit,
  Qc,
  QcRef,
  Tc,
  Timeout,
  TimeoutVote,
  Vote,
} from "./messages.ts";

export const qcRefCodec: Codec<QcRef> = struct<QcRef>({ view: viewCodec, block: hash });

const absenceCodec: Codec<Absence> = struct<Absence>({
  validator: validatorIndexCodec,
  failures: u8,
  until: viewCodec,
});

const blockCodec: Codec<Block> = struct<Block>({
  view: viewCodec,
  justify: qcRefCodec,
  sequence: sequenceCodec,
  digest: hash,
  absences: vec(absenceCodec, VALIDATORS_MAX),
});

function qcBody(proof: Codec<Proof>): Codec<Qc> {
  const proofs = vec(proof, VALIDATORS_MAX);
  const commit = struct<ProvedCommit>({ sequence: sequenceCodec, digest: hash, proofs });
  return struct<Qc>({ view: viewCodec, block: hash, votes: proofs, commits: vec(commit, COMMITS_MAX) });
}

function tcBody(proof: Codec<Proof>): Codec<Tc> {
  const timeout = struct<TimeoutVote>({ high: qcRefCodec, proof });
  return struct<Tc>({ view: viewCodec, timeouts: vec(timeout, VALIDATORS_MAX) });
}

function proposalBody(proof: Codec<Proof>): Codec<Proposal> {
  return variant<Proposal>("proposal", {
    block: blockCodec,
    batch: batchCodec,
    qc: option(qcBody(proof)),
    tc: option(tcBody(proof)),
  });
}

function certificatesBody(proof: Codec<Proof>): Codec<Certificates> {
  return variant<Certificates>("certificates", { qc: option(qcBody(proof)), tc: option(tcBody(proof)) });
}

/** First bytes 0 to 6, in this order. */
export const messageCodec: Codec<HotStuffMessage> = union<HotStuffMessage>({
  proposal: withSealTable(proposalBody, SEALS_MAX),
  vote: variant<Vote>("vote", { view: viewCodec, block: hash }),
  commit: variant<Commit>("commit", { view: viewCodec, sequence: sequenceCodec, digest: hash }),
  timeout: variant<Timeout>("timeout", { view: viewCodec, high: qcRefCodec }),
  checkpoint: variant<Checkpoint>("checkpoint", { sequence: sequenceCodec, stateDigest: hash }),
  ask: variant<Ask>("ask", { block: hash, above: viewCodec }),
  certificates: withSealTable(certificatesBody, SEALS_MAX),
});

export const signedProposalCodec: Codec<Signed<Proposal>> = withSealTable(
  (proof) => struct<Signed<Proposal>>({ message: proposalBody(proof), proof }),
  SEALS_MAX,
);

export const tcCodec: Codec<Tc> = withSealTable(tcBody, SEALS_MAX);

export const qcCodec: Codec<Qc> = withSealTable(qcBody, SEALS_MAX);
