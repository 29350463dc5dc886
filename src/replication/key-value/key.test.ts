import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compareBytes } from "../../lib/bytes.ts";
import { compareKeys, KEY_BYTES_MAX, keyFault, prefixEnd } from "./key.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const NEAR_THE_EDGES = ["\0", "a", "\u007f", "\u0080", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"];
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 4 }),
  fc.array(fc.constantFrom(...NEAR_THE_EDGES), { maxLength: 3 }).map((parts) => parts.join("")),
);

describe("keys", () => {
  test("are in the order of their UTF-8 bytes", () => {
    fc.assert(
      fc.property(text, text, (left, right) => {
        expect(Math.sign(compareKeys(left, right))).toBe(Math.sign(compareBytes(utf8(left), utf8(right))));
      }),
      { numRuns: 3_000 },
    );
  });

  test("that begin with a prefix are those from it up to its end, and no others", () => {
    fc.assert(
      fc.property(text, text, fc.boolean(), (prefix, other, isJoined) => {
        const key = isJoined ? prefix + other : other;
        const end = prefixEnd(prefix);
        const isWithin = compareKeys(key, prefix) >= 0 && (end === null || compareKeys(key, end) < 0);
        expect(isWithin).toBe(key.startsWith(prefix));
      }),
      { numRuns: 3_000 },
    );
    expect(prefixEnd("a\u{10ffff}")).toBe("b");
    expect(prefixEnd("\ud7ff")).toBe("\ue000");
    expect(prefixEnd("\u{10ffff}")).toBeNull();
  });

  test("have 1 to 512 bytes of UTF-8", () => {
    expect(KEY_BYTES_MAX).toBe(512);
    expect(keyFault("")).toContain("at least one");
    expect(keyFault("a\ud800")).toContain("surrogate");
    for (const unit of ["a", "é", "€", "😀"]) {
      const count = Math.floor(KEY_BYTES_MAX / utf8(unit).length);
      expect(keyFault(unit.repeat(count))).toBeNull();
      expect(keyFault(unit.repeat(count + 1))).toContain(`${utf8(unit.repeat(count + 1)).length} bytes`);
    }
  });
});
