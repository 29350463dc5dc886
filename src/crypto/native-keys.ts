import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";

/**
 * The only place that knows how the runtime's library names raw keys: ML-DSA-87 seeds are `raw-seed` (FIPS 204 §3.6.3:
 * the 32 bytes from which both keys follow), Ed25519 seeds are `raw-private` (RFC 8032 §5.1.5).
 */
export function mlDsaPrivateKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.from(seed), format: "raw-seed", asymmetricKeyType: "ml-dsa-87" });
}

export function ed25519PrivateKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.from(seed), format: "raw-private", asymmetricKeyType: "ed25519" });
}

/** @throws what the library throws for bytes that are no key; callers check the length first */
export function publicKeyFrom(raw: Uint8Array, algorithm: "ml-dsa-87" | "ed25519"): KeyObject {
  return createPublicKey({ key: Buffer.from(raw), format: "raw-public", asymmetricKeyType: algorithm });
}

export function rawPublicKeyOf(privateKey: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(privateKey).export({ format: "raw-public" }));
}
