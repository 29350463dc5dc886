import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "./ids.ts";
import type { Proof } from "./seal.ts";
import { type Statement, statementDigest } from "./statement.ts";
import type { NetworkContext, ValidatorSet } from "./validator-set.ts";

/** One signature check that must pass before a message may be believed. */
export interface Obligation {
  readonly leaf: Hash;
  readonly proof: Proof;
}

/** That distinct validators of the epoch made one and the same statement. */
export interface Certificate {
  readonly statement: Statement;
  readonly proofs: readonly Proof[];
}

/**
 * Whether the proofs are of at least `count` distinct validators of the set: a quorum counts validators, never messages.
 * Says nothing about the signatures: `obligationsOf` does.
 */
export function hasDistinctSigners(set: ValidatorSet, proofs: readonly Proof[], count: number): boolean {
  const signers = new Set<ValidatorIndex>();
  for (const { seal } of proofs) {
    if (!set.has(seal.signer)) return false;
    signers.add(seal.signer);
  }
  return signers.size === proofs.length && signers.size >= count;
}

/** The signature checks that a certificate rests on. */
export function obligationsOf(network: NetworkContext, certificate: Certificate): readonly Obligation[] {
  const leaf = statementDigest(network, certificate.statement);
  return certificate.proofs.map((proof) => ({ leaf, proof }));
}
