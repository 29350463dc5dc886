import { expect, test } from "bun:test";
import { equalBytes } from "./bytes.ts";

test("bytes are equal when every one is, wherever they lie", () => {
  const all = Uint8Array.of(1, 2, 3, 1, 2, 3);
  expect(equalBytes(all.subarray(0, 3), all.subarray(3))).toBe(true);
  expect(equalBytes(new Uint8Array(0), new Uint8Array(0))).toBe(true);
});

test("bytes differ by one byte, and by their length", () => {
  expect(equalBytes(Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 4))).toBe(false);
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false);
});
