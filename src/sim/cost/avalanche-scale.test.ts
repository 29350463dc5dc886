import { turnIntervalMs } from "../../node/outbox.ts";
import { describe, expect, test } from "bun:test";
import { hashOf } from "../../crypto/hash.ts";
import { MerkleTree } from "../../crypto/merkle.ts";
import { HASH_BYTES } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { frameBytes, partOfTree } from "./avalanche-charges.ts";
import { Machine } from "./avalanche-machine.ts";
import { StepMeter } from "./avalanche-meter.ts";
import { measureScale, SCALE_DEFAULTS, type ScaleQuestion } from "./avalanche-scale.ts";
import { closeTurn, type Said } from "./avalanche-turn.ts";
import { REFERENCE_COSTS } from "./cost-table.ts";
import { SEAL_BYTES } from "./work.ts";

const SMALL: ScaleQuestion = {
  ...SCALE_DEFAULTS,
  nodes: 4,
  turnMs: 6,
  loadPerS: 500,
  warmUpMs: 300,
  measureMs: 300,
};

describe("a leaderless network of machines", () => {
  test("finalizes what its clients submit, below capacity", () => {
    const { finalPerS, polls, p99Ms, p50Ms } = measureScale(SMALL);
    // 150 vertices of a Poisson stream: four standard deviations.
    expect(Math.abs(finalPerS - 500)).toBeLessThan(170);
    expect(polls).toBeGreaterThanOrEqual(5);
    expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  });

  test("does the same again with the same seed, and other things with another", () => {
    const virtual = (seed: number): unknown => {
      const { measuredToCharged: _, engineCosts: __, ...figures } = measureScale({ ...SMALL, seed });
      return figures;
    };
    expect(virtual(3)).toEqual(virtual(3));
    expect(virtual(3)).not.toEqual(virtual(4));
  });

  test("takes longer where turns are rarer", () => {
    expect(measureScale({ ...SMALL, turnMs: 20 }).p50Ms).toBeGreaterThan(measureScale(SMALL).p50Ms);
  });
});

describe("a turn's frame", () => {
  const others = Array.from({ length: 99 }, (_, index) => (index + 1) as ValidatorIndex);

  test("is charged the digests that it really brings, and those that its receiver really hashes", () => {
    const leaves = Array.from({ length: 37 }, (_, at) => hashOf("statement", Uint8Array.of(at)));
    for (const indices of [[0], [36], [0, 1], [1, 2], [3, 17, 36], leaves.map((_, at) => at)]) {
      const { complement } = partOfTree(37, indices);
      expect(complement * HASH_BYTES).toBe(new MerkleTree(leaves).complement(indices).length);
    }
    // Of four leaves the first: its digest, two above it, and the root.
    expect(partOfTree(4, [0])).toEqual({ hashes: 4, complement: 2 });
    expect(partOfTree(4, [0, 1, 2, 3])).toEqual({ hashes: 8, complement: 0 });
  });

  test("weighs its seal, its bodies and these digests", () => {
    const shape = { bodies: 3, bodyBytes: 1_000, part: { hashes: 9, complement: 5 } };
    expect(frameBytes(shape)).toBe(SEAL_BYTES + 16 + 1_000 + 3 * 10 + 5 * 32);
  });

  test("costs a receiver nothing for what others are told", () => {
    const saidTo = (count: number): Said[] =>
      others.slice(0, count).map((to) => ({ content: { kind: "query", poll: 1, lanes: [] }, bytes: 100, to: [to] }));
    const us = [2, 64].map((count) => {
      const turn = closeTurn(0 as ValidatorIndex, saidTo(count), { others, costs: REFERENCE_COSTS });
      return turn.parcels.get(1 as ValidatorIndex)?.openUs ?? 0;
    });
    expect(us[1]).toBeLessThan(3 * (us[0] ?? 0));
  });
});

describe("a machine", () => {
  test("does one thing after the other on its event loop and on its link", () => {
    const machine = new Machine(REFERENCE_COSTS);
    expect([machine.loop(10, 2_000), machine.loop(10, 1_000), machine.loop(20, 500)]).toEqual([12, 13, 20.5]);
    expect([machine.send(0, 125_000), machine.send(0, 125_000)]).toEqual([1, 2]);
    expect(machine.use).toMatchObject({ loopUs: 3_500, bytesOut: 250_000 });
  });

  test("checks on as many other cores as it has", () => {
    const machine = new Machine({ ...REFERENCE_COSTS, coresPerNode: 3 });
    expect([machine.pool(0, 1_000), machine.pool(0, 1_000), machine.pool(0, 1_000)]).toEqual([1, 1, 2]);
  });
});

test("a meter charges what it measured", () => {
  let nowUs = 0;
  const meter = new StepMeter(() => nowUs);
  for (let units = 1; units <= 50; units++) {
    meter.run("votes", units, () => {
      nowUs += 10 + 3 * units + (units % 2);
    });
  }
  const { votes } = meter.costs();
  expect([Math.round(votes.fixedUs), Math.round(votes.perUnitUs)]).toEqual([11, 3]);
  const { measuredUs, chargedUs } = meter.compare(meter.costs());
  expect(measuredUs).toBe(nowUs);
  expect(chargedUs).toBeCloseTo(measuredUs, 6);
  meter.clear();
  expect(meter.compare(meter.costs())).toEqual({ measuredUs: 0, chargedUs: 0 });
});

test("turns become rarer as the network grows", () => {
  expect([4, 20, 100, 1_000].map(turnIntervalMs)).toEqual([6, 20, 100, 100]);
});
