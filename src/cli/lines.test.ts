import { describe, expect, test } from "bun:test";
import { linesOfStream } from "./lines.ts";

async function* chunks(...parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === "string" ? new TextEncoder().encode(part) : part;
}

async function lines(parts: readonly (string | Uint8Array)[], bytesMax = 100): Promise<readonly string[][]> {
  const groups: string[][] = [];
  for await (const group of linesOfStream(chunks(...parts), bytesMax)) groups.push(group.map((line) => line.toHex()));
  return groups;
}

const hex = (text: string): string => new TextEncoder().encode(text).toHex();

describe("the lines of a stream", () => {
  test("come in the groups of the stream, whatever its chunks cut apart", async () => {
    expect(await lines(["a\nb\nc", "d\n", "e\nf"])).toEqual([
      [hex("a"), hex("b")],
      [hex("cd")],
      [hex("e")],
      [hex("f")],
    ]);
  });

  test("lose their ends, and are left out where they are empty", async () => {
    expect(await lines(["a\r\n\n\r\nb\n"])).toEqual([[hex("a"), hex("b")]]);
    expect(await lines(["a\r", "\nb"])).toEqual([[hex("a")], [hex("b")]]);
    expect(await lines(["", "\n"])).toEqual([]);
  });

  test("keep bytes that are no UTF-8, spaces too", async () => {
    expect(await lines([new Uint8Array([0xff, 0xc3, 0x0a, 0x20, 0x0a])])).toEqual([["ffc3", "20"]]);
  });

  test("of more bytes than allowed are refused by their number, also where no end comes", async () => {
    expect(await lines(["1234\n123\n"], 4)).toEqual([[hex("1234"), hex("123")]]);
    expect(lines(["1\n\n12345\n"], 4)).rejects.toThrow("line 3 has more than 4 bytes");
    expect(lines(["1\n", "123", "45"], 4)).rejects.toThrow("line 2 has more than 4 bytes");
  });
});
