import { verify as verifyNow } from "node:crypto";
import { hashOf } from "../crypto/hash.ts";
import { type NodeId, nodeIdOf, type PublicKeys } from "../crypto/identity.ts";
import { keyPairFromSeeds } from "../crypto/key-pair.ts";
import { importPublicKeys } from "../crypto/public-keys.ts";
import { type HybridSignature, ML_DSA_87_PUBLIC_KEY_BYTES, ML_DSA_87_SIGNATURE_BYTES } from "../crypto/signature.ts";
import { hashBytes } from "../lib/hash.ts";
import { Fingerprint } from "./fingerprint.ts";
import type { Signer, Verifier } from "../node/ports.ts";

/** `modelled`: a keyed hash of a signature's size; `real`: ML-DSA-87 and Ed25519, about a hundred times slower. */
export type CryptoMode = "modelled" | "real";

const TAG_BYTES = 8;

/** One validator's keys in the virtual world. Nobody else can sign for it: an attacker holds its own keys only. */
export interface VirtualKeys {
  readonly nodeId: NodeId;
  readonly publicKeys: PublicKeys;
  sign(message: Uint8Array): HybridSignature;
  verify(message: Uint8Array, signature: HybridSignature): boolean;
}

export function virtualKeys(mode: CryptoMode, place: number): VirtualKeys {
  return mode === "modelled" ? modelledKeys(place) : realKeys(place);
}

/**
 * The repeatable stand-in: a 64-bit keyed fingerprint under a secret of the signer's, in the size of the real thing.
 * Verification is never off: what is forged, changed or replayed elsewhere fails as it would with real keys, because the
 * attackers of this world know no other's secret and do not search for collisions.
 */
function modelledKeys(place: number): VirtualKeys {
  const mlDsa = new Uint8Array(ML_DSA_87_PUBLIC_KEY_BYTES);
  mlDsa.set([0x9b, place & 0xff, place >> 8]);
  const publicKeys: PublicKeys = { mlDsa, ed25519: null };
  const tagOf = (message: Uint8Array): string => {
    const fingerprint = new Fingerprint();
    fingerprint.number(0x5e0000 + place);
    fingerprint.bytes(message);
    return fingerprint.toString();
  };
  return {
    nodeId: nodeIdOf(publicKeys),
    publicKeys,
    sign: (message) => {
      const signature = new Uint8Array(ML_DSA_87_SIGNATURE_BYTES);
      signature.setFromHex(tagOf(message));
      return { mlDsa: signature, ed25519: null };
    },
    verify: (message, { mlDsa: signature, ed25519 }) => {
      if (ed25519 !== null || signature.length !== ML_DSA_87_SIGNATURE_BYTES) return false;
      // The rest is zero in every genuine one.
      return signature.subarray(0, TAG_BYTES).toHex() === tagOf(message) && signature[signature.length - 1] === 0;
    },
  };
}

/** Signatures differ from run to run here; nothing that is decided or traced depends on their bytes. */
function realKeys(place: number): VirtualKeys {
  // Both seeds have 32 bytes, as a hash has.
  const seedOf = (kind: number): Uint8Array =>
    hashBytes(hashOf("record", new Uint8Array([kind, place & 0xff, place >> 8])));
  const pair = keyPairFromSeeds({
    mlDsaSeed: seedOf(1),
    ed25519Seed: seedOf(2),
  });
  const imported = importPublicKeys(pair.publicKeys);
  return {
    nodeId: pair.nodeId,
    publicKeys: pair.publicKeys,
    sign: (message) => pair.signNow(message),
    verify: (message, { mlDsa, ed25519 }) => {
      if (ed25519 === null || imported.ed25519 === null || mlDsa.length !== ML_DSA_87_SIGNATURE_BYTES) return false;
      return verifyNow(null, message, imported.ed25519, ed25519) && verifyNow(null, message, imported.mlDsa, mlDsa);
    },
  };
}

/** The ports of one life; `delay` makes signing and verifying take virtual time. */
export function signerOf(keys: VirtualKeys, delay: () => Promise<void>): Signer {
  return {
    sign: async (message) => {
      const signature = keys.sign(message);
      await delay();
      return signature;
    },
  };
}

export function verifierOf(all: ReadonlyMap<NodeId, VirtualKeys>, delay: () => Promise<void>): Verifier {
  return {
    verify: async (signer, message, signature) => {
      const holds = all.get(signer)?.verify(message, signature) ?? false;
      await delay();
      return holds;
    },
  };
}
