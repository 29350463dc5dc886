import { ed25519 } from "@noble/curves/ed25519.js";
import { ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import type { PublicKeys } from "./identity.ts";
import { ED25519_SIGNATURE_BYTES, type HybridSignature, ML_DSA_87_SIGNATURE_BYTES } from "./signature.ts";

/**
 * As `SignatureVerifier.verify`, in JavaScript alone: in browsers and on every Node. About ten times slower than the native
 * one, and synchronous. Never throws: whatever is malformed is false.
 */
export function verifyPortably(keys: PublicKeys, message: Uint8Array, signature: HybridSignature): boolean {
  if (signature.mlDsa.length !== ML_DSA_87_SIGNATURE_BYTES) return false;
  if ((keys.ed25519 === null) !== (signature.ed25519 === null)) return false;
  try {
    if (keys.ed25519 !== null && signature.ed25519 !== null) {
      if (signature.ed25519.length !== ED25519_SIGNATURE_BYTES) return false;
      // As RFC 8032 and the native library say, not the laxer rule of ZIP 215.
      if (!ed25519.verify(signature.ed25519, message, keys.ed25519, { zip215: false })) return false;
    }
    return ml_dsa87.verify(signature.mlDsa, message, keys.mlDsa);
  } catch {
    return false;
  }
}
