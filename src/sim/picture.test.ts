import { describe, expect, test } from "bun:test";
import { arrowsOf, scaleOf } from "./picture-layout.ts";
import { pictureOf, pictureWindow } from "./picture.ts";
import { pageOf } from "./picture-page.ts";
import { kindOf } from "./picture-style.ts";
import type { Plan } from "./plan.ts";
import { BASE_PLAN } from "./plan-file.ts";
import { Recorder, type TraceRecord } from "./recorder.ts";
import { runPlan } from "./run.ts";

const PLAN: Plan = {
  ...BASE_PLAN,
  work: [{ node: 1, atMs: 600, payloads: 5, bytes: 40 }],
  liars: [{ node: 3, attacks: ["equivocate", "garbage"], twin: false }],
  faults: [
    { kind: "crash", node: 0, atMs: 700, operations: 0, downMs: 300 },
    { kind: "partition", atMs: 620, durationMs: 400, blocked: [[1, 2]] },
  ],
};

async function drawn(fromMs: number, untilMs: number): Promise<string> {
  const window = { fromMs, untilMs };
  const recorder = new Recorder(pictureWindow(window));
  const { virtualMs } = await runPlan(PLAN, { recorder });
  return pictureOf({ plan: PLAN, records: recorder.records, ...window, endMs: virtualMs });
}

function way(kind: "sent" | "delivered", atMs: number, frame: number): TraceRecord {
  return { kind, atMs, from: 0, to: 1, lane: "consensus", label: "prepare v0 s1", frame };
}

describe("a picture of a run", () => {
  test("shows every node, messages, crosses, crashes and faults", async () => {
    const svg = await drawn(590, 1_100);
    for (const words of [
      "node 0",
      "node 3",
      "lies: equivocate",
      "pre-prepare v0 s1",
      "✕ crash",
      "▲ start",
      "partition 1↛2",
    ]) {
      expect(svg).toContain(words);
    }
    expect(svg).toContain('class="cross"');
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("is the same for the same run, and well-formed", async () => {
    const svg = await drawn(590, 800);
    expect(await drawn(590, 800)).toBe(svg);
    const opened = svg.match(/<(g|text|title|circle|svg|style)\b(?:[^>]*[^/>])?>/g) ?? [];
    const closed = svg.match(/<\/(g|text|title|circle|svg|style)>/g) ?? [];
    expect(opened.length).toBe(closed.length);
  });

  test("of a window in which nothing happens is drawn, too", async () => {
    expect(await drawn(0, 1)).toContain("</svg>");
    expect(await drawn(3_000_000, 3_000_001)).not.toContain("NaN");
  });

  test("can stand in a page, whose title may hold any text", () => {
    expect(pageOf("<svg/>", "a <b>")).toContain("<title>a &lt;b></title>");
  });
});

describe("the messages of a picture", () => {
  test("are paired in order; what comes twice is a copy, what does not come is lost", () => {
    const arrows = arrowsOf([
      way("sent", 1, 7),
      way("sent", 2, 7),
      way("delivered", 3, 7),
      way("delivered", 4, 7),
      way("delivered", 5, 7),
      way("sent", 6, 8),
    ]);
    expect(arrows.map(({ sentMs, arrivedMs, isCopy }) => [sentMs, arrivedMs, isCopy])).toEqual([
      [1, 3, false],
      [2, 4, false],
      [2, 5, true],
      [6, null, false],
    ]);
  });

  test("have the colour of the first thing that they say", () => {
    expect(kindOf("pre-prepare v0 s1, prepare v0 s1")).toBe("pre-prepare");
    expect(kindOf("prepare v0 s1")).toBe("prepare");
    expect(kindOf("status v1 x3")).toBe("status");
    expect(kindOf("")).toBe("garbage");
  });
});

describe("the time axis of a picture", () => {
  test("never runs backwards, leaves room for labels and shortens idle time", () => {
    const moments = [0, 1, 1.001, 1.002, 500, 90_000].map((atMs) => ({ atMs, rows: ["a"] }));
    const { yOf, breaks, bottom } = scaleOf(moments, 100);
    const heights = moments.map(({ atMs }) => yOf(atMs));
    for (const [at, y] of heights.entries())
      expect(y - (heights[at - 1] ?? 0)).toBeGreaterThanOrEqual(at === 0 ? 100 : 15);
    expect(breaks.map(({ ms }) => Math.round(ms))).toContain(89_500);
    expect(bottom).toBeLessThan(600);
    expect(yOf(250)).toBeGreaterThan(yOf(2));
  });
});
