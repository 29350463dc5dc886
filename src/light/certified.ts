import type { PublicKeys } from "../crypto/identity.ts";
import type { HybridSignature } from "../crypto/signature.ts";
import { hasDistinctSigners } from "../membership/certificate.ts";
import type { Epoch } from "../membership/ids.ts";
import { type Proof, proofRoot, sealedBytes } from "../membership/seal.ts";
import { type Statement, statementDigest } from "../membership/statement.ts";
import type { NetworkContext, Validator } from "../membership/validator-set.ts";
import type { ExecutionState } from "../replication/executor.ts";
import { LightError } from "./light-error.ts";
import { type StateCertificate, stateOf, statementAbout } from "./state-certificate.ts";
import { networkOf, type Trusted } from "./trusted.ts";

/** Whether these keys made this signature over these bytes: both halves where the keys are hybrid. Never throws. */
export type SignatureCheck = (keys: PublicKeys, message: Uint8Array, signature: HybridSignature) => boolean;

export interface CertifiedState {
  readonly state: ExecutionState;
  readonly network: NetworkContext;
  /** Who signed, ascending by index. */
  readonly signers: readonly Validator[];
}

/**
 * The state that a quorum of the trusted validators, or of those of an epoch before them, certifies. At most f of them lie, so a correct one has executed up to
 * it, and every correct node has, or will have, that state there.
 * @throws LightError
 */
export function checkCertificate(
  trusted: Trusted,
  certificate: StateCertificate,
  check: SignatureCheck,
): CertifiedState {
  const { epoch, phase, proofs } = certificate;
  const network = quorumIn(trusted, epoch, proofs);
  const state = decodedState(certificate);
  return { state, network, signers: checkSignatures(network, statementAbout(phase, state), proofs, check) };
}

/**
 * The trusted validators of this epoch, where these proofs are of a quorum of them. Says nothing about the signatures.
 * @throws LightError `wrong-epoch`, `no-quorum`
 */
export function quorumIn(trusted: Trusted, epoch: Epoch, proofs: readonly Proof[]): NetworkContext {
  const network = networkOf(trusted, epoch);
  if (network === null) {
    const what = `signed by the validators of epoch ${epoch}, and known are those of epoch ${trusted.membership.epoch}`;
    throw new LightError("wrong-epoch", what);
  }
  const { set } = network;
  if (hasDistinctSigners(set, proofs, set.quorum)) return network;
  const what = `${proofs.length} signatures, which are not of ${set.quorum} distinct validators of epoch ${epoch}`;
  throw new LightError("no-quorum", what);
}

/**
 * Who made these proofs, ascending by index, where each of them says this in this network.
 * @throws LightError `bad-signature`
 */
export function checkSignatures(
  network: NetworkContext,
  statement: Statement,
  proofs: readonly Proof[],
  check: SignatureCheck,
): readonly Validator[] {
  const leaf = statementDigest(network, statement);
  for (const proof of proofs) {
    const root = proofRoot(leaf, proof);
    if (root === null || !isSigned(network, proof, root, check)) {
      const { nodeId } = network.set.at(proof.seal.signer);
      throw new LightError("bad-signature", `validator ${nodeId} did not sign this in this network`);
    }
  }
  const signers = proofs.map(({ seal }) => seal.signer).sort((left, right) => left - right);
  return signers.map((signer) => network.set.at(signer));
}

function isSigned(
  network: NetworkContext,
  proof: Proof,
  root: Parameters<typeof sealedBytes>[3],
  check: SignatureCheck,
): boolean {
  const { signer, leafCount, signature } = proof.seal;
  return check(network.set.at(signer).publicKeys, sealedBytes(network, signer, leafCount, root), signature);
}

function decodedState(certificate: StateCertificate): ExecutionState {
  try {
    return stateOf(certificate);
  } catch (cause) {
    throw new LightError("malformed", `the certified bytes are no state: ${String(cause)}`, { cause });
  }
}
