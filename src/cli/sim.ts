import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { faultTolerance } from "../membership/quorum.ts";
import { campaign, CampaignError, type TimedResult } from "../sim/campaign.ts";
import { minimise } from "../sim/minimise.ts";
import { pictureOf, pictureWindow } from "../sim/picture.ts";
import { pageOf } from "../sim/picture-page.ts";
import type { Plan } from "../sim/plan.ts";
import { printPlan } from "../sim/plan-file.ts";
import { Recorder } from "../sim/recorder.ts";
import { runPlan } from "../sim/run.ts";
import { NO_TOTALS, type Totals, withResult } from "../sim/totals.ts";
import { traceText } from "../sim/trace-text.ts";
import { CommandFailed } from "./exit-codes.ts";
import { Progress } from "./progress.ts";
import { quoted, type SimTask, type SimWords, taskOf } from "./sim-options.ts";
import { speedOf, summaryOf } from "./sim-report.ts";

/** Failures that are minimised; the others are most likely the same bug. */
const MINIMISED_MAX = 3;

/** Runs many seeds, or looks at one. Exit status 1 on any violation, 2 for wrong words. */
export async function sim(words: SimWords): Promise<void> {
  const task = taskOf(words);
  introduce(task);
  const violations = task.picture === null && task.trace === null ? await runAll(task) : await lookAtOne(task);
  if (violations > 0) throw new CommandFailed(`${violations} of ${task.runs} runs broke a promise of the protocol`);
}

function introduce(task: SimTask): void {
  if (task.json) return;
  const { seedFrom, runs, planOf } = task;
  const { nodes, engine, crypto } = planOf(seedFrom);
  const seeds = runs === 1 ? `seed ${seedFrom}` : `seeds ${seedFrom} to ${seedFrom + runs - 1}`;
  const jobs = Math.min(runs, task.jobs);
  const processes = jobs === 1 ? "1 process" : `${jobs} processes`;
  console.log(`${seeds}: ${nodes} nodes, ${engine}, ${crypto} signatures, ${task.application}, ${processes}`);
  const { liars } = planOf(seedFrom);
  if (liars.length > faultTolerance(nodes))
    console.log(
      `${liars.length} of ${nodes} lie: above ${faultTolerance(nodes)} nothing is promised, so violations are no bugs`,
    );
}

async function runAll(task: SimTask): Promise<number> {
  const progress = new Progress(task.runs, "runs");
  const beganMs = performance.now();
  const failed: TimedResult[] = [];
  let totals = NO_TOTALS;
  let violations = 0;
  try {
    for await (const result of campaign(task)) {
      totals = withResult(totals, result);
      if (task.json) printJson({ type: "run", ...result });
      if (result.verdict === "violation") {
        violations += 1;
        progress.end();
        if (!task.json) console.log(describe(task, result));
        const isNew = failed.every(({ invariant }) => invariant !== result.invariant);
        if (isNew && failed.length < MINIMISED_MAX) failed.push(result);
      }
      progress.advance({ units: 1, count: 1 });
    }
  } catch (error) {
    if (!(error instanceof CampaignError)) throw error;
    throw new CommandFailed(`${error.message}\n  again: ${task.repeat(error.seed)}`);
  } finally {
    progress.end();
  }
  const wallMs = performance.now() - beganMs;
  for (const result of failed) await keepLeast(task, result);
  tellSummary(task, totals, wallMs);
  return violations;
}

function tellSummary(task: SimTask, totals: Totals, wallMs: number): void {
  if (!task.json) return console.log(summaryOf(totals, wallMs));
  const { seedFrom } = task;
  const eventsPerSecond = Math.round(speedOf(totals, wallMs));
  printJson({ type: "summary", seedFrom, ...totals, wallMs: Math.round(wallMs), eventsPerSecond });
}

function describe(task: SimTask, { seed, detail }: TimedResult): string {
  return `VIOLATION with seed ${seed}: ${detail}\n  again:     ${task.repeat(seed)}`;
}

/** Minimises a failure within the time for it, writes the plan and says how to run it. */
async function keepLeast(task: SimTask, { seed, invariant, detail }: TimedResult): Promise<void> {
  const plan = task.planOf(seed);
  const untilMs = performance.now() + task.minimiseMs;
  const stillFails = async (candidate: Plan): Promise<boolean> => (await runPlan(candidate)).invariant === invariant;
  const least = await minimise(plan, stillFails, { isTimeUp: () => performance.now() >= untilMs });
  mkdirSync(task.keep, { recursive: true });
  const file = join(task.keep, `${invariant}-${seed}.json`);
  // The first line only: a stack names folders of this machine.
  const about = `Found with seed ${seed}: ${detail.split("\n", 1).join("")}`.slice(0, 300);
  writeFileSync(file, printPlan({ about, plan: least.plan }));
  const replay = `cretoai-node sim --plan ${quoted(file)}`;
  if (task.json) {
    return printJson({
      type: "violation",
      seed,
      invariant,
      detail,
      again: task.repeat(seed),
      file,
      replay,
      runs: least.runs,
    });
  }
  const parts = `${partsOf(least.plan)} of ${partsOf(plan)} parts left after ${least.runs} runs`;
  console.log(`${invariant}, seed ${seed}, minimised: ${parts}\n  plan:      ${file}\n  replay:    ${replay}`);
}

/** Faults, pieces of work and attacks: what a plan consists of. */
function partsOf({ faults, work, clients, spends, liars }: Plan): number {
  return (
    faults.length +
    work.length +
    clients.length +
    spends.length +
    liars.reduce((sum, { attacks }) => sum + Math.max(1, attacks.length), 0)
  );
}

async function lookAtOne(task: SimTask): Promise<number> {
  const plan = task.planOf(task.seedFrom);
  const { window } = task;
  const recorder = new Recorder(task.picture === null ? window : pictureWindow(window));
  const beganMs = performance.now();
  const result = await runPlan(plan, { recorder });
  const timed: TimedResult = { ...result, wallMs: performance.now() - beganMs };
  const { records } = recorder;
  if (task.trace !== null) writeFileSync(task.trace, traceText(records.filter(({ atMs }) => isIn(window, atMs))));
  if (task.picture !== null) {
    const svg = pictureOf({ plan, records, ...window, endMs: result.virtualMs });
    writeFileSync(task.picture, task.picture.endsWith(".html") ? pageOf(svg, `Seed ${plan.seed}`) : svg);
  }
  if (task.json) printJson({ type: "run", ...timed });
  else for (const file of [task.trace, task.picture]) if (file !== null) console.log(`written: ${file}`);
  if (result.verdict === "violation" && !task.json) console.log(describe(task, timed));
  tellSummary(task, withResult(NO_TOTALS, timed), timed.wallMs);
  return result.verdict === "violation" ? 1 : 0;
}

function isIn({ fromMs, untilMs }: SimTask["window"], atMs: number): boolean {
  return atMs >= fromMs && atMs <= untilMs;
}

function printJson(value: unknown): void {
  console.log(JSON.stringify(value));
}
