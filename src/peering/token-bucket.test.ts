import { describe, expect, test } from "bun:test";
import { TokenBucket } from "./token-bucket.ts";

describe("a token bucket", () => {
  test("lets a burst pass and then asks for a pause that the rate allows", () => {
    const bucket = new TokenBucket({ rate: 10, burst: 5, nowMs: 0 });
    for (let index = 0; index < 5; index++) expect(bucket.take(1, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBe(100);
    expect(bucket.take(1, 200)).toBe(0);
  });

  test("never holds more than its burst, however long it was quiet", () => {
    const bucket = new TokenBucket({ rate: 1_000, burst: 2, nowMs: 0 });
    expect(bucket.take(3, 1e9)).toBe(1);
  });

  test("does not go into debt where it only tries", () => {
    const bucket = new TokenBucket({ rate: 10, burst: 1, nowMs: 0 });
    expect(bucket.tryTake(1, 0)).toBe(true);
    for (let index = 0; index < 1_000; index++) expect(bucket.tryTake(1, 0)).toBe(false);
    expect(bucket.tryTake(1, 100)).toBe(true);
  });

  test("a clock that goes back gives nothing", () => {
    const bucket = new TokenBucket({ rate: 10, burst: 1, nowMs: 1_000 });
    expect(bucket.tryTake(1, 1_000)).toBe(true);
    expect(bucket.tryTake(1, 0)).toBe(false);
  });
});
