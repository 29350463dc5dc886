import { z } from "zod";
import { CONFLICT_KEYS_MAX } from "../dag/conflict-keys.ts";
import { nearest } from "../lib/edit-distance.ts";
import { HOTSTUFF_DEFAULTS, type HotStuffChoice } from "../node/genesis-hotstuff.ts";
import { ATTACKS, DAG_ATTACKS, type Fault, type Plan, SIM_APPLICATIONS, SIM_ENGINES } from "./plan.ts";
import { CALM_DISK } from "./virtual-disk.ts";
import { CALM_LINKS } from "./virtual-network.ts";

export type PlanErrorCode = "not-json" | "invalid";

/** A plan that cannot be run. All problems are told at once: the field, what it is, what is allowed. */
export class PlanError extends Error {
  override readonly name = "PlanError";
  readonly code: PlanErrorCode;
  readonly problems: readonly string[];

  constructor(code: PlanErrorCode, source: string, problems: readonly string[]) {
    super(`${source}:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`);
    this.code = code;
    this.problems = problems;
  }
}

/** A plan with a sentence that says what it is for; "" for none. */
export interface PlanFile {
  readonly about: string;
  readonly plan: Plan;
}

export const SEED_MAX = 0xffff_ffff;
/** More than the simulator was ever tried with; a run of it takes minutes. */
export const SIM_NODES_MAX = 100;

/** An hour of virtual time: timers within it stay far from where fractions of a millisecond are rounded away. */
const TIME_MS_MAX = 3_600_000;
/** Of the numbers that a session remembers; the highest under way and the lowest are within them. */
const AT_A_TIME_MAX = 32;
const ENTRIES_MAX = 10_000;
const PROBLEMS_SHOWN = 20;

/** What a file leaves out. Kept plans rest on these values: with others they are other runs. */
export const BASE_PLAN: Plan = {
  engine: "pbft",
  nodes: 4,
  seed: 1,
  crypto: "modelled",
  links: CALM_LINKS,
  disks: CALM_DISK,
  clocks: [],
  timeouts: { floorMs: 250, initialMs: 500, capMs: 3_000 },
  windows: { checkpointInterval: 4, sendWindow: 12, receiveWindow: 24 },
  hotstuff: HOTSTUFF_DEFAULTS,
  sampling: { beta: 8, queryTimeoutMs: 400, patienceMs: 800, resolveAfterMs: 2_500 },
  reportIntervalMs: 60_000,
  joiners: 0,
  changes: [],
  liars: [],
  work: [],
  application: "log",
  snapshots: { interval: 20, kept: 2, joinGap: 0, retention: 0 },
  clients: [],
  spends: [],
  faults: [],
  chaosMs: 6_000,
  settleMs: 60_000,
};

type Shape = Readonly<Record<string, z.ZodType>>;

/** A table that names the nearest key for one that it does not know. */
function table<S extends Shape>(shape: S): z.ZodObject<S, z.core.$strict> {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === "unrecognized_keys") return unknownKeys(issue.keys ?? [], known);
      return wrong(issue.input, `a table with ${known.join(", ")}`);
    },
  });
}

function unknownKeys(keys: readonly string[], known: readonly string[]): string {
  return keys.map((key) => `has no key "${key}"; did you mean "${nearest(key, known)}"?`).join(" and ");
}

function wrong(input: unknown, allowed: string): string {
  return input === undefined ? `is missing; it must be ${allowed}` : `is ${shown(input)}, but must be ${allowed}`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function number(low: number, high: number): z.ZodType<number> {
  const error = (issue: { readonly input?: unknown }): string => wrong(issue.input, `a number ${low} to ${high}`);
  return z.number({ error }).min(low, { error }).max(high, { error });
}

function whole(low: number, high: number): z.ZodType<number> {
  const error = (issue: { readonly input?: unknown }): string => wrong(issue.input, `a whole number ${low} to ${high}`);
  return z.int({ error }).min(low, { error }).max(high, { error });
}

function oneOf<const N extends readonly string[]>(names: N): z.ZodType<N[number]> {
  return z.enum(names, {
    error: ({ input }) => {
      const hint = typeof input === "string" ? `; did you mean "${nearest(input, names)}"?` : "";
      return `${wrong(input, `one of ${names.join(", ")}`)}${hint}`;
    },
  });
}

function list<T extends z.ZodType>(of: T): z.ZodReadonly<z.ZodArray<T>> {
  const error = (issue: { readonly input?: unknown }): string => wrong(issue.input, "a list");
  return z.array(of, { error }).max(ENTRIES_MAX, `has more than ${ENTRIES_MAX} entries`).readonly();
}

const flag: z.ZodType<boolean> = z.boolean({ error: ({ input }) => wrong(input, "true or false") });
const time = number(0, TIME_MS_MAX);
const probability = number(0, 0.9);
const place = whole(0, 2 * SIM_NODES_MAX);
const pair = z.tuple([place, place], { error: ({ input }) => wrong(input, "[from, to]") }).readonly();

const faultShapes = {
  crash: { kind: z.literal("crash"), node: place, atMs: time, operations: whole(0, 1_000_000), downMs: time },
  partition: { kind: z.literal("partition"), atMs: time, durationMs: time, blocked: list(pair) },
  loss: {
    kind: z.literal("loss"),
    atMs: time,
    durationMs: time,
    messages: list(whole(0, 255)),
    from: list(place),
    to: list(place),
  },
  "disk-full": { kind: z.literal("disk-full"), node: place, atMs: time, durationMs: time },
  "slow-disk": { kind: z.literal("slow-disk"), node: place, atMs: time, durationMs: time, fsyncMs: time },
  "lost-disk": { kind: z.literal("lost-disk"), node: place, atMs: time, downMs: time },
  "wrong-state": { kind: z.literal("wrong-state"), node: place, atMs: time, durationMs: time },
} satisfies Readonly<Record<Fault["kind"], Shape>>;

const FAULTS = Object.keys(faultShapes);

const fault: z.ZodType<Fault> = z.discriminatedUnion(
  "kind",
  [
    table(faultShapes.crash),
    table(faultShapes.partition),
    table(faultShapes.loss),
    table(faultShapes["disk-full"]),
    table(faultShapes["slow-disk"]),
    table(faultShapes["lost-disk"]),
    table(faultShapes["wrong-state"]),
  ],
  { error: ({ input }) => wrong(kindOf(input), `a fault: one of ${FAULTS.join(", ")}`) },
);

function kindOf(input: unknown): unknown {
  return typeof input === "object" && input !== null ? Reflect.get(input, "kind") : input;
}

function isKeyCount(list_: readonly number[]): boolean {
  return list_.length >= 1 && list_.length <= CONFLICT_KEYS_MAX;
}

const phasesOf: z.ZodType<HotStuffChoice["phases"]> = z.union([z.literal(2), z.literal(3)], {
  error: ({ input }) => wrong(input, "2 or 3"),
});

const schema = table({
  about: z.string({ error: ({ input }) => wrong(input, "a text") }).default(""),
  engine: oneOf(SIM_ENGINES).default(BASE_PLAN.engine),
  nodes: whole(1, SIM_NODES_MAX).default(BASE_PLAN.nodes),
  seed: whole(0, SEED_MAX).default(BASE_PLAN.seed),
  crypto: oneOf(["modelled", "real"]).default(BASE_PLAN.crypto),
  links: table({
    delayMinMs: time,
    delayMaxMs: time,
    spread: number(0, 100).default(0),
    loss: probability,
    breakage: probability,
    duplication: probability,
  }).default(BASE_PLAN.links),
  disks: table({ fsyncMinMs: time, fsyncMaxMs: time, readMaxMs: time }).default(BASE_PLAN.disks),
  clocks: list(table({ skewMs: number(-TIME_MS_MAX, TIME_MS_MAX), driftPpm: number(-500_000, 500_000) })).default(
    BASE_PLAN.clocks,
  ),
  timeouts: table({
    floorMs: whole(1, TIME_MS_MAX),
    initialMs: whole(1, TIME_MS_MAX),
    capMs: whole(1, TIME_MS_MAX),
  }).default(BASE_PLAN.timeouts),
  windows: table({
    checkpointInterval: whole(1, 10_000),
    sendWindow: whole(1, 10_000),
    receiveWindow: whole(1, 20_000),
  }).default(BASE_PLAN.windows),
  hotstuff: table({
    phases: phasesOf,
    voteRoute: oneOf(["leader", "all"]),
    leaders: oneOf(["round-robin", "reputation"]).default(BASE_PLAN.hotstuff.leaders),
  }).default(BASE_PLAN.hotstuff),
  sampling: table({
    beta: whole(1, 1_000),
    queryTimeoutMs: whole(10, 60_000),
    patienceMs: whole(10, 600_000),
    resolveAfterMs: whole(11, TIME_MS_MAX),
  }).default(BASE_PLAN.sampling),
  reportIntervalMs: whole(1, TIME_MS_MAX).default(BASE_PLAN.reportIntervalMs),
  joiners: whole(0, SIM_NODES_MAX).default(BASE_PLAN.joiners),
  changes: list(
    table({ kind: oneOf(["admit", "dismiss", "leave"]), atMs: time, by: list(place), node: place }),
  ).default(BASE_PLAN.changes),
  liars: list(
    table({ node: place, attacks: list(oneOf([...ATTACKS, ...DAG_ATTACKS])).default([]), twin: flag.default(false) }),
  ).default(BASE_PLAN.liars),
  work: list(table({ node: place, atMs: time, payloads: whole(1, 10_000), bytes: whole(1, 65_536) })).default(
    BASE_PLAN.work,
  ),
  application: oneOf(SIM_APPLICATIONS).default(BASE_PLAN.application),
  snapshots: table({
    interval: whole(1, 10_000),
    kept: whole(1, 10),
    joinGap: whole(0, 10_000).default(0),
    retention: whole(0, 1_000_000).default(0),
  }).default(BASE_PLAN.snapshots),
  clients: list(
    table({ atMs: time, commands: whole(1, 10_000), atATime: whole(1, AT_A_TIME_MAX), patienceMs: whole(1, 60_000) }),
  ).default(BASE_PLAN.clients),
  spends: list(
    table({
      node: place,
      atMs: time,
      coins: list(whole(0, 1_000)).refine(isKeyCount, `has not 1 to ${CONFLICT_KEYS_MAX} entries`),
    }),
  ).default(BASE_PLAN.spends),
  faults: list(fault).default(BASE_PLAN.faults),
  chaosMs: time.default(BASE_PLAN.chaosMs),
  settleMs: time.default(BASE_PLAN.settleMs),
});

/**
 * Reads a plan; `source` names it in messages.
 * @throws PlanError
 */
export function parsePlan(text: string, source: string): PlanFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new PlanError("not-json", source, [`is not JSON: ${error instanceof Error ? error.message : String(error)}`]);
  }
  const read = schema.safeParse(json);
  const problems = read.success ? contradictions(read.data) : read.error.issues.map(problemOf);
  if (!read.success || problems.length > 0) throw new PlanError("invalid", source, problems.slice(0, PROBLEMS_SHOWN));
  const { about, ...plan } = read.data;
  return { about, plan };
}

function problemOf({ path, message }: z.core.$ZodIssue): string {
  const field = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`)).join("");
  return `${field === "" ? "the plan" : field.replace(/^\./, "")} ${message}`;
}

/** What each field allows and all together do not. */
function contradictions(plan: Plan): readonly string[] {
  const { nodes, joiners, changes, liars, work, spends, faults, clocks, links, disks, windows, timeouts, sampling } =
    plan;
  const problems: string[] = [];
  const processes = nodes + joiners + liars.filter(({ twin }) => twin).length;
  const check = (field: string, value: number, below: number): void => {
    if (value >= below) problems.push(`${field} is ${value}, but must be 0 to ${below - 1}`);
  };
  const order = (field: string, low: number, high: number): void => {
    if (low > high) problems.push(`${field} is ${low} and ${high}, but the first must not be above the second`);
  };
  liars.forEach(({ node }, at) => {
    check(`liars[${at}].node`, node, nodes);
    if (liars.findIndex((other) => other.node === node) !== at) problems.push(`liars[${at}].node ${node} lies twice`);
  });
  for (const [at, { node }] of work.entries()) check(`work[${at}].node`, node, nodes + joiners);
  for (const [at, { node }] of spends.entries()) check(`spends[${at}].node`, node, nodes + joiners);
  problems.push(...ofAnotherEngine(plan), ...ofNoApplication(plan));
  changes.forEach(({ kind, by, node }, at) => {
    check(`changes[${at}].node`, node, nodes + joiners);
    for (const one of by) check(`changes[${at}].by`, one, nodes + joiners);
    if (kind === "leave" && by.some((one) => one !== node))
      problems.push(`changes[${at}].by is ${by.join(", ")}, but only node ${node} itself can leave`);
  });
  faults.forEach((given, at) => {
    for (const node of nodesOf(given)) check(`faults[${at}]: node`, node, processes);
  });
  if (clocks.length > processes) problems.push(`clocks has ${clocks.length} entries for ${processes} processes`);
  if (liars.length >= nodes)
    problems.push(`liars has ${liars.length} entries, but one of ${nodes} nodes must be correct`);
  order("links.delayMinMs, links.delayMaxMs", links.delayMinMs, links.delayMaxMs);
  order("disks.fsyncMinMs, disks.fsyncMaxMs", disks.fsyncMinMs, disks.fsyncMaxMs);
  order("timeouts.floorMs, timeouts.initialMs", timeouts.floorMs, timeouts.initialMs);
  order("timeouts.initialMs, timeouts.capMs", timeouts.initialMs, timeouts.capMs);
  order("windows.checkpointInterval, windows.sendWindow", windows.checkpointInterval, windows.sendWindow);
  order("sampling.patienceMs + 1, sampling.resolveAfterMs", sampling.patienceMs + 1, sampling.resolveAfterMs);
  order("windows.sendWindow, windows.receiveWindow", windows.sendWindow, windows.receiveWindow);
  return problems;
}

/** What only a leaderless network has. */
function ofAnotherEngine({ engine, liars, spends }: Plan): readonly string[] {
  if (engine === "avalanche") return [];
  const problems = spends.length > 0 ? [`spends has ${spends.length} entries, but only avalanche knows conflicts`] : [];
  const dagAttacks: readonly string[] = DAG_ATTACKS;
  const found = liars.flatMap(({ attacks }) => attacks).filter((name) => dagAttacks.includes(name));
  return found.length === 0
    ? problems
    : [...problems, `liars do ${found.join(", ")}, but the engine is ${engine}: those attacks are on avalanche`];
}

/** What only a network with a replicated application has; that wants an engine that orders everything. */
function ofNoApplication({ engine, application, clients }: Plan): readonly string[] {
  if (application === "log")
    return clients.length > 0 ? [`clients has ${clients.length} entries, but the application is log`] : [];
  return engine === "avalanche"
    ? [`application is ${application}, but avalanche does not order everything: only log runs on it`]
    : [];
}

/** The processes that a fault names. */
export function nodesOf(fault: Fault): readonly number[] {
  switch (fault.kind) {
    case "partition":
      return fault.blocked.flat();
    case "loss":
      return [...fault.from, ...fault.to];
    default:
      return [fault.node];
  }
}

/** JSON with one line for each fault, liar and work; what is as in `BASE_PLAN` is left out. Reads back as the same plan. */
export function printPlan({ about, plan }: PlanFile): string {
  const lines: string[] = about === "" ? [] : [`  "about": ${JSON.stringify(about)}`];
  const always = ["nodes", "seed"];
  for (const [key, value] of Object.entries({ ...BASE_PLAN, ...plan })) {
    const base: unknown = Reflect.get(BASE_PLAN, key);
    if (!always.includes(key) && JSON.stringify(value) === JSON.stringify(base)) continue;
    lines.push(`  "${key}": ${printValue(value)}`);
  }
  return `{\n${lines.join(",\n")}\n}\n`;
}

function printValue(value: unknown): string {
  if (!Array.isArray(value) || value.length === 0) return spaced(value);
  return `[\n${value.map((entry) => `    ${spaced(entry)}`).join(",\n")}\n  ]`;
}

function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, inner]) => `"${key}": ${spaced(inner)}`);
  return `{ ${entries.join(", ")} }`;
}
