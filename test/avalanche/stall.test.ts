import { expect, test } from "bun:test";
import { runStall } from "../../src/sim/avalanche/dag-stall.ts";

const RUN_MS_MAX = 120_000;
const WORDS = { nodes: 20, byzantine: 6, seed: 1 };

test(
  "liars that see everything keep a double spend undecided where nothing but sampling decides",
  () => {
    const { endMs, looks } = runStall({ ...WORDS, hasFallback: false, untilMs: 2_000 });
    expect(endMs).toBeNull();
    expect(looks.every(({ decided }) => decided === 0)).toBe(true);
  },
  RUN_MS_MAX,
);

test(
  "and not where votes and the log stand behind it",
  () => {
    expect(runStall({ ...WORDS, hasFallback: true, untilMs: 12_000 }).endMs).not.toBeNull();
  },
  RUN_MS_MAX,
);
