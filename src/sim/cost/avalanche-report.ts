import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { turnIntervalMs } from "../../node/outbox.ts";
import { type MemoryRun, measureMemory } from "./avalanche-memory.ts";
import { type ResidentFigures, replayTape } from "./avalanche-memory-replay.ts";
import { measureScale, type ScaleFigures, type ScaleQuestion } from "./avalanche-scale.ts";

const MIB = 1_048_576;

const HEAD = `${"nodes".padStart(5)}${"turn ms".padStart(9)}${"final/s".padStart(9)}${"p50 ms".padStart(8)}${"p95".padStart(7)}${"p99".padStart(7)}${"polls".padStart(7)}${"loop".padStart(7)}${"engine".padStart(8)}${"cores".padStart(7)}${"disk".padStart(7)}${"MB/s out".padStart(10)}${"in".padStart(6)}${"measured/charged".padStart(18)}`;

/** What the leaderless network does at several sizes, each run with its own virtual seconds: text for people. */
export function scaleReport(sizes: readonly number[], question: Omit<ScaleQuestion, "nodes" | "turnMs">): string {
  return [HEAD, ...sizes.map((nodes) => row(measureScale({ ...question, nodes, turnMs: turnIntervalMs(nodes) })))].join(
    "\n",
  );
}

function row(figures: ScaleFigures): string {
  const { nodes, turnMs, finalPerS, p50Ms, p95Ms, p99Ms, polls, loop, engine, cores, disk } = figures;
  const whole = (value: number, width: number): string => Math.round(value).toString().padStart(width);
  const share = (value: number, width: number): string => value.toFixed(2).padStart(width);
  return [
    whole(nodes, 5),
    whole(turnMs, 9),
    whole(finalPerS, 9),
    whole(p50Ms, 8),
    whole(p95Ms, 7),
    whole(p99Ms, 7),
    polls.toFixed(1).padStart(7),
    share(loop, 7),
    share(engine, 8),
    share(cores, 7),
    share(disk, 7),
    whole(figures.bytesOutPerS / 1e6, 10),
    whole(figures.bytesInPerS / 1e6, 6),
    share(figures.measuredToCharged, 18),
  ].join("");
}

/** The heap of one engine under a load, and with some validators down, so that nothing is decided; then a process with it alone. */
export async function memoryReport(question: ScaleQuestion, run: Omit<MemoryRun, "tape">): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "cretoai-scale-"));
  try {
    const tape = join(folder, "tape");
    const figures = measureMemory(question, { ...run, tape });
    const resident = await replayTape(tape, question);
    return [
      `${question.nodes} nodes, ${run.silent} of them down, ${figures.ranMs / 1_000} s`,
      `  one engine with its copies of all that it keeps: ${mib(figures.enginePerNode)} MiB, without them ${mib(figures.ownPerNode)} MiB`,
      `  names and winners of the past, once full: ${mib(figures.pastWhenFull)} MiB`,
      `  in memory: ${figures.settledBundles} settled bundles, ${figures.openBundles} open ones with ${figures.openVertices} vertices; final so far: ${figures.finalized}`,
      `  a process in which the first of them alone does the same again: ${residentText(resident)}`,
    ].join("\n");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function residentText({ atBegin, during, most, heap, liveHeap, afterwards }: ResidentFigures): string {
  return [
    `${mib(atBegin)} MiB resident at its begin, then each half second ${during.map((each) => Math.round(each / MIB)).join(" ")}, at the most ${mib(most)};`,
    `    its heap ${mib(heap)} MiB, ${mib(liveHeap)} after a collection; some seconds later ${mib(afterwards)} MiB resident`,
  ].join("\n");
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
