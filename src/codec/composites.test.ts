import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Bug } from "../lib/assert.ts";
import { type Hash, toHash } from "../lib/hash.ts";
import { type Codec, decode, encode } from "./codec.ts";
import { mapped, option, struct, union, variant, vec } from "./composites.ts";
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

interface Point {
  readonly x: number;
  readonly y: number;
}

type Shape =
  | { readonly kind: "empty" }
  | { readonly kind: "circle"; readonly center: Point; readonly radius: number }
  | { readonly kind: "polygon"; readonly points: readonly Point[]; readonly name: string | null };

interface Document {
  readonly id: Hash;
  readonly version: number;
  readonly open: boolean;
  readonly tag: Uint8Array;
  readonly title: string;
  readonly body: Uint8Array;
  readonly shapes: readonly Shape[];
  readonly parent: Hash | null;
  readonly counts: readonly number[];
}

const point = struct<Point>({ x: u8, y: u16 });

const shape = union<Shape>({
  empty: variant("empty", {}),
  circle: variant("circle", { center: point, radius: u64 }),
  polygon: variant("polygon", { points: vec(point, 20), name: option(string(100)) }),
});

const document = struct<Document>({
  id: hash,
  version: u32,
  open: bool,
  tag: fixedBytes(3),
  title: string(400),
  body: bytes(400),
  shapes: vec(shape, 20),
  parent: option(hash),
  counts: vec(u64, 20),
});

describe("a struct", () => {
  test("is its fields in the order of declaration, without padding", () => {
    expect(hexOf(point, { x: 1, y: 0x0203 })).toBe("010302");
    expect(decode(point, hex("01 03 02"))).toEqual({ x: 1, y: 0x0203 });
  });

  test("does not depend on the order of the value's properties", () => {
    expect(hexOf(point, { y: 2, x: 1 })).toBe(hexOf(point, { x: 1, y: 2 }));
  });
});

describe("a list", () => {
  test("is a u64 count and the elements", () => {
    expect(hexOf(vec(u16, 5), [1, 2])).toBe("020000000000000001000200");
    expect(hexOf(vec(u16, 5), [])).toBe("0000000000000000");
    expect(decode(vec(u16, 5), hex("02 00 00 00 00 00 00 00 01 00 02 00"))).toEqual([1, 2]);
  });

  test("holds as many elements as the limit allows, and not one more", () => {
    const wire = encode(vec(u8, 6), [1, 2, 3, 4, 5, 6]);
    expect(decode(vec(u8, 6), wire).length).toBe(6);
    expect(codeOf(vec(u8, 5), wire)).toBe("length-over-limit");
    expect(() => encode(vec(u8, 5), [1, 2, 3, 4, 5, 6])).toThrow(Bug);
  });

  test("that claims more elements than its bytes can hold is refused before the first is decoded", () => {
    let decoded = 0;
    const counting = mapped<number, number>(
      u16,
      (value) => {
        decoded += 1;
        return value;
      },
      (value) => value,
    );
    const unlimited = vec(counting, Number.MAX_SAFE_INTEGER);
    expect(codeOf(unlimited, hex("ff ff ff ff ff ff 1f 00 01 00 02 00"))).toBe("short");
    expect(codeOf(unlimited, hex("03 00 00 00 00 00 00 00 01 00 02 00"))).toBe("short");
    expect(decoded).toBe(0);
    expect(codeOf(unlimited, hex("02 00 00 00 00 00 00 00 01 00 02 00"))).toBe("accepted");
    expect(decoded).toBe(2);
  });

  test("of elements without bytes cannot claim a huge count for free", () => {
    expect(codeOf(vec(struct<object>({}), 2 ** 40), hex("00 00 00 00 01 00 00 00"))).toBe("short");
  });
});

describe("an option", () => {
  test("is the byte 0, or the byte 1 and the value", () => {
    expect(hexOf(option(u32), null)).toBe("00");
    expect(hexOf(option(u32), 7)).toBe("0107000000");
    expect(decode(option(u32), hex("00"))).toBeNull();
    expect(decode(option(u32), hex("01 07 00 00 00"))).toBe(7);
  });

  test("has no other tag", () => {
    for (let tag = 2; tag < 256; tag++) {
      expect(codeOf(option(u8), Uint8Array.of(tag, 0))).toBe("not-canonical");
    }
  });
});

describe("a union", () => {
  test("is a u32 tag, counted as declared, and the fields of the variant", () => {
    expect(hexOf(shape, { kind: "empty" })).toBe("00000000");
    expect(hexOf(shape, { kind: "circle", center: { x: 1, y: 2 }, radius: 5 })).toBe(
      "01000000 010200 0500000000000000".replaceAll(" ", ""),
    );
    expect(decode(shape, hex("02 00 00 00 00 00 00 00 00 00 00 00 01 01 00 00 00 00 00 00 00 61"))).toEqual({
      kind: "polygon",
      points: [],
      name: "a",
    });
  });

  test.each(["03 00 00 00", "ff ff ff ff", "00 01 00 00"])("knows no variant %s", (tag) => {
    expect(codeOf(shape, hex(`${tag} 00 00 00 00`))).toBe("unknown-variant");
  });

  test("does not encode a kind that it does not know", () => {
    expect(() => encode(shape, { kind: "line" } as unknown as Shape)).toThrow(Bug);
  });
});

describe("a mapped value", () => {
  test("has the bytes of the type below it", () => {
    const even = mapped(
      u8,
      (value) => value * 2,
      (value: number) => value / 2,
    );
    expect(hexOf(even, 6)).toBe("03");
    expect(decode(even, hex("03"))).toBe(6);
    expect(even.sizeMin).toBe(u8.sizeMin);
  });
});

const anyPoint = fc.record({ x: fc.nat(255), y: fc.nat(65_535) });
const anyHash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHash);
const anyText = fc.string({ unit: "binary", maxLength: 30 });
const anyShape: fc.Arbitrary<Shape> = fc.oneof(
  fc.constant({ kind: "empty" as const }),
  fc.record({ kind: fc.constant("circle" as const), center: anyPoint, radius: fc.maxSafeNat() }),
  fc.record({
    kind: fc.constant("polygon" as const),
    points: fc.array(anyPoint, { maxLength: 10 }),
    name: fc.option(anyText),
  }),
);
const anyDocument: fc.Arbitrary<Document> = fc.record({
  id: anyHash,
  version: fc.nat(0xffff_ffff),
  open: fc.boolean(),
  tag: fc.uint8Array({ minLength: 3, maxLength: 3 }),
  title: anyText,
  body: fc.uint8Array({ maxLength: 40 }),
  shapes: fc.array(anyShape, { maxLength: 6 }),
  parent: fc.option(anyHash),
  counts: fc.array(fc.maxSafeNat(), { maxLength: 5 }),
});

describe("any value", () => {
  test("comes back as it was", () => {
    fc.assert(
      fc.property(anyDocument, (value) => {
        expect(decode(document, encode(document, value))).toEqual(value);
      }),
    );
  });

  test("has at least as many bytes as its type says", () => {
    expect([point, shape, document].map((codec) => codec.sizeMin)).toEqual([3, 4, 32 + 4 + 1 + 3 + 8 + 8 + 8 + 1 + 8]);
    fc.assert(fc.property(anyDocument, (value) => encode(document, value).length >= document.sizeMin));
  });

  test("is refused when bytes are missing, at whichever byte it is cut", () => {
    fc.assert(
      fc.property(anyDocument, (value) => {
        const wire = encode(document, value);
        for (let size = 0; size < wire.length; size++) expect(codeOf(document, wire.slice(0, size))).toBe("short");
      }),
      { numRuns: 20 },
    );
  });

  test("is refused when a byte follows it", () => {
    fc.assert(
      fc.property(anyDocument, fc.uint8Array({ minLength: 1, maxLength: 9 }), (value, rest) => {
        expect(codeOf(document, Uint8Array.of(...encode(document, value), ...rest))).toBe("trailing-bytes");
      }),
    );
  });
});

describe("any bytes", () => {
  test("are refused with a DecodeError, or are the one encoding of what they decode to", () => {
    fc.assert(
      fc.property(anyDocument, fc.nat(), fc.nat(255), (value, place, byte) => {
        const wire = encode(document, value);
        wire[place % wire.length] = byte;
        expectCanonical(document, wire);
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (wire) => expectCanonical(shape, wire)),
      { numRuns: 500 },
    );
  });

  test("name the byte where they went wrong", () => {
    try {
      decode(point, hex("01 02"));
      throw new Error("it did not fail");
    } catch (error) {
      expect(error).toBeInstanceOf(DecodeError);
      expect((error as DecodeError).offset).toBe(1);
      expect((error as DecodeError).message).toContain("at byte 1");
    }
  });
});

function expectCanonical<T>(codec: Codec<T>, wire: Uint8Array): void {
  if (codeOf(codec, wire) === "accepted") expect(encode(codec, decode(codec, wire))).toEqual(wire);
}
