import { describe, expect, test } from "bun:test";
import { asciiBytes } from "./ascii.ts";
import { Bug } from "./assert.ts";

describe("ASCII text", () => {
  test("is one byte per character", () => {
    expect(asciiBytes("cretoai/v1\0")).toEqual(new Uint8Array(Buffer.from("cretoai/v1\0", "latin1")));
    expect(asciiBytes("")).toEqual(new Uint8Array(0));
  });

  test.each(["é", "\u0080", "€", "𝒳"])("has no %s", (character) => {
    expect(() => asciiBytes(`a${character}`)).toThrow(Bug);
  });
});
