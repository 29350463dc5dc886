import { describe, expect, test } from "bun:test";
import { ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import mlDsaVectors from "../../test/vectors/ml-dsa-87.json" with { type: "json" };
import type { PublicKeys } from "./identity.ts";
import { keyPairFromSeeds, type NodeKeyPair } from "./key-pair.ts";
import { importPublicKeys, PublicKeyError } from "./public-keys.ts";
import type { HybridSignature } from "./signature.ts";
import { createVerifier, type SignatureVerifier } from "./verifier.ts";

const seed = (fill: number) => new Uint8Array(32).fill(fill);
const message = new TextEncoder().encode("a statement");
const hybridPair = keyPairFromSeeds({ mlDsaSeed: seed(1), ed25519Seed: seed(2) });
const plainPair = keyPairFromSeeds({ mlDsaSeed: seed(1), ed25519Seed: null });

function check(pair: NodeKeyPair, signature: HybridSignature, verifier?: SignatureVerifier): Promise<boolean> {
  const hybrid = pair.publicKeys.ed25519 !== null;
  return (verifier ?? createVerifier({ hybrid })).verify(importPublicKeys(pair.publicKeys), message, signature);
}

/** As a node sees it: bytes that are no key, or a signature that does not hold, are both a refusal. */
async function acceptsMlDsa(publicKey: Uint8Array, bytes: Uint8Array, mlDsa: Uint8Array): Promise<boolean> {
  const keys: PublicKeys = { mlDsa: publicKey, ed25519: null };
  try {
    return await createVerifier({ hybrid: false }).verify(importPublicKeys(keys), bytes, { mlDsa, ed25519: null });
  } catch (error) {
    if (error instanceof PublicKeyError) return false;
    throw error;
  }
}

function flipped(bytes: Uint8Array | null, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes ?? []);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

describe("ML-DSA-87 verification", () => {
  const publicKeys = mlDsaVectors.publicKeys.map((key) => Uint8Array.fromBase64(key));

  test("has vectors of both outcomes to answer", () => {
    expect(mlDsaVectors.verify.filter((vector) => vector.valid).length).toBeGreaterThan(5);
    expect(mlDsaVectors.verify.filter((vector) => !vector.valid).length).toBeGreaterThan(5);
  });

  test.each(mlDsaVectors.verify)("answers $id as published ($comment)", async (vector) => {
    const publicKey = publicKeys[vector.publicKey] ?? new Uint8Array(0);
    const bytes = Uint8Array.fromBase64(vector.message);
    const signature = Uint8Array.fromBase64(vector.signature);
    expect(await acceptsMlDsa(publicKey, bytes, signature)).toBe(vector.valid);
  });

  test("accepts a second implementation's signatures, and refuses them with a bit flipped, as that does", async () => {
    const keys = ml_dsa87.keygen(seed(9));
    const signature = ml_dsa87.sign(message, keys.secretKey);
    expect(await acceptsMlDsa(keys.publicKey, message, signature)).toBe(true);
    for (const bit of [0, 511, 20_000, 36_000, 4627 * 8 - 1]) {
      expect(await acceptsMlDsa(keys.publicKey, message, flipped(signature, bit))).toBe(false);
      expect(ml_dsa87.verify(flipped(signature, bit), message, keys.publicKey)).toBe(false);
    }
  });

  test("refuses a signature made under a context string", async () => {
    const keys = ml_dsa87.keygen(seed(9));
    const signature = ml_dsa87.sign(message, keys.secretKey, { context: Uint8Array.of(1) });
    expect(await acceptsMlDsa(keys.publicKey, message, signature)).toBe(false);
  });
});

describe("a hybrid verifier", () => {
  test("accepts what both keys signed", async () => {
    expect(await check(hybridPair, await hybridPair.sign(message))).toBe(true);
  });

  test("accepts neither half alone", async () => {
    const good = await hybridPair.sign(message);
    const other = await hybridPair.sign(seed(0));
    expect(await check(hybridPair, { mlDsa: good.mlDsa, ed25519: other.ed25519 })).toBe(false);
    expect(await check(hybridPair, { mlDsa: other.mlDsa, ed25519: good.ed25519 })).toBe(false);
    expect(await check(hybridPair, { mlDsa: good.mlDsa, ed25519: null })).toBe(false);
    expect(await check(hybridPair, { mlDsa: good.mlDsa, ed25519: flipped(good.ed25519, 100) })).toBe(false);
    expect(await check(hybridPair, { mlDsa: flipped(good.mlDsa, 30_000), ed25519: good.ed25519 })).toBe(false);
  });

  test("refuses another message and another signer", async () => {
    const signature = await hybridPair.sign(message);
    const stranger = keyPairFromSeeds({ mlDsaSeed: seed(3), ed25519Seed: seed(4) });
    expect(await check(stranger, signature)).toBe(false);
    expect(await check(hybridPair, await hybridPair.sign(seed(8)))).toBe(false);
  });

  test("refuses keys without an Ed25519 half, whatever they signed", async () => {
    const verifier = createVerifier({ hybrid: true });
    const { mlDsa } = await plainPair.sign(message);
    const { ed25519 } = await hybridPair.sign(message);
    expect(await check(plainPair, { mlDsa, ed25519: null }, verifier)).toBe(false);
    expect(await check(plainPair, { mlDsa, ed25519 }, verifier)).toBe(false);
  });

  test("refuses halves of the wrong length", async () => {
    const good = await hybridPair.sign(message);
    const ed25519 = good.ed25519 ?? new Uint8Array(0);
    for (const size of [0, 1, 4626, 4628, 100_000]) {
      expect(await check(hybridPair, { mlDsa: resized(good.mlDsa, size), ed25519 })).toBe(false);
    }
    for (const size of [0, 63, 65, 4627]) {
      expect(await check(hybridPair, { mlDsa: good.mlDsa, ed25519: resized(ed25519, size) })).toBe(false);
    }
  });
});

describe("a verifier without the hybrid mode", () => {
  test("accepts the ML-DSA-87 signature alone", async () => {
    expect(await check(plainPair, await plainPair.sign(message))).toBe(true);
  });

  test("refuses a signature or keys with an Ed25519 half, because a value has one form", async () => {
    const verifier = createVerifier({ hybrid: false });
    const both = await hybridPair.sign(message);
    expect(await check(plainPair, { ...(await plainPair.sign(message)), ed25519: both.ed25519 }, verifier)).toBe(false);
    expect(await check(hybridPair, both, verifier)).toBe(false);
    expect(await check(hybridPair, { ...both, ed25519: null }, verifier)).toBe(false);
  });
});

describe("the verifier's queue", () => {
  test("answers each of many at once, runs no more than its limit, and is empty afterwards", async () => {
    const verifier = createVerifier({ hybrid: true, inFlightMax: 2 });
    const good = await hybridPair.sign(message);
    const bad = { ...good, ed25519: flipped(good.ed25519, 5) };
    const answers = Array.from({ length: 40 }, (_, index) => check(hybridPair, index % 3 === 0 ? bad : good, verifier));
    expect(verifier.stats()).toEqual({ inFlight: 2, waiting: 38, refused: 0 });
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 40 }, (_, index) => index % 3 !== 0));
    expect(verifier.stats()).toEqual({ inFlight: 0, waiting: 0, refused: 0 });
  });

  test("refuses what finds it full, and counts it", async () => {
    const verifier = createVerifier({ hybrid: true, inFlightMax: 1, waitingMax: 2 });
    const good = await hybridPair.sign(message);
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => check(hybridPair, good, verifier)));
    expect(answers).toEqual([true, true, true, false, false]);
    expect(verifier.stats().refused).toBe(2);
    expect(await check(hybridPair, good, verifier)).toBe(true);
  });

  test("spends no place on a signature of the wrong length", async () => {
    const verifier = createVerifier({ hybrid: true, inFlightMax: 1, waitingMax: 0 });
    const good = await hybridPair.sign(message);
    const hostile = [
      check(hybridPair, { ...good, mlDsa: new Uint8Array(3) }, verifier),
      check(hybridPair, { ...good, ed25519: new Uint8Array(65) }, verifier),
    ];
    expect(verifier.stats()).toEqual({ inFlight: 0, waiting: 0, refused: 0 });
    expect(await Promise.all([...hostile, check(hybridPair, good, verifier)])).toEqual([false, false, true]);
  });
});

function resized(bytes: Uint8Array, size: number): Uint8Array {
  const copy = new Uint8Array(size);
  copy.set(bytes.subarray(0, size));
  return copy;
}
