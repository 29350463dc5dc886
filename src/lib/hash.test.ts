import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  compareHashes,
  HASH_BYTES,
  type Hash,
  hashBytes,
  isHash,
  portableBytesOf,
  portableHexOf,
  putHash,
  toHash,
  ZERO_HASH,
} from "./hash.ts";

const anyHashBytes = fc.uint8Array({ minLength: HASH_BYTES, maxLength: HASH_BYTES });

describe("a hash", () => {
  test("goes to bytes and back", () => {
    fc.assert(
      fc.property(anyHashBytes, (bytes) => {
        expect(isHash(toHash(bytes))).toBe(true);
        expect(hashBytes(toHash(bytes))).toEqual(bytes);
      }),
    );
  });

  test("sorts as its bytes do", () => {
    fc.assert(
      fc.property(anyHashBytes, anyHashBytes, (left, right) => {
        expect(compareHashes(toHash(left), toHash(right))).toBe(Buffer.compare(left, right));
        expect(compareHashes(toHash(left), toHash(left))).toBe(0);
      }),
    );
  });

  test.each([
    "",
    "0".repeat(63),
    "0".repeat(65),
    "A".repeat(64),
    "g".repeat(64),
    `${"0".repeat(64)}\n`,
    ` ${"0".repeat(63)}`,
  ])("is not %j", (text) => expect(isHash(text)).toBe(false));

  test("of zeros is 32 zero bytes", () => {
    expect(hashBytes(ZERO_HASH)).toEqual(new Uint8Array(HASH_BYTES));
    expect(isHash(ZERO_HASH satisfies Hash)).toBe(true);
  });
});

describe("a hash where the runtime has no conversion of its own", () => {
  test("has the same digits and bytes", () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, index) => (index * 37 + 5) % 256);
    expect(portableHexOf(bytes)).toBe(bytes.toHex());
    expect(portableBytesOf(bytes.toHex())).toEqual(bytes);
    const target = new Uint8Array(32);
    Object.defineProperty(target, "setFromHex", { value: undefined });
    putHash(target, toHash(bytes));
    expect([...target]).toEqual([...bytes]);
  });
});
