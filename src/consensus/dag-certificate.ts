import type { Codec } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { bool, u16 } from "../codec/primitives.ts";
import { BUNDLE_VERTICES_MAX } from "../dag/limits.ts";
import { signedVotesCodec } from "../dag/votes.ts";
import { epochCodec } from "../membership/evidence.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";
import type { DagCertificate } from "./dag-engine.ts";

/** Epochs whose certificates of one bundle are told: of what stays open for longer, the newest. */
export const CERTIFICATES_MAX = 16;

/** A validator's votes for one bundle may have come in a few messages. */
export const VOTES_OF_SIGNER_MAX = 2;
const VOTES_MAX: number = VOTES_OF_SIGNER_MAX * VALIDATORS_MAX;

export const dagCertificateCodec: Codec<DagCertificate> = struct<DagCertificate>({
  epoch: epochCodec,
  place: bool,
  vertices: vec(u16, BUNDLE_VERTICES_MAX),
  votes: vec(signedVotesCodec, VOTES_MAX),
});
