import { describe, expect, test } from "bun:test";
import { blake3 } from "@napi-rs/blake-hash";
import { blake3 as nobleBlake3 } from "@noble/hashes/blake3.js";
import fc from "fast-check";
import vectors from "../../test/vectors/blake3.json" with { type: "json" };
import { digestOf, type HashDomain, hashOf } from "./hash.ts";

const DOMAINS: readonly HashDomain[] = [
  "node-id",
  "genesis",
  "vertex",
  "bundle",
  "batch",
  "statement",
  "merkle-leaf",
  "merkle-node",
  "merkle-root",
  "view-change",
  "new-view",
  "execution-state",
  "history",
  "record",
];

const utf8 = (text: string) => new TextEncoder().encode(text);
const pattern = (length: number) => Uint8Array.from({ length }, (_, index) => index % 251);

describe("the BLAKE3 library", () => {
  test("gives the official vectors", () => {
    expect(vectors.length).toBeGreaterThan(0);
    for (const vector of vectors) {
      expect({ length: vector.length, hash: blake3(pattern(vector.length)).toString("hex") }).toEqual(vector);
    }
  });

  test("gives the published hash of abc", () => {
    expect(blake3(utf8("abc")).toString("hex")).toBe(
      "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
    );
  });

  test("agrees with a second implementation on any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
        expect(blake3(bytes).toString("hex")).toBe(nobleBlake3(bytes).toHex());
      }),
      { numRuns: 100 },
    );
  });

  test("hashes a view of a larger buffer, not the buffer", () => {
    const buffer = pattern(100);
    expect(blake3(buffer.subarray(10, 20)).toString("hex")).toBe(nobleBlake3(buffer.slice(10, 20)).toHex());
  });
});

describe("hashOf", () => {
  test("is BLAKE3 of the domain's name, a zero byte and the parts", () => {
    fc.assert(
      fc.property(fc.constantFrom(...DOMAINS), fc.array(fc.uint8Array({ maxLength: 40 })), (domain, parts) => {
        const message = Buffer.concat([utf8(`cretoai/v1/${domain}\0`), ...parts]);
        expect(hashOf(domain, ...parts)).toBe(nobleBlake3(new Uint8Array(message)).toHex() as never);
      }),
    );
  });

  test("keeps its value from release to release", () => {
    expect(hashOf("vertex", utf8("abc"))).toBe(
      nobleBlake3(Uint8Array.from([...utf8("cretoai/v1/vertex"), 0, 0x61, 0x62, 0x63])).toHex() as never,
    );
  });

  test("gives the same content another hash in every domain", () => {
    const hashes = DOMAINS.map((domain) => hashOf(domain, utf8("content")));
    expect(new Set(hashes).size).toBe(DOMAINS.length);
  });

  test("cannot be moved into another domain by content that begins with a domain's name", () => {
    const prefix = utf8("cretoai/v1/merkle-node\0");
    expect(hashOf("merkle-leaf", prefix, utf8("x"))).not.toBe(hashOf("merkle-node", utf8("x")));
    for (const left of DOMAINS) {
      for (const right of DOMAINS) if (left !== right) expect(`${right}\0`.startsWith(`${left}\0`)).toBe(false);
    }
  });

  test("gives the digest's bytes in hexadecimal", () => {
    expect(hashOf("record", utf8("x"))).toBe(Buffer.from(digestOf("record", utf8("x"))).toString("hex") as never);
    expect(digestOf("record").length).toBe(32);
  });
});
