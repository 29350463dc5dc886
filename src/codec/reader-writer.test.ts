import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DecodeError, Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

describe("a writer", () => {
  test("grows from any capacity and keeps what was written", () => {
    fc.assert(
      fc.property(fc.nat(40), fc.array(fc.uint8Array({ maxLength: 50 })), (capacity, parts) => {
        const writer = new Writer(capacity);
        for (const part of parts) writer.bytes(part);
        expect(writer.length).toBe(parts.reduce((sum, part) => sum + part.length, 0));
        expect(writer.finish().toHex()).toBe(Buffer.concat(parts).toString("hex"));
      }),
    );
  });

  test("writes each width right where it has to grow in the middle", () => {
    const writer = new Writer(16);
    writer.bytes(new Uint8Array(15));
    writer.u16(0x0102);
    writer.u32(0x03040506);
    writer.u64(0x1_0000_0007);
    expect(writer.finish().subarray(15).toHex()).toBe(`0201${"06050403"}${"0700000001000000"}`);
  });
});

describe("a reader", () => {
  test("counts what it has read and what is left", () => {
    const reader = new Reader(new Uint8Array(10));
    reader.u8();
    reader.u32();
    expect([reader.offset, reader.remaining]).toEqual([5, 5]);
    expect(() => reader.end()).toThrow("5 bytes too many at byte 5");
    reader.bytes(5);
    reader.end();
  });

  test("does not move when bytes are missing", () => {
    const reader = new Reader(Uint8Array.of(1, 2, 3));
    for (const read of [() => reader.u32(), () => reader.u64(), () => reader.hash(), () => reader.bytes(4)]) {
      expect(read).toThrow(DecodeError);
      expect(reader.offset).toBe(0);
    }
    expect(reader.u16()).toBe(0x0201);
  });

  test("hands out what lies between a place and the cursor", () => {
    const reader = new Reader(Uint8Array.of(1, 2, 3, 4));
    reader.u8();
    const from = reader.offset;
    reader.u16();
    expect(reader.since(from)).toEqual(Uint8Array.of(2, 3));
  });

  test("reads nothing outside the view that it was given", () => {
    const buffer = Uint8Array.of(9, 9, 1, 2, 9, 9);
    const reader = new Reader(buffer.subarray(2, 4));
    expect(reader.u16()).toBe(0x0201);
    expect(() => reader.u8()).toThrow(DecodeError);
  });
});
