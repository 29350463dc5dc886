import { turnIntervalMs } from "../../node/outbox.ts";
import { describe, expect, test } from "bun:test";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { type Framing, frameBytes, openFrameUs, treeUs } from "./avalanche-charges.ts";
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
  framing: "paths",
  loadPerS: 500,
  warmUpMs: 300,
  measureMs: 300,
};

describe("a leaderless network of machines", () => {
  test("finalizes what its clients submit, below capacity", () => {
    const { finalPerS, polls, p99Ms, p50Ms } = measureScale(SMALL);
    // 150 vertices of a Poisson stream: four standard deviations.
    expect(Math.abs(finalPerS - 500)).toBeLessThan(170);
    expect(polls).toBeGreaterThanOrEqual(20);
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
  const shape = { bodies: 3, bodyBytes: 1_000, leaves: 100 };

  test("names every other statement's leaf, or brings a path for each of its own", () => {
    expect(frameBytes(shape, "leaves") - frameBytes({ ...shape, leaves: 99 }, "leaves")).toBe(36);
    expect(frameBytes(shape, "paths")).toBe(SEAL_BYTES + 16 + 1_000 + 3 * 8 + 3 * (8 + 7 * 32));
  });

  test("costs no tree of its own, or a climb for each of its bodies", () => {
    const us = (bodies: number, framing: Framing): number =>
      openFrameUs({ bodies, bodyBytes: 0, leaves: 100 }, framing, { ...REFERENCE_COSTS, decodePerKiBUs: 0 });
    expect(us(3, "leaves") - us(2, "leaves")).toBeCloseTo(2 * REFERENCE_COSTS.hashFixedUs, 6);
    expect(us(3, "paths") - us(2, "paths")).toBeCloseTo((2 + 2 + 7) * REFERENCE_COSTS.hashFixedUs, 6);
    expect([treeUs(100, "leaves", REFERENCE_COSTS), treeUs(100, "paths", REFERENCE_COSTS)]).toEqual([250, 0]);
  });

  test("with paths opens sooner where a turn has something else for each of many receivers", () => {
    const others = Array.from({ length: 99 }, (_, index) => (index + 1) as ValidatorIndex);
    const said = others.map((to): Said => ({ content: { kind: "query", poll: 1, lanes: [] }, bytes: 100, to: [to] }));
    const us = (["paths", "leaves"] as const).map((framing) => {
      const turn = closeTurn(0 as ValidatorIndex, said, { others, framing, costs: REFERENCE_COSTS });
      return turn.parcels.get(1 as ValidatorIndex)?.openUs ?? 0;
    });
    expect(us[0]).toBeLessThan((us[1] ?? 0) / 5);
  });

  test("opens with the others of its turn after one tree", () => {
    const others = [1, 2].map((index) => index as ValidatorIndex);
    const query: Said = { content: { kind: "query", poll: 1, lanes: [] }, bytes: 10, to: "all" };
    const answer: Said = { ...query, to: [1 as ValidatorIndex] };
    const costs = { ...REFERENCE_COSTS, encodeFixedUs: 0, decodePerKiBUs: 0, hashPerKiBUs: 0 };
    const turn = closeTurn(0 as ValidatorIndex, [query, answer], { others, framing: "leaves", costs });
    const us = others.map((other) => (turn.parcels.get(other)?.openUs ?? 0) / costs.hashFixedUs);
    expect(us).toEqual([2 * 2 + 2 * 2, 2 * 2 + 2]);
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
