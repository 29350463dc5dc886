/** Both halves sign the same bytes; where the network is hybrid, both must verify. */
export interface HybridSignature {
  /** 4,627 bytes (FIPS 204, ML-DSA-87). */
  readonly mlDsa: Uint8Array;
  /** 64 bytes (RFC 8032), or null in a network without the hybrid mode. */
  readonly ed25519: Uint8Array | null;
}

export const ML_DSA_87_PUBLIC_KEY_BYTES = 2592;
export const ML_DSA_87_SIGNATURE_BYTES = 4627;
export const ML_DSA_87_SEED_BYTES = 32;
export const ED25519_PUBLIC_KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;
