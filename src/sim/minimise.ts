import type { Fault, Plan } from "./plan.ts";
import { BASE_PLAN, nodesOf } from "./plan-file.ts";

export interface MinimiseOptions {
  /** Runs after which the smallest plan so far is taken. Default 400. */
  readonly runsMax?: number;
  /** Answers true when there is no time for another run. */
  readonly isTimeUp?: () => boolean;
}

export interface Minimised {
  readonly plan: Plan;
  /** Runs that it took. */
  readonly runs: number;
}

const RUNS_MAX = 400;

/** Shorter than this no duration is tried, in milliseconds. */
const SHORT_MS = 20;

/** Between the last thing that a plan does and the end of its faults, in milliseconds. */
const REST_MS = 100;

/**
 * A smaller plan that still fails: fewer faults, work, clients, liars and attacks (delta debugging, Zeller & Hildebrandt 2002), then
 * plainer values, until nothing can be taken away. `stillFails` has to ask for the same invariant, or another failure is
 * what is left. The settle time stays: with less of it a slow run would look like a stuck one.
 */
export async function minimise(
  plan: Plan,
  stillFails: (plan: Plan) => Promise<boolean>,
  { runsMax = RUNS_MAX, isTimeUp = () => false }: MinimiseOptions = {},
): Promise<Minimised> {
  const search = new Search(plan, stillFails, () => search.runs >= runsMax || isTimeUp());
  for (let before: Plan | null = null; before !== search.plan && !search.isOver(); ) {
    before = search.plan;
    await shrinkLists(search);
    for (const simpler of SIMPLER) await search.tryAll(simpler);
  }
  return { plan: search.plan, runs: search.runs };
}

/** The smallest failing plan so far. */
class Search {
  readonly #stillFails: (plan: Plan) => Promise<boolean>;
  readonly isOver: () => boolean;
  plan: Plan;
  runs = 0;

  constructor(plan: Plan, stillFails: (plan: Plan) => Promise<boolean>, isOver: () => boolean) {
    this.plan = plan;
    this.#stillFails = stillFails;
    this.isOver = isOver;
  }

  async tries(candidate: Plan): Promise<boolean> {
    if (this.isOver() || JSON.stringify(candidate) === JSON.stringify(this.plan)) return false;
    this.runs += 1;
    if (!(await this.#stillFails(candidate))) return false;
    this.plan = candidate;
    return true;
  }

  /** Each simpler plan that still fails is the one from which the next ones are made. */
  async tryAll(simpler: (plan: Plan) => readonly Plan[]): Promise<void> {
    let at = 0;
    for (let candidates = simpler(this.plan); at < candidates.length && !this.isOver(); ) {
      const candidate = candidates[at];
      if (candidate !== undefined && (await this.tries(candidate))) candidates = simpler(this.plan);
      else at += 1;
    }
  }

  /** ddmin: leaves out ever smaller parts of a list. */
  async shrink<T>(list: readonly T[], put: (plan: Plan, list: readonly T[]) => Plan): Promise<void> {
    let kept = list;
    for (let size = kept.length; size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < kept.length && !this.isOver(); ) {
        const without = [...kept.slice(0, from), ...kept.slice(from + size)];
        if (await this.tries(put(this.plan, without))) kept = without;
        else from += size;
      }
    }
  }
}

async function shrinkLists(search: Search): Promise<void> {
  await search.shrink(search.plan.faults, (plan, faults) => ({ ...plan, faults }));
  await search.shrink(search.plan.work, (plan, work) => ({ ...plan, work }));
  await search.shrink(search.plan.clients, (plan, clients) => ({ ...plan, clients }));
  await search.shrink(search.plan.spends, (plan, spends) => ({ ...plan, spends }));
  // A second twin is a process of its own, whose number others' faults name: twins are not taken away.
  const twins = search.plan.liars.filter(({ twin }) => twin);
  const alone = search.plan.liars.filter(({ twin }) => !twin);
  await search.shrink(alone, (plan, kept) => ({ ...plan, liars: [...twins, ...kept] }));
  for (const [at, liar] of search.plan.liars.entries()) {
    await search.shrink(liar.attacks, (plan, attacks) => {
      return { ...plan, liars: plan.liars.map((other, index) => (index === at ? { ...other, attacks } : other)) };
    });
  }
  for (const [at, fault] of search.plan.faults.entries()) {
    if (fault.kind === "partition")
      await search.shrink(fault.blocked, (plan, blocked) => put(plan, at, { ...fault, blocked }));
    if (fault.kind === "loss") await shrinkLoss(search, at);
  }
}

async function shrinkLoss(search: Search, at: number): Promise<void> {
  for (const key of ["messages", "from", "to"] as const) {
    const fault = search.plan.faults[at];
    if (fault?.kind !== "loss") return;
    await search.shrink(fault[key], (plan, list) => {
      const now = plan.faults[at];
      return now?.kind === "loss" ? put(plan, at, { ...now, [key]: list }) : plan;
    });
  }
}

function put(plan: Plan, at: number, fault: Fault): Plan {
  return { ...plan, faults: plan.faults.map((other, index) => (index === at ? fault : other)) };
}

/** Plans that are a little plainer, the boldest first. */
const SIMPLER: readonly ((plan: Plan) => readonly Plan[])[] = [
  (plan) => {
    const { links, disks, clocks, timeouts, windows, sampling, reportIntervalMs, snapshots } = BASE_PLAN;
    return [
      { ...plan, application: "log", snapshots, clients: [] },
      { ...plan, links, disks, clocks, timeouts, windows, sampling, reportIntervalMs },
      { ...plan, links },
      { ...plan, disks },
      { ...plan, clocks },
      { ...plan, timeouts },
      { ...plan, windows },
      { ...plan, sampling },
      { ...plan, reportIntervalMs },
      { ...plan, snapshots },
      { ...plan, links: { ...plan.links, loss: 0 } },
      { ...plan, links: { ...plan.links, breakage: 0 } },
      { ...plan, links: { ...plan.links, duplication: 0 } },
    ];
  },
  (plan) => fewerNodes(plan),
  (plan) =>
    plan.work.flatMap((work, at) =>
      [
        { ...work, payloads: 1, bytes: 8 },
        { ...work, payloads: 1 },
        { ...work, bytes: 8 },
      ].map((plainer) => ({ ...plan, work: plan.work.map((other, index) => (index === at ? plainer : other)) })),
    ),
  (plan) =>
    plan.clients.flatMap((client, at) =>
      [
        { ...client, commands: 1, atATime: 1 },
        { ...client, commands: Math.ceil(client.commands / 2) },
        { ...client, commands: Math.max(1, client.commands - 1) },
        { ...client, atATime: 1 },
      ].map((plainer) => ({ ...plan, clients: plan.clients.map((other, index) => (index === at ? plainer : other)) })),
    ),
  (plan) => plan.faults.flatMap((fault, at) => shorter(fault).map((plainer) => put(plan, at, plainer))),
  (plan) => {
    const { chaosMs } = plan;
    const given = [...plan.work, ...plan.spends, ...plan.clients].map(({ atMs }) => atMs);
    const last = Math.max(0, ...given, ...plan.faults.map(endOf));
    return [Math.ceil(last) + REST_MS, Math.floor(chaosMs / 2)]
      .filter((ms) => ms < chaosMs && ms >= SHORT_MS)
      .map((ms) => ({ ...plan, chaosMs: ms }));
  },
];

/** Fewer validators, where nobody names the others and the liars remain within what so many tolerate. */
function fewerNodes(plan: Plan): readonly Plan[] {
  if (plan.liars.some(({ twin }) => twin)) return [];
  const named = [...plan.liars, ...plan.work, ...plan.spends]
    .map(({ node }) => node)
    .concat(plan.faults.flatMap(nodesOf));
  const least = Math.max(3 * plan.liars.length + 1, 1 + Math.max(0, ...named));
  return [4, 7, 10]
    .filter((nodes) => nodes >= least && nodes < plan.nodes)
    .map((nodes) => ({ ...plan, nodes, clocks: plan.clocks.slice(0, nodes) }));
}

function shorter(fault: Fault): readonly Fault[] {
  switch (fault.kind) {
    case "crash":
      return [
        { ...fault, operations: 0 },
        { ...fault, operations: Math.floor(fault.operations / 2) },
        ...halves(fault.downMs).map((downMs) => ({ ...fault, downMs })),
      ];
    case "lost-disk":
      return halves(fault.downMs).map((downMs) => ({ ...fault, downMs }));
    default:
      return halves(fault.durationMs).map((durationMs) => ({ ...fault, durationMs }));
  }
}

function halves(ms: number): readonly number[] {
  return ms <= SHORT_MS ? [] : [SHORT_MS, Math.max(SHORT_MS, Math.floor(ms / 2))];
}

function endOf(fault: Fault): number {
  return fault.atMs + (fault.kind === "crash" || fault.kind === "lost-disk" ? fault.downMs : fault.durationMs);
}
