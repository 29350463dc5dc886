import { hashOf } from "../../src/crypto/hash.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import { merkleRoot } from "../../src/crypto/merkle.ts";
import { ML_DSA_87_PUBLIC_KEY_BYTES, ML_DSA_87_SIGNATURE_BYTES } from "../../src/crypto/signature.ts";
import { type Hash, hashBytes } from "../../src/lib/hash.ts";
import type { Obligation } from "../../src/membership/certificate.ts";
import type { Epoch, ValidatorIndex } from "../../src/membership/ids.ts";
import { type Proof, proofOf, proofRoot, type Seal, sealedBytes } from "../../src/membership/seal.ts";
import { genesisMembership, type MembershipState } from "../../src/membership/membership-state.ts";
import { type NetworkContext, ValidatorSet } from "../../src/membership/validator-set.ts";

const PADDING = new Uint8Array(ML_DSA_87_SIGNATURE_BYTES - 32);

/** A network of n validators without real keys. */
export function networkOf(
  count: number,
  options: { readonly name?: string; readonly epoch?: number } = {},
): NetworkContext {
  const { name = "test", epoch = 0 } = options;
  const publicKeys = { mlDsa: new Uint8Array(ML_DSA_87_PUBLIC_KEY_BYTES), ed25519: null };
  const validators = Array.from({ length: count }, (_, place) => ({
    nodeId: hashOf("node-id", new Uint8Array([place])) as NodeId,
    publicKeys,
    name: `validator-${place}`,
  }));
  return {
    genesis: hashOf("genesis", new TextEncoder().encode(name)),
    set: new ValidatorSet(epoch as Epoch, validators),
  };
}

/** The membership that a network of these validators begins with. */
export function membershipOf({ genesis, set }: NetworkContext): MembershipState {
  const policy = { min: 1, max: set.roster.length };
  return genesisMembership(
    { genesis, set },
    policy,
    set.roster.map(() => "127.0.0.1:1"),
  );
}

/**
 * The repeatable stand-in for signatures: a hash under a key that only the signer uses here. Verification is never off: a
 * forged or replayed statement fails as it would with real keys.
 */
function standIn(network: NetworkContext, signer: ValidatorIndex, leafCount: number, root: Hash): Uint8Array {
  const key = new Uint8Array([0x5e, signer & 0xff, signer >> 8]);
  return hashBytes(hashOf("record", key, sealedBytes(network, signer, leafCount, root)));
}

/** One seal over all leaves, and the proof of each. */
export function prove(network: NetworkContext, signer: ValidatorIndex, leaves: readonly Hash[]): readonly Proof[] {
  const mlDsa = new Uint8Array(ML_DSA_87_SIGNATURE_BYTES);
  mlDsa.set(standIn(network, signer, leaves.length, merkleRoot(leaves)));
  const seal: Seal = { signer, leafCount: leaves.length, signature: { mlDsa, ed25519: null } };
  return leaves.map((_, index) => proofOf(seal, leaves, index));
}

export function holds(network: NetworkContext, { leaf, proof }: Obligation): boolean {
  const { signer, leafCount, signature } = proof.seal;
  if (!network.set.has(signer)) return false;
  const root = proofRoot(leaf, proof);
  if (root === null) return false;
  const expected = standIn(network, signer, leafCount, root);
  if (signature.mlDsa.length !== ML_DSA_87_SIGNATURE_BYTES) return false;
  return (
    Buffer.compare(signature.mlDsa.subarray(0, expected.length), expected) === 0 &&
    Buffer.compare(signature.mlDsa.subarray(expected.length), PADDING) === 0
  );
}

export function allHold(network: NetworkContext, obligations: readonly Obligation[]): boolean {
  return obligations.every((obligation) => holds(network, obligation));
}
