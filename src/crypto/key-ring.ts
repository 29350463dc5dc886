import { type NodeId, nodeIdOf, type PublicKeys } from "./identity.ts";
import { PublicKeyCache, PublicKeyError } from "./public-keys.ts";
import type { HybridSignature } from "./signature.ts";
import type { SignatureVerifier } from "./verifier.ts";

/** Validators of the last epochs and observers; 11 MB of keys at most. */
const NODES_MAX = 4096;

/** Parsed keys take several times their size; a validator set fits. */
const PARSED_MAX = 512;

export type KeyRingErrorCode = "node-id-mismatch" | "wrong-mode" | "invalid-key" | "full";

/** Keys that cannot be trusted under the name they came with, or that there is no room for. */
export class KeyRingError extends Error {
  override readonly name = "KeyRingError";
  readonly code: KeyRingErrorCode;
  readonly nodeId: NodeId;

  constructor(code: KeyRingErrorCode, nodeId: NodeId, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.nodeId = nodeId;
  }
}

/**
 * The keys of the nodes that this node knows by name.
 *
 * Invariant: the keys under a node id hash to that id, so a name can never verify under another's keys.
 */
export class KeyRing {
  readonly #verifier: SignatureVerifier;
  readonly #nodesMax: number;
  readonly #keys = new Map<NodeId, PublicKeys>();
  readonly #parsed: PublicKeyCache;

  constructor(verifier: SignatureVerifier, options: { readonly nodesMax?: number; readonly parsedMax?: number } = {}) {
    this.#verifier = verifier;
    this.#nodesMax = options.nodesMax ?? NODES_MAX;
    this.#parsed = new PublicKeyCache(options.parsedMax ?? PARSED_MAX);
  }

  get size(): number {
    return this.#keys.size;
  }

  has(nodeId: NodeId): boolean {
    return this.#keys.has(nodeId);
  }

  publicKeys(nodeId: NodeId): PublicKeys | undefined {
    return this.#keys.get(nodeId);
  }

  /**
   * Makes a node known; a second time changes nothing. The keys are copied.
   * @throws KeyRingError
   */
  add(nodeId: NodeId, keys: PublicKeys): void {
    if (nodeIdOf(keys) !== nodeId) {
      throw new KeyRingError("node-id-mismatch", nodeId, `these public keys are not those of ${nodeId}`);
    }
    if (this.#keys.has(nodeId)) return;
    if ((keys.ed25519 !== null) !== this.#verifier.hybrid) {
      const wanted = this.#verifier.hybrid ? "both keys, ML-DSA-87 and Ed25519" : "an ML-DSA-87 key only";
      throw new KeyRingError("wrong-mode", nodeId, `this network wants ${wanted}; generate ${nodeId} anew for it`);
    }
    if (this.#keys.size >= this.#nodesMax) {
      throw new KeyRingError("full", nodeId, `${this.#nodesMax} nodes are known already; remove one before ${nodeId}`);
    }
    const copy = { mlDsa: keys.mlDsa.slice(), ed25519: keys.ed25519?.slice() ?? null };
    try {
      this.#parsed.get(nodeId, copy);
    } catch (cause) {
      if (!(cause instanceof PublicKeyError)) throw cause;
      throw new KeyRingError("invalid-key", nodeId, `the keys of ${nodeId}: ${cause.message}`, { cause });
    }
    this.#keys.set(nodeId, copy);
  }

  remove(nodeId: NodeId): void {
    this.#keys.delete(nodeId);
    this.#parsed.delete(nodeId);
  }

  /** Whether the node of that name made this signature over these bytes. False for an unknown name; never rejects. */
  async verify(signer: NodeId, message: Uint8Array, signature: HybridSignature): Promise<boolean> {
    const keys = this.#keys.get(signer);
    if (keys === undefined) return false;
    return await this.#verifier.verify(this.#parsed.get(signer, keys), message, signature);
  }
}
