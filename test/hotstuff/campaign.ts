import type { TimeoutLimits } from "../../src/consensus/adaptive-timeout.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import { quorumSize } from "../../src/membership/quorum.ts";
import { Random } from "../../src/sim/random.ts";
import { CALM, type Weather } from "../cluster/cluster.ts";
import { Violation } from "../cluster/invariants.ts";
import { HASTY_TIMEOUTS, TIMEOUTS } from "../cluster/timing.ts";
import { type AttackName, ATTACKS, LyingEngine } from "./attacks.ts";
import { HotStuffCluster, type Variant } from "./hotstuff-cluster.ts";

export interface RunOptions {
  readonly seed: number;
  readonly variant: Variant;
  /** Default: 4 to 7, by the seed. */
  readonly count?: number;
  /** How many replicas lie. Default: none to f, by the seed. */
  readonly liars?: number;
  readonly attacks?: readonly AttackName[];
}

export interface RunResult {
  readonly seed: number;
  readonly verdict: "pass" | "violation" | "no-progress" | "not-quiet";
  readonly detail: string;
  readonly places: number;
  readonly view: number;
}

/** Faults of all kinds happen in this time, then none. */
const CHAOS_MS = 6_000;

/** After the faults everything must be executed everywhere, and all be quiet, within this time. */
const SETTLE_MS = 60_000;

/** Beside the variant tags of messages, 0 to 6. */
const BUNDLE = 7;
const STATUS = 8;

interface Plan {
  readonly random: Random;
  readonly count: number;
  readonly liars: ReadonlyMap<ValidatorIndex, readonly AttackName[]>;
  readonly weather: Weather;
  readonly timeouts: TimeoutLimits;
  readonly bundles: number;
  readonly losses: number;
  readonly crashes: number;
  readonly blackouts: number;
  readonly partitions: number;
}

/** One run of a whole cluster, chosen by its seed: faults first, then calm. */
export function runSeed(options: RunOptions): RunResult {
  const { seed, variant } = options;
  const plan = planOf(options);
  const { random, count, liars } = plan;
  const cluster = new HotStuffCluster({
    count,
    seed: seed * 7919 + 1,
    variant,
    isCorrect: (self) => !liars.has(self),
    wrap: (engine, host) =>
      new LyingEngine(engine, liars.get(host.self) ?? [], {
        random,
        set: host.cluster.network.set,
        self: host.self,
        leaders: variant.leaders ?? "round-robin",
      }),
    skewMs: () => random.between(-400, 400),
  });
  cluster.timeouts = plan.timeouts;
  cluster.weather = plan.weather;
  let verdict: RunResult["verdict"] = "pass";
  let detail = `n=${count} ${[...liars].map(([self, names]) => `${self}:${names.join("+")}`).join(" ")}`;
  try {
    scheduleWork(cluster, plan);
    scheduleFaults(cluster, plan);
    scheduleLosses(cluster, plan);
    cluster.start();
    cluster.run(CHAOS_MS);
    cluster.heal();
    const quiet = cluster.runUntilQuiet(CHAOS_MS + SETTLE_MS);
    if (!cluster.isDone()) verdict = "no-progress";
    else if (!quiet && liars.size === 0) verdict = "not-quiet";
    if (verdict !== "pass") detail += ` ${describe(cluster)}`;
  } catch (error) {
    verdict = "violation";
    const text = error instanceof Violation || !(error instanceof Error) ? String(error) : error.stack;
    detail += ` ${text}`;
  }
  const places = Math.max(...cluster.correct().map((host) => host.disk.execution.sequence));
  const view = Math.max(...cluster.correct().map((host) => host.engine?.status().view ?? 0));
  return { seed, verdict, detail, places, view };
}

/** Lets the event loop turn: the native hash's buffers are freed only then. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Swarm testing: each run has its own mixture, so that rare combinations get their turn. */
function planOf({ seed, count: fixed, liars: wanted, attacks }: RunOptions): Plan {
  const random = new Random(seed);
  const count = fixed ?? random.pick([4, 4, 4, 5, 7]);
  const faulty = count - quorumSize(count);
  const lying = wanted ?? random.below(faulty + 1);
  const places = Array.from({ length: count }, (_, place) => place as ValidatorIndex);
  const names = (): readonly AttackName[] => attacks ?? random.shuffled(ATTACKS).slice(0, random.between(1, 4));
  return {
    random,
    count,
    liars: new Map(
      random
        .shuffled(places)
        .slice(0, lying)
        .map((self) => [self, names()]),
    ),
    weather: {
      ...CALM,
      delayMax: random.pick([4, 20, 80, 250]),
      loss: random.pick([0, 0, 0.02, 0.15]),
      duplication: random.pick([0, 0, 0.1]),
    },
    timeouts: random.pick([TIMEOUTS, HASTY_TIMEOUTS]),
    bundles: random.pick([4, 12, 30]),
    losses: random.pick([0, 2, 8]),
    crashes: random.pick([0, 0, 1, 3, 6]),
    blackouts: random.pick([0, 0, 0, 1, 2]),
    partitions: random.pick([0, 0, 1, 3]),
  };
}

function scheduleWork(cluster: HotStuffCluster, { random, bundles }: Plan): void {
  for (let made = 0; made < bundles; made++) {
    const host = random.pick(cluster.hosts);
    const payloads = Array.from({ length: random.between(1, 2) }, () => new Uint8Array([random.below(4)]));
    const fork = !host.isCorrect && random.chance(0.4);
    cluster.schedule.at(random.between(1, CHAOS_MS), () => host.submit(payloads, fork));
  }
}

function scheduleFaults(cluster: HotStuffCluster, plan: Plan): void {
  const { random } = plan;
  const { schedule } = cluster;
  for (let made = 0; made < plan.crashes; made++) {
    const host = random.pick(cluster.hosts);
    const effects = random.between(0, 60);
    const downMs = random.pick([1, 50, 800, 2_500]);
    schedule.at(random.between(1, CHAOS_MS - 1), () => {
      if (host.isUp) host.crashIn = effects;
    });
    cluster.onCrash = (crashed) => {
      schedule.after(downMs, () => cluster.restart(crashed));
    };
  }
  for (let made = 0; made < plan.blackouts; made++) {
    schedule.at(random.between(1, CHAOS_MS - 1), () => {
      for (const host of cluster.hosts) if (host.isUp) host.crash();
      for (const host of cluster.hosts) schedule.after(random.between(1, 600), () => cluster.restart(host));
    });
  }
  for (let made = 0; made < plan.partitions; made++) {
    const at = random.between(1, CHAOS_MS - 1);
    const sides = cluster.hosts.map(() => random.below(2));
    schedule.at(at, () => cluster.partition(sides));
    schedule.at(at + random.pick([100, 700, 2_000]), () => cluster.partition(sides.map(() => 0)));
  }
}

/** Kinds of messages that get lost between some replicas for a while: what chance alone would hardly ever choose. */
function scheduleLosses(cluster: HotStuffCluster, plan: Plan): void {
  const { random } = plan;
  const rules = Array.from({ length: plan.losses }, () => ({
    fromMs: random.between(0, CHAOS_MS),
    lengthMs: random.pick([50, 300, 1_500]),
    kinds: random.shuffled([0, 1, 2, 3, 4, 5, 6, BUNDLE, STATUS]).slice(0, random.between(1, 3)),
    senders: cluster.hosts.map(() => random.chance(0.6)),
    receivers: cluster.hosts.map(() => random.chance(0.6)),
  }));
  cluster.passes = (from, to, packet) => {
    const { nowMs } = cluster.schedule;
    const kind = packet.kind === "message" ? (packet.body[0] ?? 0) : packet.kind === "bundle" ? BUNDLE : STATUS;
    return !rules.some(({ fromMs, lengthMs, kinds, senders, receivers }) => {
      if (nowMs < fromMs || nowMs > fromMs + lengthMs) return false;
      return kinds.includes(kind) && senders[from] === true && receivers[to] === true;
    });
  };
}

function describe(cluster: HotStuffCluster): string {
  return cluster.hosts
    .map((host) => {
      const status = host.engine?.status();
      if (status === undefined) return `${host.self}:down`;
      const view = `${status.view}${status.active ? "" : "?"}`;
      return `${host.self}:v${view},x${status.executed},h${status.stable},[${host.armedTimers.join("+")}]`;
    })
    .join(" ");
}
