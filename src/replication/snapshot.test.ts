import { describe, expect, test } from "bun:test";
import { decode } from "../codec/codec.ts";
import { struct } from "../codec/composites.ts";
import { bytes } from "../codec/primitives.ts";
import type { Hash } from "../lib/hash.ts";
import type { Position, Sequence } from "../membership/ids.ts";
import { CHUNK_BYTES_MAX } from "./replicated.ts";
import { encodeManifest, manifestCodec } from "./snapshot.ts";
import { packChunks, unpackChunks } from "./snapshot-chunks.ts";

const hashOfDigit = (digit: string): Hash => digit.repeat(64) as Hash;

describe("a manifest", () => {
  test("has these bytes, and no others are it", () => {
    const manifest = {
      format: 1,
      application: "kv",
      sequence: 7 as Sequence,
      position: 99 as Position,
      root: hashOfDigit("a"),
      sessionChunks: [hashOfDigit("b")],
      stateChunks: [hashOfDigit("c"), hashOfDigit("d")],
    };
    const hex = [
      "0100 0200000000000000 6b76 0700000000000000 6300000000000000",
      hashOfDigit("a"),
      `0100000000000000 ${hashOfDigit("b")}`,
      `0200000000000000 ${hashOfDigit("c")} ${hashOfDigit("d")}`,
    ];
    const wire = encodeManifest(manifest);
    expect(wire.toHex()).toBe(hex.join("").replaceAll(" ", ""));
    expect(decode(manifestCodec, wire)).toEqual(manifest);
  });
});

describe("chunks", () => {
  const recordCodec = struct<{ readonly content: Uint8Array }>({ content: bytes(CHUNK_BYTES_MAX) });
  const framed = (content: Uint8Array): Uint8Array => {
    const record = new Uint8Array(8 + content.length);
    new DataView(record.buffer).setUint32(0, content.length, true);
    record.set(content, 8);
    return record;
  };

  test("are as full as whole records allow, and give them back", () => {
    const sizes = [0, 5, CHUNK_BYTES_MAX - 8, 1, CHUNK_BYTES_MAX / 2, CHUNK_BYTES_MAX / 2 - 16, CHUNK_BYTES_MAX / 2];
    const records = sizes.map((size, at) => new Uint8Array(size).fill(at));
    const chunks = [...packChunks(records, framed)];
    const half = CHUNK_BYTES_MAX / 2;
    expect(chunks.map((chunk) => chunk.length)).toEqual([21, CHUNK_BYTES_MAX, 9 + 8 + half, CHUNK_BYTES_MAX]);
    expect([...unpackChunks(recordCodec, chunks)].map(({ content }) => content.length)).toEqual(sizes);
  });

  test("of nothing are none", () => {
    expect([...packChunks([], framed)]).toEqual([]);
  });
});
