import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Bug } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import { type Codec, decode, encode } from "./codec.ts";
import { bool, bytes, fixedBytes, hash, string, u8, u16, u32, u64 } from "./primitives.ts";
import { DecodeError, type DecodeErrorCode } from "./reader.ts";

const hex = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));
const hexOf = <T>(codec: Codec<T>, value: T) => encode(codec, value).toHex();

function codeOf<T>(codec: Codec<T>, wire: Uint8Array): DecodeErrorCode | "accepted" {
  try {
    decode(codec, wire);
    return "accepted";
  } catch (error) {
    if (error instanceof DecodeError) return error.code;
    throw error;
  }
}

describe("bincode's integers are little-endian and of fixed width", () => {
  // [codec, value, bytes]
  const goldens: [string, Codec<number>, number, string][] = [
    ["u8", u8, 0, "00"],
    ["u8", u8, 255, "ff"],
    ["u16", u16, 0x1234, "34 12"],
    ["u16", u16, 65_535, "ff ff"],
    ["u32", u32, 0x12345678, "78 56 34 12"],
    ["u32", u32, 0xffff_ffff, "ff ff ff ff"],
    ["u64", u64, 0, "00 00 00 00 00 00 00 00"],
    ["u64", u64, 5, "05 00 00 00 00 00 00 00"],
    ["u64", u64, 0xffff_ffff, "ff ff ff ff 00 00 00 00"],
    ["u64", u64, 0x1_0000_0000, "00 00 00 00 01 00 00 00"],
    ["u64", u64, Number.MAX_SAFE_INTEGER, "ff ff ff ff ff ff 1f 00"],
  ];

  test.each(goldens)("%s", (_, codec, value, wire) => {
    expect(encode(codec, value)).toEqual(hex(wire));
    expect(decode(codec, hex(wire))).toBe(value);
  });

  test("u64 gives the bytes of a 64-bit integer for every number it takes", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const wire = Buffer.alloc(8);
        wire.writeBigUInt64LE(BigInt(value));
        expect(hexOf(u64, value)).toBe(wire.toString("hex"));
        expect(decode(u64, wire)).toBe(value);
      }),
    );
  });

  test.each(["00 00 00 00 00 00 20 00", "ff ff ff ff ff ff ff ff", "00 00 00 00 00 00 00 80"])(
    "u64 refuses %s, which is 2^53 or more",
    (wire) => expect(codeOf(u64, hex(wire))).toBe("number-over-limit"),
  );

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 256])("u8 encodes no %p", (value) => {
    expect(() => encode(u8, value)).toThrow(Bug);
  });

  test.each([
    [u16, 65_536],
    [u32, 2 ** 32],
    [u64, 2 ** 53],
    [u64, -1],
  ] as [Codec<number>, number][])("no integer is cut to fit (%#)", (codec, value) => {
    expect(() => encode(codec, value)).toThrow(Bug);
  });
});

describe("a boolean", () => {
  test("is the byte 0 or 1, and nothing else", () => {
    expect([hexOf(bool, false), hexOf(bool, true)]).toEqual(["00", "01"]);
    expect([decode(bool, hex("00")), decode(bool, hex("01"))]).toEqual([false, true]);
    for (let byte = 2; byte < 256; byte++) expect(codeOf(bool, Uint8Array.of(byte))).toBe("not-canonical");
  });
});

describe("a hash", () => {
  test("is its 32 bytes without a length", () => {
    const digits = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef" as Hash;
    expect(hexOf(hash, digits)).toBe(digits);
    expect(decode(hash, hex(digits))).toBe(digits);
    expect(codeOf(hash, new Uint8Array(31))).toBe("short");
    expect(codeOf(hash, new Uint8Array(33))).toBe("trailing-bytes");
  });
});

describe("bytes", () => {
  test("of a fixed size have no length in front", () => {
    expect(hexOf(fixedBytes(3), hex("01 02 03"))).toBe("010203");
    expect(decode(fixedBytes(3), hex("01 02 03"))).toEqual(hex("01 02 03"));
    expect(() => encode(fixedBytes(3), hex("01 02"))).toThrow(Bug);
  });

  test("of any size have a u64 length in front", () => {
    expect(hexOf(bytes(10), hex("aa bb"))).toBe("0200000000000000aabb");
    expect(hexOf(bytes(10), hex(""))).toBe("0000000000000000");
    expect(decode(bytes(10), hex("02 00 00 00 00 00 00 00 aa bb"))).toEqual(hex("aa bb"));
  });

  test("are as many as the limit allows, and not one more", () => {
    const wire = encode(bytes(11), new Uint8Array(11));
    expect(decode(bytes(11), wire).length).toBe(11);
    expect(codeOf(bytes(10), wire)).toBe("length-over-limit");
    expect(() => encode(bytes(10), new Uint8Array(11))).toThrow(Bug);
  });

  test("that are claimed and not there are refused without being allocated", () => {
    const unlimited = bytes(Number.MAX_SAFE_INTEGER);
    expect(codeOf(unlimited, hex("ff ff ff ff ff ff 1f 00"))).toBe("short");
    expect(codeOf(unlimited, hex("00 00 00 00 01 00 00 00 aa"))).toBe("short");
    expect(codeOf(unlimited, hex("ff ff ff ff ff ff ff ff"))).toBe("number-over-limit");
  });

  test("are views of what was decoded, also where that is a view itself", () => {
    const buffer = hex("ee ee 01 00 00 00 00 00 00 00 aa ee");
    const value = decode(bytes(4), buffer.subarray(2, 11));
    expect(value).toEqual(hex("aa"));
    expect(value.buffer).toBe(buffer.buffer);
  });
});

describe("text", () => {
  test("is UTF-8 behind a u64 length in bytes, not in characters", () => {
    expect(hexOf(string(10), "aé€")).toBe("060000000000000061c3a9e282ac");
    expect(decode(string(10), hex("06 00 00 00 00 00 00 00 61 c3 a9 e2 82 ac"))).toBe("aé€");
    expect(() => encode(string(5), "aé€")).toThrow(Bug);
  });

  test("keeps NULs, a byte order mark and what looks like a replacement character", () => {
    for (const text of ["a\0b", "\0", "\ufeffx", "\ufffd", "𝒳"]) {
      expect(decode(string(20), encode(string(20), text))).toBe(text);
    }
  });

  test.each([
    ["a stray continuation byte", "80"],
    ["a cut sequence", "e2 82"],
    ["an overlong slash", "c0 af"],
    ["a surrogate half", "ed a0 80"],
    ["a code point above U+10FFFF", "f4 90 80 80"],
    ["the byte ff", "ff"],
  ])("is refused with %s", (_, body) => {
    const wire = encode(bytes(10), hex(body));
    expect(codeOf(string(10), wire)).toBe("not-utf8");
  });

  test("comes back as it was, and has one encoding", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
        const wire = encode(string(1000), text);
        expect(wire.toHex().slice(16)).toBe(Buffer.from(text, "utf8").toString("hex"));
        expect(decode(string(1000), wire)).toBe(text);
      }),
    );
  });
});
