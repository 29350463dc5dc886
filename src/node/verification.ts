import type { Verified } from "../consensus/engine.ts";
import { MerkleTree } from "../crypto/merkle.ts";
import type { Hash } from "../lib/hash.ts";
import type { Obligation } from "../membership/certificate.ts";
import { type Proof, proofRoot, type Seal, sealedBytes } from "../membership/seal.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { copyOf, KeptSeals } from "./kept-seals.ts";
import type { Verifier } from "./ports.ts";

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
  readonly #verified = new KeptSeals();
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

  /** The same seal, verified and without its frame: for who keeps statements for longer than it takes to read them. */
  kept(seal: Seal, root: Hash): Seal {
    return this.#verified.get(seal, root) ?? copyOf(seal);
  }

  /** The same for a proof of one statement, which held. */
  keptProof(leaf: Hash, proof: Proof): Proof {
    const root = proofRoot(leaf, proof);
    return { ...proof, seal: root === null ? copyOf(proof.seal) : this.kept(proof.seal, root) };
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
    if (this.#verified.get(seal, root) !== null) return true;
    const message = sealedBytes(this.#network, seal.signer, seal.leafCount, root);
    const holds = await this.#verifier.verify(this.#network.set.at(seal.signer).nodeId, message, seal.signature);
    if (holds) this.#verified.add(seal, root);
    return holds;
  }
}

function sameHashes(left: readonly Hash[], right: readonly Hash[]): boolean {
  return left.length === right.length && left.every((hash, index) => hash === right[index]);
}
