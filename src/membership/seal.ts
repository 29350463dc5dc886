import { fixedBytes, hash, u16, u32 } from "../codec/primitives.ts";
import type { Codec } from "../codec/codec.ts";
import { mapped, option, struct, vec } from "../codec/composites.ts";
import { Writer } from "../codec/writer.ts";
import { MerkleTree, merklePathLengthMax, rootFromPath } from "../crypto/merkle.ts";
import { ED25519_SIGNATURE_BYTES, type HybridSignature, ML_DSA_87_SIGNATURE_BYTES } from "../crypto/signature.ts";
import { asciiBytes } from "../lib/ascii.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "./ids.ts";
import type { NetworkContext } from "./validator-set.ts";

/** The most statements that one signature covers; bounds a frame and the length of a path. */
export const SEAL_LEAVES_MAX = 4096;

/**
 * One signature over the Merkle root of all that a validator says in one turn ("sign once for many"). Each statement
 * stays verifiable alone: its `Proof` is the seal and the path from the statement to the root.
 */
export interface Seal {
  readonly signer: ValidatorIndex;
  readonly leafCount: number;
  readonly signature: HybridSignature;
}

/** That `seal.signer` made one statement. What the statement says is known from where the proof stands. */
export interface Proof {
  readonly seal: Seal;
  readonly leafIndex: number;
  readonly path: readonly Hash[];
}

/** A message with the proof that its signer said it. */
export interface Signed<M> {
  readonly message: M;
  readonly proof: Proof;
}

const signatureCodec: Codec<HybridSignature> = struct<HybridSignature>({
  mlDsa: fixedBytes(ML_DSA_87_SIGNATURE_BYTES),
  ed25519: option(fixedBytes(ED25519_SIGNATURE_BYTES)),
});

export const validatorIndexCodec: Codec<ValidatorIndex> = mapped(
  u16,
  (index) => index as ValidatorIndex,
  (index) => index,
);

export const sealCodec: Codec<Seal> = struct<Seal>({
  signer: validatorIndexCodec,
  leafCount: u32,
  signature: signatureCodec,
});

export const pathCodec: Codec<readonly Hash[]> = vec(hash, merklePathLengthMax(SEAL_LEAVES_MAX));

export const proofCodec: Codec<Proof> = struct<Proof>({ seal: sealCodec, leafIndex: u32, path: pathCodec });

const SEAL_TAG = asciiBytes("cretoai/v1/seal\0");

/** The bytes that a seal's signature covers. The epoch is bound by each statement, see `statementDigest`. */
export function sealedBytes(
  network: NetworkContext,
  signer: ValidatorIndex,
  leafCount: number,
  root: Hash,
): Uint8Array {
  const writer = new Writer(128);
  writer.bytes(SEAL_TAG);
  writer.hash(network.genesis);
  writer.hash(network.set.at(signer).nodeId);
  writer.u32(leafCount);
  writer.hash(root);
  return writer.finish();
}

/** The root that a proof leads to from its statement's digest; null where the proof is malformed. */
export function proofRoot(leaf: Hash, proof: Proof): Hash | null {
  const { leafCount } = proof.seal;
  if (leafCount < 1 || leafCount > SEAL_LEAVES_MAX) return null;
  return rootFromPath(leaf, proof.leafIndex, leafCount, proof.path);
}

/** The proof of one of a seal's statements, from the turn's tree or the part of it that a receiver has. */
export function proofIn(seal: Seal, tree: Pick<MerkleTree, "path">, leafIndex: number): Proof {
  return { seal, leafIndex, path: tree.path(leafIndex) };
}

/** As `proofIn`, where one proof only is needed: it builds the whole tree. */
export function proofOf(seal: Seal, leaves: readonly Hash[], leafIndex: number): Proof {
  return proofIn(seal, new MerkleTree(leaves), leafIndex);
}
