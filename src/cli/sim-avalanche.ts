import { faultTolerance } from "../membership/quorum.ts";
import { DAG_ADVERSARIES, type DagAdversaryName } from "../sim/avalanche/dag-behaviour.ts";
import { dagPlanOf, type DagPlanWords } from "../sim/avalanche/dag-plan.ts";
import { type DagResult, runDagPlan } from "../sim/avalanche/dag-run.ts";
import { SEED_MAX } from "../sim/plan-file.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { Progress } from "./progress.ts";

/** The words of `sim avalanche` as they are typed. */
export interface SimAvalancheWords {
  readonly runs?: string;
  readonly seed?: string;
  readonly nodes?: string;
  readonly byzantine?: string;
  readonly adversary?: string;
  readonly json?: boolean;
}

const RUNS = 100;
const RUNS_MAX = 10_000_000;
const NODES_MAX = 100;

/** Runs the pure Avalanche engines of a network against liars, one seed a run. Exit status 1 on any violation, 2 for wrong words. */
export function simAvalanche(words: SimAvalancheWords): void {
  const runs = numberOf("--runs", words.runs, 1, RUNS_MAX) ?? RUNS;
  const drawn = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const seedFrom = numberOf("--seed", words.seed, 0, SEED_MAX - runs) ?? drawn;
  const fixed = fixedOf(words);
  const isJson = words.json === true;
  if (!isJson) console.log(`seeds ${seedFrom} to ${seedFrom + runs - 1}: avalanche`);
  const { byzantine, nodes } = fixed;
  if (!isJson && byzantine !== undefined && nodes !== undefined && byzantine > faultTolerance(nodes))
    console.log(`${byzantine} of ${nodes} lie: above ${faultTolerance(nodes)} nothing is promised`);
  const progress = new Progress(runs, "runs");
  const beganMs = performance.now();
  const results: DagResult[] = [];
  for (let seed = seedFrom; seed < seedFrom + runs; seed++) {
    const result = runDagPlan(dagPlanOf({ seed, ...fixed }));
    results.push(result);
    if (isJson) console.log(JSON.stringify({ type: "run", ...result }));
    else if (result.verdict === "violation") {
      progress.end();
      console.log(`violation of ${result.invariant}: ${result.detail}\n  again: ${repeat(words, seed)}`);
    }
    progress.advance({ units: 1, count: 1 });
  }
  progress.end();
  const violations = results.filter(({ verdict }) => verdict === "violation");
  tell(results, performance.now() - beganMs, isJson);
  if (violations.length > 0) throw new CommandFailed(`${violations.length} of ${runs} runs broke a promise`);
}

function fixedOf(words: SimAvalancheWords): Omit<DagPlanWords, "seed"> {
  const nodes = numberOf("--nodes", words.nodes, 4, NODES_MAX);
  const byzantine = numberOf("--byzantine", words.byzantine, 0, (nodes ?? NODES_MAX) - 1);
  if (byzantine !== null && nodes === null) throw usage("--byzantine goes with --nodes");
  const adversary = words.adversary === undefined ? null : adversaryOf(words.adversary);
  return {
    ...(nodes === null ? {} : { nodes }),
    ...(byzantine === null ? {} : { byzantine }),
    ...(adversary === null ? {} : { adversary }),
  };
}

function adversaryOf(text: string): DagAdversaryName {
  const found = DAG_ADVERSARIES.find((name) => name === text);
  if (found !== undefined) return found;
  throw usage(`--adversary is ${JSON.stringify(text)}, but must be one of ${DAG_ADVERSARIES.join(", ")}`);
}

function repeat(words: SimAvalancheWords, seed: number): string {
  const kept = (["nodes", "byzantine", "adversary"] as const).flatMap((name) => {
    const value = words[name];
    return value === undefined ? [] : [` --${name} ${value}`];
  });
  return `cretoai-node sim avalanche${kept.join("")} --seed ${seed} --runs 1`;
}

function tell(results: readonly DagResult[], wallMs: number, isJson: boolean): void {
  const sum = (of: (result: DagResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  const totals = {
    runs: results.length,
    passed: sum(({ verdict }) => (verdict === "pass" ? 1 : 0)),
    events: sum(({ events }) => events),
    checks: sum(({ checks }) => checks),
    bundles: sum(({ bundles }) => bundles),
    contested: sum(({ contested }) => contested),
    resolutions: sum(({ resolutions }) => resolutions),
  };
  if (isJson) {
    console.log(JSON.stringify({ type: "summary", ...totals, wallMs: Math.round(wallMs) }));
    return;
  }
  const rows: readonly (readonly [name: string, value: number])[] = [
    ["runs", totals.runs],
    ["passed", totals.passed],
    ["violations", totals.runs - totals.passed],
    ["events", totals.events],
    ["checks", totals.checks],
    ["bundles", totals.bundles],
    ["contested sets", totals.contested],
    ["decided by the log", totals.resolutions],
  ];
  for (const [name, value] of rows) console.log(`${name.padEnd(20)}${value.toLocaleString("en-US")}`);
  console.log(`${"real time".padEnd(20)}${(wallMs / 1_000).toFixed(1)} s`);
}

function numberOf(name: string, text: string | undefined, low: number, high: number): number | null {
  if (text === undefined) return null;
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= low && value <= high) return value;
  throw usage(`${name} is ${JSON.stringify(text)}, but must be a whole number ${low} to ${high}`);
}

function usage(message: string): CommandFailed {
  return new CommandFailed(message, EXIT.usage);
}
