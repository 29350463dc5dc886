import type { Verified } from "../consensus/engine.ts";
import { PartialTree, type PlacedLeaf } from "../crypto/partial-tree.ts";
import type { Hash } from "../lib/hash.ts";
import type { Obligation } from "../membership/certificate.ts";
import { type Proof, proofRoot, SEAL_LEAVES_MAX, type Seal, sealedBytes } from "../membership/seal.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { copyOf, KeptSeals } from "./kept-seals.ts";
import type { Verifier } from "./ports.ts";

/**
 * The only door to `Verified`. A seal is checked once: what is remembered is its root together with its very signature
 * bytes, so that a forged signature can never ride on a root that was verified with the genuine one.
 */
export class SealVerification {
  readonly #network: NetworkContext;
  readonly #verifier: Verifier;
  readonly #verified = new KeptSeals();

  constructor(network: NetworkContext, verifier: Verifier) {
    this.#network = network;
    this.#verifier = verifier;
  }

  /** What these leaves and digests say of the tree that `seal` signs: the paths of their proofs. Null where it signs another. */
  async sealedTree(seal: Seal, leaves: readonly PlacedLeaf[], complement: Uint8Array): Promise<PartialTree | null> {
    if (seal.leafCount > SEAL_LEAVES_MAX || !this.#network.set.knows(seal.signer)) return null;
    const tree = PartialTree.of(seal.leafCount, leaves, complement);
    return tree !== null && (await this.#sealsRoot(seal, tree.root)) ? tree : null;
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
