import { equalBytes } from "../../lib/bytes.ts";
import type { CheckpointCertificate } from "../engine.ts";
import type { Proof, Seal, Signed } from "../../membership/seal.ts";
import type { PreparedCertificate, ViewChange } from "./messages.ts";

/**
 * The same view changes with equal seals as one object, which the wire writes once. The view changes of a quorum show
 * mostly the same votes, but came in different messages: without this a new-view message grows with n times q instead of
 * n, and with ten validators and a full window no longer fits into a frame.
 */
export function withSharedSeals(viewChanges: readonly Signed<ViewChange>[]): readonly Signed<ViewChange>[] {
  const pool = new Map<string, Seal[]>();
  const share = (proof: Proof): Proof => ({ ...proof, seal: sharedSeal(pool, proof.seal) });
  return viewChanges.map(({ message, proof }) => ({
    message: {
      ...message,
      stable: message.stable === null ? null : withProofs(message.stable, share),
      prepared: message.prepared.map((certificate) => preparedWith(certificate, share)),
    },
    proof: share(proof),
  }));
}

function withProofs(certificate: CheckpointCertificate, share: (proof: Proof) => Proof): CheckpointCertificate {
  return { ...certificate, proofs: certificate.proofs.map(share) };
}

function preparedWith(certificate: PreparedCertificate, share: (proof: Proof) => Proof): PreparedCertificate {
  const { prePrepare, prepares } = certificate;
  return { ...certificate, prePrepare: share(prePrepare), prepares: prepares.map(share) };
}

/** Equal to the last byte: a forged signature must never take the place of the right one. */
function sharedSeal(pool: Map<string, Seal[]>, seal: Seal): Seal {
  const key = `${seal.signer}/${seal.leafCount}/${seal.signature.mlDsa.subarray(0, 16).toHex()}`;
  const alike = pool.get(key) ?? [];
  const known = alike.find((other) => other === seal || hasEqualSignature(other, seal));
  if (known !== undefined) return known;
  pool.set(key, [...alike, seal]);
  return seal;
}

function hasEqualSignature({ signature: left }: Seal, { signature: right }: Seal): boolean {
  if (!equalBytes(left.mlDsa, right.mlDsa)) return false;
  if (left.ed25519 === null || right.ed25519 === null) return left.ed25519 === right.ed25519;
  return equalBytes(left.ed25519, right.ed25519);
}
