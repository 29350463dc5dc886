import { type Codec, decode, encode } from "../codec/codec.ts";
import { union } from "../codec/composites.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch } from "../membership/ids.ts";
import { type AcceptedProof, acceptedProofCodec, verifyAccepted } from "./accepted-proof.ts";
import type { SignatureCheck } from "./certified.ts";
import { LightError } from "./light-error.ts";
import { type OrderedProof, orderedProofCodec, verifyOrdered } from "./ordered-proof.ts";
import type { Trusted } from "./trusted.ts";
import type { FinalityVerdict } from "./verdict.ts";

/** That a vertex is final: at its place in the log, or, where nobody orders it, by a quorum's word that it is accepted. */
export type FinalityProof = OrderedProof | AcceptedProof;

export const finalityProofCodec: Codec<FinalityProof> = union<FinalityProof>({
  ordered: orderedProofCodec,
  accepted: acceptedProofCodec,
});

export function encodeProof(proof: FinalityProof): Uint8Array {
  const links = proof.kind === "ordered" ? proof.links.length : 0;
  const signatures = proof.kind === "ordered" ? proof.certificate.proofs.length : proof.proofs.length;
  return encode(finalityProofCodec, proof, proof.vertex.payload.length + 64 * links + 5_000 * signatures);
}

/** @throws LightError `malformed` */
export function decodeProof(bytes: Uint8Array): FinalityProof {
  try {
    return decode(finalityProofCodec, bytes);
  } catch (cause) {
    throw new LightError("malformed", `this is no proof of finality: ${String(cause)}`, { cause });
  }
}

/** The epoch whose validators signed. */
export function epochOf(proof: FinalityProof): Epoch {
  return proof.kind === "ordered" ? proof.certificate.epoch : proof.epoch;
}

/**
 * Proves that the vertex of this hash is final, by the trusted validators alone.
 * @throws LightError where it is not proved, whatever the reason
 */
export function verifyProof(
  trusted: Trusted,
  wanted: Hash,
  proof: FinalityProof,
  check: SignatureCheck,
): FinalityVerdict {
  return proof.kind === "ordered"
    ? verifyOrdered(trusted, wanted, proof, check)
    : verifyAccepted(trusted, wanted, proof, check);
}
