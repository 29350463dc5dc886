import {
  ATTACKS,
  type AttackName,
  DAG_ATTACKS,
  type Fault,
  type Plan,
  SIM_APPLICATIONS,
  type SimApplication,
  type SimEngine,
} from "../../src/sim/plan.ts";
import { planOf } from "../../src/sim/swarm.ts";
import { type ClockFault, TRUE_CLOCK } from "../../src/sim/virtual-clock.ts";
import { CALM_DISK, type DiskWeather } from "../../src/sim/virtual-disk.ts";
import { CALM_LINKS, type LinkWeather } from "../../src/sim/virtual-network.ts";

/** One row of `docs/fault-matrix.md`: a fault by itself, several times in one run. */
export interface SingleFault {
  readonly name: string;
  readonly plan: (seed: number) => Plan;
}

const NODES = 4;

type Circumstance =
  | `links.${Exclude<keyof LinkWeather, "delayMinMs">}`
  | `disks.${Exclude<keyof DiskWeather, "fsyncMinMs">}`
  | `clocks.${keyof ClockFault}`
  | "timeouts";

const FAULTS: Readonly<Record<Fault["kind"], (node: number, atMs: number) => Fault>> = {
  crash: (node, atMs) => ({ kind: "crash", node, atMs, operations: atMs % 40, downMs: 400 }),
  partition: (node, atMs) => ({ kind: "partition", atMs, durationMs: 900, blocked: aroundOf(node) }),
  loss: (node, atMs) => ({
    kind: "loss",
    atMs,
    durationMs: 900,
    messages: [node, 5 - node],
    from: [0, 1, 2, 3],
    to: [node, (node + 1) % NODES],
  }),
  "disk-full": (node, atMs) => ({ kind: "disk-full", node, atMs, durationMs: 700 }),
  "slow-disk": (node, atMs) => ({ kind: "slow-disk", node, atMs, durationMs: 900, fsyncMs: 400 }),
  "lost-disk": (node, atMs) => ({ kind: "lost-disk", node, atMs, downMs: 200 }),
  "wrong-state": (node, atMs) => ({ kind: "wrong-state", node, atMs, durationMs: 60_000 }),
};

const LASTING: readonly Fault["kind"][] = ["lost-disk", "wrong-state"];

const CIRCUMSTANCES: Readonly<Record<Circumstance, (plan: Plan) => Plan>> = {
  "links.delayMaxMs": (plan) => ({ ...plan, links: { ...plan.links, delayMaxMs: 500 } }),
  "links.spread": (plan) => ({ ...plan, links: { ...plan.links, delayMaxMs: 60, spread: 6 } }),
  "links.loss": (plan) => ({ ...plan, links: { ...plan.links, loss: 0.3 } }),
  "links.breakage": (plan) => ({ ...plan, links: { ...plan.links, breakage: 0.03 } }),
  "links.duplication": (plan) => ({ ...plan, links: { ...plan.links, duplication: 0.3 } }),
  "disks.fsyncMaxMs": (plan) => ({ ...plan, disks: { ...plan.disks, fsyncMaxMs: 60 } }),
  "disks.readMaxMs": (plan) => ({ ...plan, disks: { ...plan.disks, readMaxMs: 20 } }),
  "clocks.skewMs": (plan) => withClocks(plan, (place) => ({ ...TRUE_CLOCK, skewMs: place % 2 === 0 ? 5_000 : -5_000 })),
  "clocks.driftPpm": (plan) =>
    withClocks(plan, (place) => ({ ...TRUE_CLOCK, driftPpm: place % 2 === 0 ? 20_000 : -20_000 })),
  timeouts: (plan) => ({ ...plan, timeouts: { floorMs: 20, initialMs: 30, capMs: 3_000 } }),
};

export const SINGLE_FAULTS: readonly SingleFault[] = [
  ...Object.entries(FAULTS).map(([name, make]): SingleFault => ({ name, plan: (seed) => repeated(calm(seed), make) })),
  ...Object.entries(CIRCUMSTANCES).map(([name, make]): SingleFault => ({ name, plan: (seed) => make(calm(seed)) })),
  ...ATTACKS.map((name): SingleFault => ({ name, plan: (seed) => attacked(seed, name) })),
  { name: "twin", plan: (seed) => twin(seed, "pbft") },
];

/** Attacks that are not on the ordered log alone. */
const ON_DAG: readonly AttackName[] = [...DAG_ATTACKS, "fork-lane", "withhold", "replay", "lie", "garbage"];

/** The rows of a leaderless network: every fault by itself, and attacks with all others. */
export const DAG_FAULTS: readonly SingleFault[] = [
  ...Object.entries(FAULTS)
    // There is no application whose state could be wrong.
    .filter(([name]) => name !== "wrong-state")
    .map(([name, make]): SingleFault => ({ name, plan: (seed) => repeated(calm(seed, "avalanche"), make) })),
  ...Object.entries(CIRCUMSTANCES).map(
    ([name, make]): SingleFault => ({
      name,
      plan: (seed) => make(calm(seed, "avalanche")),
    }),
  ),
  ...ON_DAG.map((name): SingleFault => ({ name, plan: (seed) => attacked(seed, name, "avalanche") })),
  { name: "twin", plan: (seed) => twin(seed, "avalanche") },
];

/** The rows of the matrix once more, for HotStuff. */
export const HOTSTUFF_FAULTS: readonly SingleFault[] = [
  ...Object.entries(FAULTS).map(
    ([name, make]): SingleFault => ({ name, plan: (seed) => repeated(calm(seed, "hotstuff"), make) }),
  ),
  ...Object.entries(CIRCUMSTANCES).map(
    ([name, make]): SingleFault => ({ name, plan: (seed) => make(calm(seed, "hotstuff")) }),
  ),
  ...ATTACKS.map((name): SingleFault => ({ name, plan: (seed) => attacked(seed, name, "hotstuff") })),
  { name: "twin", plan: (seed) => twin(seed, "hotstuff") },
];

/** Each in its turn, so that every row meets every application. */
function applicationOf(seed: number, engine: SimEngine): { readonly application?: SimApplication } {
  const application = SIM_APPLICATIONS[seed % SIM_APPLICATIONS.length];
  return application === undefined || engine === "avalanche" ? {} : { application };
}

/** The work of a seed, and nothing else of it. */
function calm(seed: number, engine: SimEngine = "pbft"): Plan {
  return {
    ...planOf({ seed, nodes: NODES, byzantine: 0, engine, ...applicationOf(seed, engine) }),
    links: CALM_LINKS,
    disks: CALM_DISK,
    clocks: [],
    timeouts: { floorMs: 250, initialMs: 500, capMs: 3_000 },
    faults: [],
  };
}

/** One after the other, on every node in turn. A lost disk, or a wrong state, makes its node one of the f for long: once. */
function repeated(plan: Plan, make: (node: number, atMs: number) => Fault): Plan {
  const { seed } = plan;
  const faults = [600, 1_700, 2_900, 4_100, 5_300].map((atMs, index) =>
    make((seed + index) % NODES, atMs + (seed % 50)),
  );
  return { ...plan, faults: faults.filter(({ kind }, index) => !LASTING.includes(kind) || index === 2) };
}

/** An attack needs the circumstances in which it does harm: it comes with all other faults. */
function attacked(seed: number, name: AttackName, engine: SimEngine = "pbft"): Plan {
  return planOf({ seed, nodes: NODES, byzantine: 1, attacks: [name], engine, ...applicationOf(seed, engine) });
}

function twin(seed: number, engine: SimEngine): Plan {
  return {
    ...planOf({ seed, nodes: NODES, byzantine: 0, engine, ...applicationOf(seed, engine) }),
    liars: [{ node: seed % NODES, attacks: [], twin: true }],
  };
}

function withClocks(plan: Plan, clockOf: (place: number) => ClockFault): Plan {
  return { ...plan, clocks: Array.from({ length: plan.nodes }, (_, place) => clockOf(place)) };
}

function aroundOf(node: number): readonly (readonly [number, number])[] {
  return Array.from({ length: NODES }, (_, other) => other)
    .filter((other) => other !== node)
    .flatMap((other) => [[node, other] as const, [other, node] as const]);
}
