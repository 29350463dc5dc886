import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measureMemory } from "./avalanche-memory.ts";
import { Replay, replayTape } from "./avalanche-memory-replay.ts";
import { entriesOf } from "./avalanche-memory-tape.ts";
import { SCALE_DEFAULTS, type ScaleQuestion } from "./avalanche-scale.ts";

const SMALL: ScaleQuestion = { ...SCALE_DEFAULTS, nodes: 8, turnMs: 40, loadPerS: 500 };

test("who plays a tape again comes to the state of the engine that was recorded, here and in a process of its own", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cretoai-tape-"));
  try {
    const tape = join(folder, "tape");
    const figures = measureMemory(SMALL, { silent: 0, untilMs: 1_000, tape });
    const replay = new Replay(SMALL);
    for (const { entry, bodies } of entriesOf(tape)) replay.take(entry, bodies);
    const { undecidedBundles, undecidedVertices } = replay.core.status();
    expect(figures.finalized).toBeGreaterThan(0);
    expect([undecidedBundles, undecidedVertices]).toEqual([figures.openBundles, figures.openVertices]);
    expect(replay.core.handOver().open.length).toBe(figures.openBundles + figures.settledBundles);

    const resident = await replayTape(tape, SMALL);
    expect(resident.openVertices).toBe(figures.openVertices);
    // One at each half second that began.
    expect(resident.during.length).toBeGreaterThan(0);
    expect(resident.most).toBeGreaterThanOrEqual(Math.max(...resident.during));
    expect(resident.liveHeap).toBeLessThan(resident.most);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
