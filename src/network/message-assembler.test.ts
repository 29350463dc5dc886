import { describe, expect, test } from "bun:test";
import { MessageAssembler, messageHeader, OversizeMessage } from "./message-assembler.ts";

function framed(...messages: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(messages.flatMap((message) => [messageHeader(message.length), message]));
}

function pattern(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 7) & 0xff);
}

describe("a byte stream", () => {
  const messages = [pattern(1), pattern(900), pattern(70_000), pattern(3), pattern(200_000), pattern(1_024)];
  const stream = framed(...messages);

  for (const size of [1, 2, 3, 5, 63, 64, 1_023, 1_024, 1_025, 65_536, stream.length]) {
    test(`in chunks of ${size} bytes comes out as its messages`, () => {
      const assembler = new MessageAssembler();
      const out: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += size) out.push(...assembler.push(stream.slice(at, at + size)));
      expect(out.length).toBe(messages.length);
      for (const [index, message] of messages.entries()) {
        expect(Buffer.compare(out[index] ?? new Uint8Array(0), message)).toBe(0);
      }
      expect(assembler.buffered).toBe(0);
    });
  }

  test("in chunks of all sizes in turn comes out as its messages, and they stay as they were", () => {
    const assembler = new MessageAssembler();
    const out: Uint8Array[] = [];
    const sizes = [1, 1_500, 2, 0, 700, 4_000, 1, 1, 1];
    for (let at = 0, turn = 0; at < stream.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1;
      out.push(...assembler.push(stream.slice(at, at + size)));
      at += size;
    }
    expect(out.map((message) => Buffer.from(message).toString("base64"))).toEqual(
      messages.map((message) => Buffer.from(message).toString("base64")),
    );
  });
});

describe("what waits for its end", () => {
  test("takes memory like its bytes, also where every byte comes alone", () => {
    const size = 1_000_000;
    const assembler = new MessageAssembler();
    Bun.gc(true);
    const before = process.memoryUsage().heapUsed;
    assembler.push(messageHeader(size));
    for (let index = 1; index < size; index++) {
      assembler.push(Uint8Array.of(index & 0xff));
      assembler.push(new Uint8Array(0));
    }
    Bun.gc(true);
    // As chunks of their own the bytes took more than 70 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(20 * size);
    expect(assembler.buffered).toBe(size + 3);
    expect(assembler.push(Uint8Array.of(9))[0]?.length).toBe(size);
  });

  test("is refused by its header when it is too large, and buffers nothing for it", () => {
    const assembler = new MessageAssembler(100);
    expect(assembler.push(framed(pattern(100)))).toHaveLength(1);
    expect(() => assembler.push(messageHeader(101))).toThrow(OversizeMessage);
  });

  test("a length of 0 is a keep-alive", () => {
    expect(new MessageAssembler().push(framed(pattern(0), pattern(0), pattern(2)))).toHaveLength(1);
  });
});
