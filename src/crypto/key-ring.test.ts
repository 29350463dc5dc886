import { describe, expect, test } from "bun:test";
import { nodeIdOf, type PublicKeys } from "./identity.ts";
import { generateKeyPair } from "./key-pair.ts";
import { KeyRing, KeyRingError, type KeyRingErrorCode } from "./key-ring.ts";
import { importPublicKeys, PublicKeyCache, PublicKeyError } from "./public-keys.ts";
import { createVerifier } from "./verifier.ts";

const message = new TextEncoder().encode("a statement");
const alice = generateKeyPair({ hybrid: true });
const bob = generateKeyPair({ hybrid: true });
const carol = generateKeyPair({ hybrid: true });

const ringOf = (options?: { nodesMax?: number; parsedMax?: number }) =>
  new KeyRing(createVerifier({ hybrid: true }), options);

function codeOf(action: () => void): KeyRingErrorCode | null {
  try {
    action();
    return null;
  } catch (error) {
    if (error instanceof KeyRingError) return error.code;
    throw error;
  }
}

describe("a key ring", () => {
  test("accepts a known node's signature under its own name only", async () => {
    const ring = ringOf();
    ring.add(alice.nodeId, alice.publicKeys);
    ring.add(bob.nodeId, bob.publicKeys);
    const signature = await alice.sign(message);
    expect(await ring.verify(alice.nodeId, message, signature)).toBe(true);
    expect(await ring.verify(bob.nodeId, message, signature)).toBe(false);
  });

  test("refuses a signature under a name that it does not know, or does not know any more", async () => {
    const ring = ringOf();
    const signature = await alice.sign(message);
    expect(await ring.verify(alice.nodeId, message, signature)).toBe(false);
    ring.add(alice.nodeId, alice.publicKeys);
    ring.remove(alice.nodeId);
    expect(await ring.verify(alice.nodeId, message, signature)).toBe(false);
    expect(ring.has(alice.nodeId)).toBe(false);
  });

  test("takes no keys under a name that is not theirs, even when the name is known", () => {
    const ring = ringOf();
    expect(codeOf(() => ring.add(alice.nodeId, bob.publicKeys))).toBe("node-id-mismatch");
    ring.add(alice.nodeId, alice.publicKeys);
    expect(codeOf(() => ring.add(alice.nodeId, bob.publicKeys))).toBe("node-id-mismatch");
    const mixed: PublicKeys = { mlDsa: alice.publicKeys.mlDsa, ed25519: bob.publicKeys.ed25519 };
    expect(codeOf(() => ring.add(alice.nodeId, mixed))).toBe("node-id-mismatch");
  });

  test("takes no keys of the other mode and none of a wrong length", () => {
    const single = generateKeyPair({ hybrid: false });
    expect(codeOf(() => ringOf().add(single.nodeId, single.publicKeys))).toBe("wrong-mode");
    const plainRing = new KeyRing(createVerifier({ hybrid: false }));
    expect(codeOf(() => plainRing.add(alice.nodeId, alice.publicKeys))).toBe("wrong-mode");
    const short: PublicKeys = { mlDsa: new Uint8Array(10), ed25519: new Uint8Array(32) };
    const ring = ringOf();
    expect(codeOf(() => ring.add(nodeIdOf(short), short))).toBe("invalid-key");
    expect(ring.size).toBe(0);
  });

  test("holds no more nodes than its limit, and the same node once", () => {
    const ring = ringOf({ nodesMax: 2 });
    ring.add(alice.nodeId, alice.publicKeys);
    ring.add(alice.nodeId, alice.publicKeys);
    ring.add(bob.nodeId, bob.publicKeys);
    expect(ring.size).toBe(2);
    expect(codeOf(() => ring.add(carol.nodeId, carol.publicKeys))).toBe("full");
    ring.remove(bob.nodeId);
    ring.add(carol.nodeId, carol.publicKeys);
    expect(ring.size).toBe(2);
  });

  test("verifies for more nodes than it keeps parsed", async () => {
    const ring = ringOf({ parsedMax: 1 });
    const pairs = [alice, bob, carol];
    for (const pair of pairs) ring.add(pair.nodeId, pair.publicKeys);
    for (const pair of [...pairs, ...pairs]) {
      expect(await ring.verify(pair.nodeId, message, await pair.sign(message))).toBe(true);
    }
  });

  test("keeps its own copy of the keys", async () => {
    const ring = ringOf({ parsedMax: 1 });
    const keys = { mlDsa: alice.publicKeys.mlDsa.slice(), ed25519: alice.publicKeys.ed25519?.slice() ?? null };
    ring.add(alice.nodeId, keys);
    keys.mlDsa.fill(0);
    ring.add(bob.nodeId, bob.publicKeys);
    expect(await ring.verify(alice.nodeId, message, await alice.sign(message))).toBe(true);
  });
});

describe("the public-key cache", () => {
  test("parses once, and forgets the key that was used longest ago", () => {
    const cache = new PublicKeyCache(2);
    const first = cache.get(alice.nodeId, alice.publicKeys);
    cache.get(bob.nodeId, bob.publicKeys);
    expect(cache.get(alice.nodeId, alice.publicKeys)).toBe(first);
    cache.get(carol.nodeId, carol.publicKeys);
    expect(cache.size).toBe(2);
    expect([alice, bob, carol].map((pair) => cache.has(pair.nodeId))).toEqual([true, false, true]);
  });

  test("keeps nothing of keys that cannot be parsed", () => {
    const cache = new PublicKeyCache(2);
    const bad: PublicKeys = { mlDsa: new Uint8Array(2591), ed25519: null };
    expect(() => cache.get(nodeIdOf(bad), bad)).toThrow(PublicKeyError);
    expect(cache.size).toBe(0);
  });

  test("names the length that was wrong", () => {
    const { mlDsa } = alice.publicKeys;
    expect(() => importPublicKeys({ mlDsa, ed25519: new Uint8Array(31) })).toThrow(
      "Ed25519 public key has 32 bytes, not 31",
    );
  });
});
