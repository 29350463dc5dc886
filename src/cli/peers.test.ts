import { expect, test } from "bun:test";
import { CommandFailed } from "./exit-codes.ts";
import { secondsOf } from "./peers.ts";

test("a time is a number with its unit, in seconds", () => {
  expect(["1s", "90s", "10m", "2h", "1d", "365d"].map(secondsOf)).toEqual([1, 90, 600, 7_200, 86_400, 31_536_000]);
});

test("what is no time is refused with the range", () => {
  for (const text of ["", "0s", "10", "m", "-5m", "1.5h", "366d", "1w", "9999999999s"]) {
    expect(() => secondsOf(text)).toThrow(CommandFailed);
    expect(() => secondsOf(text)).toThrow(/from 1s to 365d/);
  }
});
