import { readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { editDistance, nearest } from "../lib/edit-distance.ts";
import { ATTACKS, type AttackName, DAG_ATTACKS, type Plan, SIM_APPLICATIONS, SIM_ENGINES } from "../sim/plan.ts";
import { parsePlan, PlanError, SEED_MAX, SIM_NODES_MAX } from "../sim/plan-file.ts";
import { planOf } from "../sim/swarm.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

/** The words of `sim` as they are typed. */
export interface SimWords {
  readonly nodes?: string;
  readonly engine?: string;
  readonly app?: string;
  readonly seed?: string;
  readonly runs?: string;
  readonly byzantine?: string;
  readonly attacks?: string;
  readonly plan?: string;
  readonly until?: string;
  readonly crypto?: string;
  readonly jobs?: string;
  readonly json?: boolean;
  readonly keep: string;
  readonly minimise: string;
  readonly picture?: string;
  readonly trace?: string;
  readonly from?: string;
  readonly to?: string;
}

export interface SimTask {
  readonly seedFrom: number;
  readonly runs: number;
  readonly jobs: number;
  readonly planOf: (seed: number) => Plan;
  /** What the order drives, for people. */
  readonly application: string;
  /** The words that repeat the run of one seed. */
  readonly repeat: (seed: number) => string;
  readonly json: boolean;
  readonly keep: string;
  readonly minimiseMs: number;
  readonly picture: string | null;
  readonly trace: string | null;
  readonly window: { readonly fromMs: number; readonly untilMs: number };
}

const RUNS = 100;
const RUNS_MAX = 10_000_000;
const JOBS_MAX = 256;
/** An hour of virtual time, as in a plan. */
const SECONDS_MAX = 3_600;

/** How much of a run a picture shows unless told, in virtual milliseconds. */
const PICTURE_MS = 1_000;

/** @throws CommandFailed with the exit status of wrong usage */
export function taskOf(words: SimWords): SimTask {
  const given = words.plan === undefined ? null : readPlan(words.plan);
  if (given !== null) refuseBoth(words);
  const seed = numberOf("--seed", words.seed, 0, SEED_MAX);
  const runs = numberOf("--runs", words.runs, 1, RUNS_MAX) ?? (isLookedAt(words) || given !== null ? 1 : RUNS);
  const seedFrom = seed ?? given?.seed ?? freshSeed(runs);
  if (seedFrom + runs - 1 > SEED_MAX)
    throw usage(`--seed ${seedFrom} and --runs ${runs} go beyond the last seed, ${SEED_MAX}`);
  if (isLookedAt(words) && runs !== 1)
    throw usage(`--picture and --trace show one run: --runs is ${runs}, but must be 1`);
  if (words.picture !== undefined && !/\.(svg|html)$/.test(words.picture))
    throw usage(`--picture is ${JSON.stringify(words.picture)}, but must end in .svg or .html`);
  requireFolder("--picture", words.picture);
  requireFolder("--trace", words.trace);
  const fromMs = numberOf("--from", words.from, 0, SECONDS_MAX * 1_000) ?? 0;
  const untilMs = numberOf("--to", words.to, 0, SECONDS_MAX * 1_000);
  if (!isLookedAt(words) && (words.from ?? words.to) !== undefined)
    throw usage("--from and --to go with --picture or --trace");
  if (untilMs !== null && untilMs <= fromMs) throw usage(`--to is ${untilMs}, but must be above --from, ${fromMs}`);
  return {
    seedFrom,
    runs,
    jobs: numberOf("--jobs", words.jobs, 1, JOBS_MAX) ?? availableParallelism(),
    ...plansOf(words, given),
    json: words.json ?? false,
    keep: words.keep,
    minimiseMs: 1_000 * (numberOf("--minimise", words.minimise, 0, SECONDS_MAX) ?? 0),
    picture: words.picture ?? null,
    trace: words.trace ?? null,
    window: { fromMs, untilMs: untilMs ?? (words.picture === undefined ? Infinity : fromMs + PICTURE_MS) },
  };
}

function plansOf(words: SimWords, given: Plan | null): Pick<SimTask, "planOf" | "application" | "repeat"> {
  const chaosS = numberOf("--until", words.until, 1, SECONDS_MAX);
  const until = chaosS === null ? {} : { chaosMs: chaosS * 1_000 };
  const crypto = words.crypto === undefined ? {} : { crypto: oneOf("--crypto", words.crypto, ["modelled", "real"]) };
  const kept = (["nodes", "engine", "app", "byzantine", "attacks", "until", "crypto"] as const).flatMap((name) => {
    const value = words[name];
    return value === undefined ? [] : [`--${name} ${quoted(value)}`];
  });
  const command = (first: readonly string[], seed: number): string =>
    ["cretoai-node sim", ...first, ...kept, `--seed ${seed}`, "--runs 1"].join(" ");
  if (given !== null && words.plan !== undefined) {
    const plan = quoted(words.plan);
    return {
      planOf: (seed) => ({ ...given, ...until, ...crypto, seed }),
      application: given.application,
      repeat: (seed) => command([`--plan ${plan}`], seed),
    };
  }
  const nodes = numberOf("--nodes", words.nodes, 1, SIM_NODES_MAX) ?? 4;
  const byzantine = numberOf("--byzantine", words.byzantine, 0, nodes - 1);
  const engine = oneOf("--engine", words.engine ?? "pbft", SIM_ENGINES);
  const application = words.app === undefined ? {} : { application: oneOf("--app", words.app, SIM_APPLICATIONS) };
  if (engine === "avalanche" && (application.application ?? "log") !== "log")
    throw usage(`--app is ${words.app}, but avalanche does not order everything: only log runs on it`);
  const known = engine === "avalanche" ? [...ATTACKS, ...DAG_ATTACKS] : ATTACKS;
  const attacks = words.attacks === undefined ? {} : { attacks: attacksOf(words.attacks, known) };
  const fixed = {
    nodes,
    engine,
    ...application,
    ...crypto,
    ...until,
    ...attacks,
    ...(byzantine === null ? {} : { byzantine }),
  };
  const byWord = engine === "avalanche" ? "log" : words.app;
  return {
    planOf: (seed) => planOf({ seed, ...fixed }),
    application: byWord ?? "applications by the seed",
    repeat: (seed) => command([], seed),
  };
}

/** A word as a shell takes it. */
export function quoted(path: string): string {
  return /^[\w.,/-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function readPlan(file: string): Plan {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw usage(`--plan ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  try {
    return parsePlan(text, file).plan;
  } catch (error) {
    throw error instanceof PlanError ? usage(error.message) : error;
  }
}

function refuseBoth(words: SimWords): void {
  for (const name of ["nodes", "engine", "app", "byzantine", "attacks"] as const) {
    if (words[name] !== undefined) throw usage(`--${name} and --plan exclude each other: the plan says it`);
  }
}

/** Before the run: exit status 1 would read as a violation. */
function requireFolder(name: string, file: string | undefined): void {
  if (file === undefined || statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw usage(`${name} ${file} cannot be written: there is no folder ${dirname(file)}`);
}

function isLookedAt({ picture, trace }: SimWords): boolean {
  return (picture ?? trace) !== undefined;
}

/** Campaigns of one day do not repeat each other; the seed is printed. */
function freshSeed(runs: number): number {
  const drawn = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  return Math.min(drawn, SEED_MAX - runs + 1);
}

function numberOf(name: string, text: string | undefined, low: number, high: number): number | null {
  if (text === undefined) return null;
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= low && value <= high) return value;
  throw usage(`${name} is ${JSON.stringify(text)}, but must be a whole number ${low} to ${high}`);
}

function oneOf<N extends string>(name: string, text: string, names: readonly N[]): N {
  const found = names.find((known) => known === text);
  if (found !== undefined) return found;
  const near = nearest(text, names);
  // What shares less than half of its letters is no slip of a finger.
  const hint = editDistance(text, near) * 2 > near.length ? "" : `; did you mean "${near}"?`;
  throw usage(`${name} is ${JSON.stringify(text)}, but must be one of ${names.join(", ")}${hint}`);
}

function attacksOf(text: string, known: readonly AttackName[]): readonly AttackName[] {
  return text.split(",").map((name) => oneOf("--attacks", name.trim(), known));
}

function usage(message: string): CommandFailed {
  return new CommandFailed(message, EXIT.usage);
}
