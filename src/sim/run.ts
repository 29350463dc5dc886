import { drainMicrotasks } from "bun:jsc";
import { correctKind, liarKind, type Planted } from "./kinds.ts";
import type { Liar, Plan, SimApplication } from "./plan.ts";
import type { Recorder } from "./recorder.ts";
import { heal, scheduleChanges, scheduleFault, scheduleWork } from "./script.ts";
import { type Invariant, Violation } from "./violation.ts";
import { type WatchedDag, World } from "./world.ts";

export interface RunOptions extends Planted {
  readonly recorder?: Recorder;
  /** Entries of the schedule after which a run goes round in circles. Default 3,000,000. */
  readonly eventsMax?: number;
}

export interface RunResult {
  readonly seed: number;
  readonly nodes: number;
  readonly application: SimApplication;
  readonly verdict: "pass" | "violation";
  readonly invariant: Invariant | null;
  readonly detail: string;
  /** Entries of the schedule and steps of engines. */
  readonly events: number;
  readonly checks: number;
  readonly virtualMs: number;
  /** Vertices in the agreed order. */
  readonly ordered: number;
  readonly accepted: number;
  /** Commands of clients to the replicated application whose outcome they were told. */
  readonly commands: number;
  /** The highest view of a correct node at the end. */
  readonly view: number;
  readonly liars: number;
  /** Of those, who lied where it can be seen (`Oracle`), and of these, whom a correct node found out. */
  readonly visible: number;
  readonly detected: number;
  readonly fingerprint: string;
}

const EVENTS_MAX = 3_000_000;

/** Between two looks at the real event loop: the native hash's buffers are freed only there. */
const EVENTS_PER_BREATH = 5_000;

/** How often the end of a run is looked for, in virtual milliseconds. */
const LOOK_MS = 100;

/** One whole run. The same plan gives the same result, to the last event, on any machine. */
export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const world = new World({
    plan,
    kindOf: (inside, place, liar) => (liar === null ? correctKind(inside, place, options) : liarKind(inside, liar)),
    recorder: options.recorder ?? null,
  });
  scheduleWork(world);
  scheduleChanges(world);
  for (const fault of plan.faults) scheduleFault(world, fault);
  for (const client of world.clients) client.begin();
  for (const node of world.nodes) node.start();
  world.schedule.at(plan.chaosMs, () => heal(world));
  const endMs = plan.chaosMs + plan.settleMs;
  const done = await turn(world, endMs, options.eventsMax ?? EVENTS_MAX);
  await breathe();
  if (!done)
    world.fail(new Violation("liveness", `not done ${plan.settleMs} ms after the last fault: ${describe(world)}`));
  return resultOf(world);
}

/** Runs the schedule; answers whether everything was done in time. */
async function turn(world: World, endMs: number, eventsMax: number): Promise<boolean> {
  const { schedule, plan } = world;
  let lookAtMs = plan.chaosMs + LOOK_MS;
  for (;;) {
    const next = schedule.nextAtMs();
    if (next === null || next > endMs || world.violation !== null) return isDone(world);
    if (next > lookAtMs) {
      if (isDone(world)) return true;
      lookAtMs = next + LOOK_MS;
    }
    schedule.runNext();
    drainMicrotasks();
    if (schedule.ran > eventsMax) {
      world.fail(new Violation("liveness", `more than ${eventsMax} events: ${describe(world)}`));
      return true;
    }
    if (schedule.ran % EVENTS_PER_BREATH === 0) await breathe();
  }
}

/** What is open everywhere is over, nobody is behind; of what lies beside the log. */
function isDagDone(world: World, { checker }: WatchedDag): boolean {
  const correct = world.correct();
  const sequences = new Set(correct.map(({ node }) => node?.status().lastBatch ?? -1));
  if (sequences.size > 1 || sequences.has(-1)) return false;
  // What only one held whose lane died with its place stays open with it.
  const isOpen = correct.some(
    ({ node, place }) => !world.gone.has(place) && node?.status().dag?.undecidedBundles !== 0,
  );
  if (isOpen) return false;
  return openIn(world, checker) === null;
}

function openIn(world: World, checker: WatchedDag["checker"]): string | null {
  const places = world.correct().map(({ place }) => place);
  return checker.openAt(places, (place) => world.gone.has(place));
}

/** Every vertex that a correct node called accepted is final at every correct node, all have the same order, and every client its answers. */
function isDone(world: World): boolean {
  const { checker } = world;
  const correct = world.correct();
  if (world.dag !== null) return isDagDone(world, world.dag);
  if (world.clients.some(({ isDone: isAnswered }) => !isAnswered)) return false;
  if (correct.some(({ node, place }) => node === null || checker.position(place) !== checker.ordered)) return false;
  return correct.every(({ place }) => {
    for (const [vertex, creator] of world.accepted) {
      if (!world.gone.has(creator) && !checker.hasFinal(place, vertex)) return false;
    }
    return true;
  });
}

function resultOf(world: World): RunResult {
  const { plan, checker, dag, violation, schedule } = world;
  const isVisible = ({ node }: Liar): boolean => world.oracle.acted.has(node);
  const isDetected = (liar: Liar): boolean => isVisible(liar) && world.detected.has(liar.node);
  return {
    seed: plan.seed,
    nodes: plan.nodes,
    application: plan.application,
    verdict: violation === null ? "pass" : "violation",
    invariant: violation?.invariant ?? null,
    detail: violation?.message ?? "",
    events: schedule.ran + world.steps,
    checks: checker.checks + (world.replicas?.checks ?? 0) + (dag === null ? 0 : dag.checker.checks + dag.rules.checks),
    virtualMs: Math.round(schedule.nowMs),
    ordered: (dag?.checker ?? checker).ordered,
    accepted: world.accepted.size,
    commands: world.clients.reduce((sum, { answered }) => sum + answered, 0),
    view: Math.max(...world.correct().map(({ engine }) => engine?.status().view ?? 0)),
    liars: plan.liars.length,
    visible: plan.liars.filter(isVisible).length,
    detected: plan.liars.filter(isDetected).length,
    fingerprint: world.fingerprint.toString(),
  };
}

function describe(world: World): string {
  const open = world.dag === null ? null : openIn(world, world.dag.checker);
  const nodes = world.correct().map((node) => {
    const status = node.engine?.status();
    if (status === undefined) return `${node.place}:down`;
    const view = `${status.view}${status.active ? "" : "?"}`;
    const silence = node.node?.readiness().reasons.join("; ") ?? "";
    const position = (world.dag?.checker ?? world.checker).position(node.place);
    const dag = node.node?.status().dag ?? null;
    const undecided = dag === null ? "" : `,u${dag.undecidedBundles}/${dag.undecidedVertices}`;
    return `${node.place}:v${view},x${status.executed},h${status.stable},p${position}${undecided} ${silence}`;
  });
  const clients = world.clients.filter((client) => !client.isDone).map(({ standing }) => standing);
  return [...(open === null ? [] : [open]), ...clients, ...nodes].join(" | ");
}

function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
