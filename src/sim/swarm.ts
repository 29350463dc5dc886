import { faultTolerance } from "../membership/quorum.ts";
import {
  ATTACKS,
  type AttackName,
  DAG_ATTACKS,
  type Change,
  type Client,
  type Fault,
  type Liar,
  type Plan,
  type Sampling,
  type Snapshots,
  SIM_APPLICATIONS,
  type SimApplication,
  type SimEngine,
  type Spend,
  type Work,
} from "./plan.ts";
import { BASE_PLAN } from "./plan-file.ts";
import { PROTOCOLS } from "./protocol.ts";
import { Random } from "./random.ts";
import type { CryptoMode } from "./virtual-keys.ts";

export interface SwarmOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly engine?: SimEngine;
  readonly crypto?: CryptoMode;
  /** Default: by the seed; with avalanche the log. */
  readonly application?: SimApplication;
  /** How many validators lie; by default none to f, by the seed. */
  readonly byzantine?: number;
  /** Only these attacks. Default: one to three of all, or a twin. */
  readonly attacks?: readonly AttackName[];
  /** Faults happen until here, in virtual milliseconds. Default 6,000. */
  readonly chaosMs?: number;
}

const CHAOS_MS = 6_000;

/** After the faults everything must be final everywhere within this time. */
const SETTLE_MS = 60_000;

/** Small windows: a few places, and checkpoints, truncation and watermarks all take part in every run. */
const SMALL_WINDOWS = { checkpointInterval: 4, sendWindow: 12, receiveWindow: 24 };

/** A calm cluster is far from the floor; a hasty one barely makes it, so that views fail while requests are on their way. */
const TIMEOUTS = { floorMs: 250, initialMs: 500, capMs: 3_000 };
const HASTY_TIMEOUTS = { floorMs: 60, initialMs: 100, capMs: 3_000 };

/** Sampling hardly gets its time: binding votes, reports and the log's word come at once. */
const HASTY_SAMPLING: Sampling = { beta: 2, queryTimeoutMs: 60, patienceMs: 50, resolveAfterMs: 120 };

/** So few that clients of several validators spend the same. */
const COINS = [1, 3, 10];

/** Swarm testing (Groce et al. 2012): each run has its own mixture, so that rare combinations get their turn. */
export function planOf(options: SwarmOptions): Plan {
  const { seed, nodes, engine = "pbft", crypto = "modelled", chaosMs = CHAOS_MS } = options;
  const random = Random.of(seed, 0x9a);
  const liars = liarsOf(options, random);
  const delayMaxMs = random.pick([2, 10, 40, 150, 500]);
  const loss = random.pick([0, 0, 0.02, 0.1, 0.3]);
  return {
    engine,
    nodes,
    seed,
    crypto,
    links: {
      delayMinMs: 0.2,
      delayMaxMs,
      spread: Random.of(seed, 0x5d).pick([0, 0, 1, 4]),
      loss,
      breakage: random.pick([0, 0, 0.002, 0.02]),
      duplication: random.pick([0, 0, 0.1]),
    },
    disks: { fsyncMinMs: 0.1, fsyncMaxMs: random.pick([0.5, 3, 30]), readMaxMs: random.pick([0, 1, 5]) },
    clocks: Array.from({ length: nodes }, () => ({
      skewMs: random.between(-2_000, 2_000),
      driftPpm: random.pick([0, 0, 200, -200, 20_000, -20_000]),
    })),
    timeouts: random.pick([TIMEOUTS, TIMEOUTS, HASTY_TIMEOUTS]),
    windows: SMALL_WINDOWS,
    reportIntervalMs: random.pick([500, 60_000]),
    ...changesOf(options, liars, chaosMs),
    liars,
    work: workOf(random, nodes, chaosMs),
    faults: faultsOf(random, nodes, chaosMs, engine),
    ...leaderlessOf(options, chaosMs),
    hotstuff: hotStuffOf(options),
    ...applicationOf(options, chaosMs),
    chaosMs,
    settleMs: SETTLE_MS,
  };
}

/** Every way to run HotStuff, drawn apart as well. */
function hotStuffOf({ seed, engine }: SwarmOptions): Plan["hotstuff"] {
  if (engine !== "hotstuff") return BASE_PLAN.hotstuff;
  const random = Random.of(seed, 0x9d);
  const leaders = Random.of(seed, 0xa0).pick(["round-robin", "reputation"] as const);
  return { phases: random.pick([3, 2]), voteRoute: random.pick(["leader", "all"]), leaders };
}

/** What the order drives and who asks it for what, drawn apart: the rest of a seed's plan is as it was without. */
function applicationOf(
  { seed, engine, application: wanted }: SwarmOptions,
  chaosMs: number,
): Pick<Plan, "application" | "snapshots" | "clients"> {
  const random = Random.of(seed, 0x9e);
  const drawn = random.pick(SIM_APPLICATIONS);
  const application = engine === "avalanche" ? "log" : (wanted ?? drawn);
  const { snapshots, clients } = BASE_PLAN;
  if (application === "log") return { application, snapshots, clients };
  return {
    application,
    snapshots: { interval: random.pick([4, 20, 60]), kept: random.pick([1, 2, 3]), ...transferOf(seed) },
    clients: Array.from(
      { length: random.pick([1, 2, 4]) },
      (): Client => ({
        atMs: random.between(400, Math.max(400, chaosMs / 2)),
        commands: random.pick([5, 15, 40]),
        atATime: random.pick([1, 4, 16]),
        patienceMs: random.pick([60, 400, 1_500]),
      }),
    ),
  };
}

/** When states are taken over and logs forgotten, drawn apart: early, so that every run is likely to see it. */
function transferOf(seed: number): Pick<Snapshots, "joinGap" | "retention"> {
  const random = Random.of(seed, 0xa1);
  return { joinGap: random.pick([0, 4, 12]), retention: random.pick([0, 1, 20]) };
}

/** What only a leaderless network has, drawn apart: an ordered one's plans stay as they are. */
function leaderlessOf({ seed, nodes, engine }: SwarmOptions, chaosMs: number): Pick<Plan, "sampling" | "spends"> {
  const { sampling, spends } = BASE_PLAN;
  if (engine !== "avalanche") return { sampling, spends };
  const random = Random.of(seed, 0x9c);
  const coins = random.pick(COINS);
  const times = Array.from({ length: random.pick([1, 2, 5]) }, () => random.between(500, chaosMs));
  return {
    sampling: random.pick([sampling, sampling, HASTY_SAMPLING]),
    // Close together in time, so that nobody has seen the other one yet.
    spends: Array.from({ length: random.pick([0, 4, 12, 30]) }, (): Spend => {
      const first = random.below(coins);
      const atMs = random.pick(times) + random.pick([0, 1, 10, 100]);
      return { node: random.below(nodes), atMs, coins: random.chance(0.8) ? [first] : [first, random.below(coins)] };
    }),
  };
}

function liarsOf({ nodes, byzantine, attacks, engine }: SwarmOptions, random: Random): readonly Liar[] {
  const count = byzantine ?? random.below(faultTolerance(nodes) + 1);
  const places = Array.from({ length: nodes }, (_, place) => place);
  return random
    .shuffled(places)
    .slice(0, count)
    .map((node) => {
      if (attacks === undefined && random.chance(0.15)) return { node, attacks: [], twin: true };
      return { node, attacks: attacks ?? someAttacks(engine, random), twin: false };
    });
}

/** Without what is known to break agreement; see "Known gaps" in docs/simulator.md. */
const SWARM_DAG_ATTACKS: readonly AttackName[] = [...DAG_ATTACKS, "fork-lane"];

/** Beside a DAG the log has little to say: one attack at least is on what is decided without it. */
function someAttacks(engine: SimEngine | undefined, random: Random): readonly AttackName[] {
  const picked = random.shuffled(ATTACKS).slice(0, random.between(1, 3));
  return engine === "avalanche" ? [random.pick(SWARM_DAG_ATTACKS), ...picked.slice(1)] : picked;
}

/**
 * Comings and goings. Who is asked to go is correct, so that is only asked where nobody lies: with a liar among four, three
 * that are left tolerate none.
 */
function changesOf(
  { seed, nodes }: SwarmOptions,
  liars: readonly Liar[],
  chaosMs: number,
): Pick<Plan, "joiners" | "changes"> {
  const random = Random.of(seed, 0x9b);
  const everybody = Array.from({ length: nodes }, (_, place) => place);
  const joiners = random.pick([0, 0, 0, 1, 2]);
  const changes: Change[] = [];
  for (let joiner = 0; joiner < joiners; joiner++) {
    const node = nodes + joiner;
    changes.push({ kind: "admit", atMs: random.between(600, chaosMs), by: everybody, node });
    if (random.chance(0.3))
      changes.push({ kind: "leave", atMs: random.between(chaosMs / 2, chaosMs), by: [node], node });
  }
  if (liars.length > 0 || nodes < 4) return { joiners, changes };
  const node = random.pick(everybody);
  const atMs = random.between(600, chaosMs);
  const kind = random.pick([null, null, "leave", "dismiss"] as const);
  if (kind !== null) changes.push({ kind, atMs, by: kind === "leave" ? [node] : everybody, node });
  return { joiners, changes };
}

function workOf(random: Random, nodes: number, chaosMs: number): readonly Work[] {
  const count = random.pick([4, 12, 30]);
  return Array.from({ length: count }, () => ({
    node: random.below(nodes),
    atMs: random.between(500, chaosMs),
    payloads: random.pick([1, 2, 5, 50]),
    bytes: random.pick([8, 40, 300]),
  }));
}

function faultsOf(random: Random, nodes: number, chaosMs: number, engine: SimEngine): readonly Fault[] {
  const faults: Fault[] = [];
  const times = (counts: readonly number[], make: () => Fault): void => {
    for (let left = random.pick(counts); left > 0; left--) faults.push(make());
  };
  const atMs = (): number => random.between(300, chaosMs - 1);
  const node = (): number => random.below(nodes);
  times([0, 0, 1, 3, 6], () => {
    const downMs = random.pick([1, 50, 800, 2_500]);
    return { kind: "crash", node: node(), atMs: atMs(), operations: random.below(40), downMs };
  });
  times([0, 0, 0, 1], () => {
    // The lights go out for all: each comes back in its own time.
    const blackoutMs = atMs();
    for (let place = 1; place < nodes; place++) {
      faults.push({ kind: "crash", node: place, atMs: blackoutMs, operations: 0, downMs: random.between(1, 600) });
    }
    return { kind: "crash", node: 0, atMs: blackoutMs, operations: 0, downMs: random.between(1, 600) };
  });
  times([0, 0, 1, 3], () => partitionOf(random, nodes, atMs()));
  times([0, 2, 8], () => ({
    kind: "loss",
    atMs: atMs(),
    durationMs: random.pick([50, 300, 1_500]),
    messages: random.shuffled(PROTOCOLS[engine].messageKinds).slice(0, random.between(1, 3)),
    from: someOf(random, nodes),
    to: someOf(random, nodes),
  }));
  times([0, 0, 0, 1], () => ({ kind: "disk-full", node: node(), atMs: atMs(), durationMs: random.pick([200, 1_500]) }));
  times([0, 0, 0, 1], () => ({
    kind: "slow-disk",
    node: node(),
    atMs: atMs(),
    durationMs: random.pick([500, 3_000]),
    fsyncMs: random.pick([50, 400]),
  }));
  return faults;
}

function partitionOf(random: Random, nodes: number, atMs: number): Fault {
  const sides = Array.from({ length: nodes }, () => random.below(2));
  // Half of them are asymmetric: one side still hears the other.
  const isOneWay = random.chance(0.5);
  const blocked: [number, number][] = [];
  for (let from = 0; from < nodes; from++) {
    for (let to = 0; to < nodes; to++) {
      const crosses = sides[from] !== sides[to];
      if (crosses && (!isOneWay || sides[from] === 0)) blocked.push([from, to]);
    }
  }
  return { kind: "partition", atMs, durationMs: random.pick([100, 700, 2_000]), blocked };
}

function someOf(random: Random, nodes: number): readonly number[] {
  return Array.from({ length: nodes }, (_, place) => place).filter(() => random.chance(0.6));
}
