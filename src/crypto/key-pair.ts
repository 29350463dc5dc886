import { type KeyObject, randomBytes, sign } from "node:crypto";
import { assert } from "../lib/assert.ts";
import { type NodeId, nodeIdOf, type PublicKeys } from "./identity.ts";
import { ed25519PrivateKey, mlDsaPrivateKey, rawPublicKeyOf } from "./native-keys.ts";
import { type HybridSignature, ML_DSA_87_SEED_BYTES } from "./signature.ts";

export const ED25519_SEED_BYTES = 32;

/** Everything secret about a node. Whoever holds these bytes is the node. */
export interface NodeSeeds {
  /** 32 bytes (FIPS 204, xi). */
  readonly mlDsaSeed: Uint8Array;
  /** 32 bytes (RFC 8032), or null in a network without the hybrid mode. */
  readonly ed25519Seed: Uint8Array | null;
}

export interface NodeKeyPair {
  readonly publicKeys: PublicKeys;
  readonly nodeId: NodeId;
  /** A getter, so that neither `JSON.stringify` nor a log line of the pair shows it. */
  readonly seeds: NodeSeeds;
  /**
   * Signs these bytes with every key of the pair. The caller puts the domain tag into the bytes: FIPS 204's context
   * string stays empty, because the library cannot set it here.
   *
   * Runs on the calling thread: about 0.2 ms, 0.7 ms at worst, for an ML-DSA-87 signature (Xeon 2.5 GHz). The same on the
   * thread pool takes as long when the pool is idle, but waits behind verifications when it is not: 1.5 ms median and
   * 4 ms p99 behind 32 of them, and a node signs exactly while others' votes arrive. Sign once per turn (a Merkle root over
   * all statements), not once per message.
   */
  sign(message: Uint8Array): Promise<HybridSignature>;
  /** As `sign`, at once: for a caller that has no event loop to wait in. */
  signNow(message: Uint8Array): HybridSignature;
}

/** A new identity from the operating system's random source. */
export function generateKeyPair(options: { readonly hybrid: boolean }): NodeKeyPair {
  return keyPairFromSeeds({
    mlDsaSeed: new Uint8Array(randomBytes(ML_DSA_87_SEED_BYTES)),
    ed25519Seed: options.hybrid ? new Uint8Array(randomBytes(ED25519_SEED_BYTES)) : null,
  });
}

/** The one identity that follows from these seeds. The seeds are copied. */
export function keyPairFromSeeds(seeds: NodeSeeds): NodeKeyPair {
  assert(seeds.mlDsaSeed.length === ML_DSA_87_SEED_BYTES, `an ML-DSA-87 seed of ${seeds.mlDsaSeed.length} bytes`);
  const ed25519Size = seeds.ed25519Seed?.length ?? ED25519_SEED_BYTES;
  assert(ed25519Size === ED25519_SEED_BYTES, `an Ed25519 seed of ${ed25519Size} bytes`);
  return new SeededKeyPair(seeds);
}

class SeededKeyPair implements NodeKeyPair {
  readonly publicKeys: PublicKeys;
  readonly nodeId: NodeId;
  readonly #seeds: NodeSeeds;
  readonly #mlDsa: KeyObject;
  readonly #ed25519: KeyObject | null;

  constructor(seeds: NodeSeeds) {
    this.#seeds = { mlDsaSeed: seeds.mlDsaSeed.slice(), ed25519Seed: seeds.ed25519Seed?.slice() ?? null };
    this.#mlDsa = mlDsaPrivateKey(seeds.mlDsaSeed);
    this.#ed25519 = seeds.ed25519Seed === null ? null : ed25519PrivateKey(seeds.ed25519Seed);
    this.publicKeys = {
      mlDsa: rawPublicKeyOf(this.#mlDsa),
      ed25519: this.#ed25519 === null ? null : rawPublicKeyOf(this.#ed25519),
    };
    this.nodeId = nodeIdOf(this.publicKeys);
  }

  get seeds(): NodeSeeds {
    return this.#seeds;
  }

  async sign(message: Uint8Array): Promise<HybridSignature> {
    return this.signNow(message);
  }

  signNow(message: Uint8Array): HybridSignature {
    return {
      mlDsa: new Uint8Array(sign(null, message, this.#mlDsa)),
      ed25519: this.#ed25519 === null ? null : new Uint8Array(sign(null, message, this.#ed25519)),
    };
  }
}
