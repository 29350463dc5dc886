import type { Codec } from "../codec/codec.ts";
import { mapped, struct, variant, vec } from "../codec/composites.ts";
import { bytes, hash, u64 } from "../codec/primitives.ts";
import type { NodeId } from "../crypto/identity.ts";
import { openEnvelope } from "../dag/conflict-keys.ts";
import { PARENTS_MAX, PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import { vertexHeader, vertexIdWith } from "../dag/vertex.ts";
import type { Hash } from "../lib/hash.ts";
import { nodeIdCodec } from "../membership/candidate.ts";
import { epochCodec } from "../membership/evidence.ts";
import type { Epoch, Nonce } from "../membership/ids.ts";
import { type Proof, proofCodec } from "../membership/seal.ts";
import type { Statement } from "../membership/statement.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";
import { checkSignatures, quorumIn, type SignatureCheck } from "./certified.ts";
import { LightError } from "./light-error.ts";
import type { Trusted } from "./trusted.ts";
import type { AcceptedVerdict } from "./verdict.ts";

/** All that the id of a leaderless network's vertex is a hash of, beside the genesis. */
export interface AcceptedVertex {
  readonly creator: NodeId;
  readonly nonce: Nonce;
  readonly timestampMs: number;
  /** The lane's last vertex before its bundle, and one of another creator. */
  readonly parents: readonly Hash[];
  /** `contentOf` the payloads of its bundle. */
  readonly content: Hash;
  /** With its envelope of conflict keys. */
  readonly payload: Uint8Array;
}

/**
 * That a vertex of a leaderless network is accepted: validators of one epoch say each that it is, on its own disk. At most f of
 * them lie, and what one correct validator accepted is final (docs/decisions/0009-proofs-of-acceptance.md).
 */
export interface AcceptedProof {
  readonly kind: "accepted";
  /** Whose words these are. */
  readonly epoch: Epoch;
  readonly vertex: AcceptedVertex;
  readonly proofs: readonly Proof[];
}

export const acceptedProofCodec: Codec<AcceptedProof> = variant<AcceptedProof>("accepted", {
  epoch: epochCodec,
  vertex: struct<AcceptedVertex>({
    creator: nodeIdCodec,
    nonce: mapped(
      u64,
      (value) => value as Nonce,
      (value) => value,
    ),
    timestampMs: u64,
    parents: vec(hash, PARENTS_MAX),
    content: hash,
    payload: bytes(PAYLOAD_BYTES_MAX),
  }),
  proofs: vec(proofCodec, VALIDATORS_MAX),
});

/** "I have accepted the vertex of this id." No vote: it counts in no engine. */
export function acceptedStatement(vertex: Hash): Statement {
  return { phase: "accepted", view: 0, sequence: 0, digest: vertex };
}

/**
 * Proves that the vertex of this hash is accepted, by the trusted validators alone.
 * @throws LightError where it is not proved, whatever the reason
 */
export function verifyAccepted(
  trusted: Trusted,
  wanted: Hash,
  proof: AcceptedProof,
  check: SignatureCheck,
): AcceptedVerdict {
  const { epoch, vertex, proofs } = proof;
  const { parents, creator, nonce, payload } = vertex;
  if (parents.length !== PARENTS_MAX) {
    throw new LightError(
      "malformed",
      `a leaderless network's vertex names ${PARENTS_MAX} parents, not ${parents.length}`,
    );
  }
  const network = quorumIn(trusted, epoch, proofs);
  const id = vertexIdWith(vertexHeader(trusted.genesis, vertex, vertex.content), nonce, payload);
  if (id !== wanted) {
    throw new LightError("wrong-vertex", `the content in the proof is that of ${id} in this network, not of ${wanted}`);
  }
  const signers = checkSignatures(network, acceptedStatement(wanted), proofs, check);
  const { conflictKeys, payload: given } = openEnvelope(payload) ?? { conflictKeys: [], payload };
  const { quorum, size: validators } = network.set;
  const who = { epoch, signers, quorum, validators };
  return { kind: "accepted", hash: id, creator, nonce, purpose: "dag", payload: given, conflictKeys, ...who };
}
