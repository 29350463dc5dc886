import type { Verified } from "../consensus/engine.ts";
import { MerkleTree } from "../crypto/merkle.ts";
import { equalBytes } from "../lib/bytes.ts";
import type { Hash } from "../lib/hash.ts";
import type { Obligation } from "../membership/certificate.ts";
import { proofRoot, type Seal, sealedBytes } from "../membership/seal.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { Verifier } from "./ports.ts";

/** Seals that were verified lately. A seal recurs: on both lanes, in every vote of its turn, in certificates. */
const VERIFIED_SEALS_MAX = 4096;

/**
 * Up to so many leaves the tree of a signer's last turn is kept: its frames (both lanes, and what is for one receiver only)
 * have the same leaves. About 150 kB a signer at most.
 */
const KEPT_LEAVES_MAX = 1024;

/**
 * The only door to `Verified`. A seal is checked once: what is remembered is its root together with its very signature
 * bytes, so that a forged signature can never ride on a root that was verified with the genuine one.
 */
export class SealVerification {
  readonly #network: NetworkContext;
  readonly #verifier: Verifier;
  readonly #verified = new Map<string, Seal>();
  /** One for each signer; nothing that is trusted, for the same leaves have the same tree whoever sent them. */
  readonly #trees = new Map<ValidatorIndex, { readonly leaves: readonly Hash[]; readonly tree: MerkleTree }>();

  constructor(network: NetworkContext, verifier: Verifier) {
    this.#network = network;
    this.#verifier = verifier;
  }

  /** The tree of these leaves if `seal` signs exactly them, else null: all their proofs are paths in it. */
  async sealedTree(seal: Seal, leaves: readonly Hash[]): Promise<MerkleTree | null> {
    if (leaves.length !== seal.leafCount || leaves.length === 0) return null;
    // Who is none of the validators leaves no tree behind.
    if (!this.#network.set.knows(seal.signer)) return null;
    const tree = this.#treeOf(seal.signer, leaves);
    return (await this.#sealsRoot(seal, tree.root)) ? tree : null;
  }

  /** Whether every obligation holds. Paths are checked before signatures, and each distinct seal once. */
  async allHold(obligations: readonly Obligation[]): Promise<boolean> {
    const checks = new Map<Seal, Hash>();
    for (const { leaf, proof } of obligations) {
      if (!this.#network.set.knows(proof.seal.signer)) return false;
      const root = proofRoot(leaf, proof);
      if (root === null) return false;
      const known = checks.get(proof.seal);
      if (known !== undefined && known !== root) return false;
      checks.set(proof.seal, root);
    }
    const results = await Promise.all([...checks].map(([seal, root]) => this.#sealsRoot(seal, root)));
    return results.every((holds) => holds);
  }

  /** Brands what the caller has just had verified by this object. */
  mint<T>(value: T): Verified<T> {
    return value as Verified<T>;
  }

  #treeOf(signer: ValidatorIndex, leaves: readonly Hash[]): MerkleTree {
    const known = this.#trees.get(signer);
    if (known !== undefined && sameHashes(known.leaves, leaves)) return known.tree;
    const tree = new MerkleTree(leaves);
    if (leaves.length <= KEPT_LEAVES_MAX) this.#trees.set(signer, { leaves, tree });
    return tree;
  }

  async #sealsRoot(seal: Seal, root: Hash): Promise<boolean> {
    // Whether the signer counts in this epoch is the asker's question: bundles and evidence outlive an epoch.
    if (!this.#network.set.knows(seal.signer)) return false;
    const key = `${seal.signer}/${root}`;
    const known = this.#verified.get(key);
    if (known !== undefined && sameSeal(known, seal)) return true;
    const message = sealedBytes(this.#network, seal.signer, seal.leafCount, root);
    const holds = await this.#verifier.verify(this.#network.set.at(seal.signer).nodeId, message, seal.signature);
    if (holds) this.#remember(key, seal);
    return holds;
  }

  #remember(key: string, seal: Seal): void {
    this.#verified.delete(key);
    this.#verified.set(key, compact(seal));
    if (this.#verified.size <= VERIFIED_SEALS_MAX) return;
    const oldest = this.#verified.keys().next();
    if (oldest.done !== true) this.#verified.delete(oldest.value);
  }
}

function sameHashes(left: readonly Hash[], right: readonly Hash[]): boolean {
  return left.length === right.length && left.every((hash, index) => hash === right[index]);
}

/** A copy of its own: a decoded seal is a view that would keep its whole frame in memory. */
function compact({ signer, leafCount, signature }: Seal): Seal {
  const { mlDsa, ed25519 } = signature;
  return { signer, leafCount, signature: { mlDsa: mlDsa.slice(), ed25519: ed25519?.slice() ?? null } };
}

function sameSeal(left: Seal, right: Seal): boolean {
  if (left === right) return true;
  if (left.leafCount !== right.leafCount) return false;
  const [leftEd, rightEd] = [left.signature.ed25519, right.signature.ed25519];
  if ((leftEd === null) !== (rightEd === null)) return false;
  if (leftEd !== null && rightEd !== null && !equalBytes(leftEd, rightEd)) return false;
  return equalBytes(left.signature.mlDsa, right.signature.mlDsa);
}
