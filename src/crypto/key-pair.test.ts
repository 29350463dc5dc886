import { describe, expect, test } from "bun:test";
import { createHash, sign as signNatively } from "node:crypto";
import { inspect } from "node:util";
import { ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import ed25519Vectors from "../../test/vectors/ed25519.json" with { type: "json" };
import mlDsaVectors from "../../test/vectors/ml-dsa-87.json" with { type: "json" };
import { Bug } from "../lib/assert.ts";
import { nodeIdOf } from "./identity.ts";
import { generateKeyPair, keyPairFromSeeds } from "./key-pair.ts";
import { ed25519PrivateKey, mlDsaPrivateKey, rawPublicKeyOf } from "./native-keys.ts";

const seed = (fill: number) => new Uint8Array(32).fill(fill);

describe("an ML-DSA-87 key", () => {
  test("follows from its seed as in NIST's key generation vectors", () => {
    expect(mlDsaVectors.keyGen.length).toBeGreaterThan(0);
    for (const vector of mlDsaVectors.keyGen) {
      const { publicKeys } = keyPairFromSeeds({ mlDsaSeed: Uint8Array.fromBase64(vector.seed), ed25519Seed: null });
      const hash = createHash("sha256").update(publicKeys.mlDsa).digest("base64");
      expect({ id: vector.id, hash }).toEqual({ id: vector.id, hash: vector.publicKeySha256 });
    }
  });

  test("is the key that a second implementation makes from the same seed", () => {
    for (const fill of [0, 7, 255]) {
      expect(rawPublicKeyOf(mlDsaPrivateKey(seed(fill)))).toEqual(ml_dsa87.keygen(seed(fill)).publicKey);
    }
  });

  test("makes signatures that a second implementation accepts", async () => {
    const pair = pairOf(1);
    for (const message of [new Uint8Array(0), seed(9), new Uint8Array(10_000).fill(3)]) {
      const { mlDsa } = await pair.sign(message);
      expect(ml_dsa87.verify(mlDsa, message, pair.publicKeys.mlDsa)).toBe(true);
      expect(ml_dsa87.verify(mlDsa, Uint8Array.of(...message, 0), pair.publicKeys.mlDsa)).toBe(false);
      mlDsa[2000] = (mlDsa[2000] ?? 0) ^ 1;
      expect(ml_dsa87.verify(mlDsa, message, pair.publicKeys.mlDsa)).toBe(false);
    }
  });
});

describe("an Ed25519 key", () => {
  test("gives the public keys and signatures of RFC 8032, section 7.1", async () => {
    expect(ed25519Vectors.length).toBeGreaterThan(0);
    for (const vector of ed25519Vectors) {
      const pair = keyPairFromSeeds({ mlDsaSeed: seed(1), ed25519Seed: Uint8Array.fromHex(vector.seed) });
      expect(pair.publicKeys.ed25519?.toHex()).toBe(vector.publicKey);
      const signature = await pair.sign(Uint8Array.fromHex(vector.message));
      expect(signature.ed25519?.toHex()).toBe(vector.signature);
    }
  });

  test("comes from the 32 bytes that the RFC calls the private key", () => {
    const [vector] = ed25519Vectors;
    const key = ed25519PrivateKey(Uint8Array.fromHex(vector?.seed ?? ""));
    expect(signNatively(null, new Uint8Array(0), key).toString("hex")).toBe(vector?.signature ?? "");
  });
});

describe("a node's key pair", () => {
  test("has the sizes of FIPS 204 and RFC 8032", async () => {
    const pair = generateKeyPair({ hybrid: true });
    const signature = await pair.sign(seed(1));
    expect([pair.publicKeys.mlDsa.length, pair.publicKeys.ed25519?.length]).toEqual([2592, 32]);
    expect([signature.mlDsa.length, signature.ed25519?.length]).toEqual([4627, 64]);
    expect([pair.seeds.mlDsaSeed.length, pair.seeds.ed25519Seed?.length]).toEqual([32, 32]);
  });

  test("has no Ed25519 half outside a hybrid network", async () => {
    const pair = generateKeyPair({ hybrid: false });
    expect(pair.publicKeys.ed25519).toBeNull();
    expect(pair.seeds.ed25519Seed).toBeNull();
    expect((await pair.sign(seed(1))).ed25519).toBeNull();
  });

  test("is another one each time", () => {
    const pairs = [1, 2, 3].map(() => generateKeyPair({ hybrid: true }));
    expect(new Set(pairs.map((pair) => pair.nodeId)).size).toBe(3);
    expect(new Set(pairs.flatMap(({ seeds }) => [seeds.mlDsaSeed.toHex(), seeds.ed25519Seed?.toHex()])).size).toBe(6);
  });

  test("follows from its seeds, and is named after its public keys", () => {
    const pair = generateKeyPair({ hybrid: true });
    const again = keyPairFromSeeds(pair.seeds);
    expect(again.publicKeys).toEqual(pair.publicKeys);
    expect(again.nodeId).toBe(pair.nodeId);
    expect(pair.nodeId).toBe(nodeIdOf(pair.publicKeys));
  });

  test("has another name with and without the Ed25519 half", () => {
    const both = keyPairFromSeeds({ mlDsaSeed: seed(1), ed25519Seed: seed(2) });
    const one = keyPairFromSeeds({ mlDsaSeed: seed(1), ed25519Seed: null });
    expect(one.nodeId).not.toBe(both.nodeId);
  });

  test("keeps its identity when the caller wipes the seeds", () => {
    const mlDsaSeed = seed(5);
    const pair = keyPairFromSeeds({ mlDsaSeed, ed25519Seed: null });
    mlDsaSeed.fill(0);
    expect(pair.seeds.mlDsaSeed).toEqual(seed(5));
  });

  test("shows its seeds neither in JSON nor in a log line", () => {
    const pair = pairOf(0xab);
    const mentions = (text: string) => /"mlDsaSeed"|mlDsaSeed:|ababab|171,\s*171,\s*171,\s*171/.test(text);
    expect(mentions(JSON.stringify(pair.seeds))).toBe(true);
    expect(mentions(JSON.stringify(pair))).toBe(false);
    expect(mentions(inspect(pair, { depth: 5, maxArrayLength: 10_000 }))).toBe(false);
    expect(mentions(Bun.inspect(pair, { depth: 5 }))).toBe(false);
  });

  test("cannot be made from seeds of another size", () => {
    expect(() => keyPairFromSeeds({ mlDsaSeed: new Uint8Array(31), ed25519Seed: null })).toThrow(Bug);
    expect(() => keyPairFromSeeds({ mlDsaSeed: seed(1), ed25519Seed: new Uint8Array(33) })).toThrow(Bug);
  });
});

function pairOf(fill: number): ReturnType<typeof keyPairFromSeeds> {
  return keyPairFromSeeds({ mlDsaSeed: seed(fill), ed25519Seed: seed(fill) });
}
