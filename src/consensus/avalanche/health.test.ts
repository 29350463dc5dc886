import { describe, expect, test } from "bun:test";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { Health } from "./health.ts";
import { BACK_OFF_MAX_MS, BACK_OFF_MS } from "./limits.ts";

const PEER = 2 as ValidatorIndex;

describe("a validator that lets queries time out", () => {
  test("is not asked for a while, which doubles up to its bound", () => {
    const health = new Health();
    const lengths: number[] = [];
    for (let time = 0; time < 10; time++) {
      health.onTimeout(PEER, 1_000);
      let ms = 0;
      while (health.isBackedOff(PEER, 1_000 + ms)) ms += 50;
      lengths.push(ms);
    }
    expect(lengths.slice(0, 3)).toEqual([BACK_OFF_MS, 2 * BACK_OFF_MS, 4 * BACK_OFF_MS]);
    expect(lengths.at(-1)).toBe(BACK_OFF_MAX_MS);
  });

  test("is asked again as soon as anything is heard of it", () => {
    const health = new Health();
    health.onTimeout(PEER, 0);
    health.onHeard(PEER);
    expect(health.isBackedOff(PEER, 1)).toBe(false);
  });
});

describe("a partition", () => {
  test("is said once more than half of the queries time out, and once it is over", () => {
    const health = new Health();
    const changes: boolean[] = [];
    const poll = (silent: number): void => {
      if (health.onPoll(5, silent)) changes.push(health.isPartitioned);
    };
    for (let time = 0; time < 10; time++) poll(3);
    for (let time = 0; time < 10; time++) poll(0);
    expect(changes).toEqual([true, false]);
  });

  test("is none where exactly half are silent, or one of four", () => {
    for (const [asked, silent] of [
      [2, 1],
      [3, 1],
      [6, 3],
    ] as const) {
      const health = new Health();
      for (let time = 0; time < 50; time++) expect(health.onPoll(asked, silent)).toBe(false);
    }
  });

  test("is not begun by a single bad poll", () => {
    const health = new Health();
    expect(health.onPoll(5, 5)).toBe(false);
    expect(health.isPartitioned).toBe(false);
  });
});
