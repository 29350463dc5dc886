import type { Engine } from "../../src/consensus/engine.ts";
import type { TimeoutLimits } from "../../src/consensus/adaptive-timeout.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";
import { execute } from "../../src/replication/executor.ts";
import type { AttackName } from "../../src/sim/plan.ts";
import { type Attack, attackOf } from "./attacks.ts";
import { CALM, Cluster, type Weather } from "./cluster.ts";
import type { Host } from "./host.ts";
import { Violation } from "./invariants.ts";
import { pbftOf } from "./pbft-host.ts";
import { Random } from "../../src/sim/random.ts";
import { networkOf } from "./signing.ts";
import { HASTY_TIMEOUTS, TIMEOUTS } from "./timing.ts";

export interface RunOptions {
  readonly seed: number;
  readonly count: number;
  /** How many replicas lie; at most f is what the protocol promises for. Default: none to f, by the seed. */
  readonly byzantine?: number;
  /** Only these attacks; default: any. */
  readonly attacks?: readonly AttackName[];
  /** Another engine for the correct replicas: planted bugs. */
  readonly makeEngine?: (host: Host) => Engine<PbftMessage>;
  readonly execute?: typeof execute;
}

export interface RunResult {
  readonly seed: number;
  readonly verdict: "pass" | "violation" | "no-progress" | "not-quiet";
  readonly detail: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly places: number;
  readonly view: number;
}

/** Faults of all kinds happen in this time, then none. */
const CHAOS_MS = 6_000;

/** After the faults everything must be executed everywhere, and all be quiet, within this time. */
const SETTLE_MS = 60_000;

/** Beside the variant tags of messages, 0 to 5. */
const BUNDLE = 6;
const STATUS = 7;

/** One run of a whole cluster, chosen by its seed: faults first, then calm. */
export function runSeed(options: RunOptions): RunResult {
  const { seed, count } = options;
  const plan = planOf(options);
  const cluster = new Cluster({
    network: plan.network,
    seed: seed * 7919 + 1,
    hostOptions: (_, self) => {
      const attack = plan.attacks.get(self);
      const honest = options.makeEngine ?? pbftOf;
      return {
        self,
        isCorrect: attack === undefined,
        makeEngine: attack === undefined ? honest : (host) => attack.wrap(pbftOf(host), host),
        execute: attack === undefined ? (options.execute ?? execute) : execute,
        skewMs: plan.random.between(-400, 400),
      };
    },
  });
  for (const [self, attack] of plan.attacks) {
    const host = cluster.host(self);
    const honest = host.answer.bind(host);
    host.answer = (question) => attack.answer(honest(question));
  }
  let verdict: RunResult["verdict"] = "pass";
  let detail = [...plan.attacks].map(([self, { name }]) => `${self}:${name}`).join(" ");
  cluster.timeouts = plan.timeouts;
  cluster.weather = plan.weather;
  try {
    scheduleWork(cluster, plan);
    scheduleFaults(cluster, plan);
    scheduleLosses(cluster, plan);
    cluster.start();
    cluster.run(CHAOS_MS);
    cluster.heal();
    const quiet = cluster.runUntilQuiet(CHAOS_MS + SETTLE_MS);
    if (!cluster.isDone()) verdict = "no-progress";
    else if (!quiet && plan.attacks.size === 0) verdict = "not-quiet";
    if (verdict !== "pass") detail += ` ${describe(cluster)}`;
  } catch (error) {
    verdict = "violation";
    detail +=
      error instanceof Violation ? ` ${error.message}` : ` ${error instanceof Error ? error.stack : String(error)}`;
  }
  const places = Math.max(...cluster.correct().map((host) => host.disk.execution.sequence));
  const view = Math.max(...cluster.correct().map((host) => host.engine?.status().view ?? 0));
  return {
    seed,
    verdict,
    detail: `n=${count} ${detail}`,
    events: cluster.events,
    virtualMs: cluster.schedule.nowMs,
    places,
    view,
  };
}

/** Lets the event loop turn: the native hash's buffers are freed only then, and a campaign makes millions. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

interface Plan {
  readonly network: NetworkContext;
  readonly random: Random;
  readonly weather: Weather;
  readonly attacks: ReadonlyMap<ValidatorIndex, Attack>;
  readonly timeouts: TimeoutLimits;
  readonly bundles: number;
  readonly losses: number;
  readonly crashes: number;
  readonly blackouts: number;
  readonly partitions: number;
}

/** Swarm testing: each run has its own mixture, so that rare combinations get their turn. */
function planOf({ seed, count, byzantine, attacks }: RunOptions): Plan {
  const random = new Random(seed);
  const network = networkOf(count);
  const liars = byzantine ?? random.below(network.set.faultTolerance + 1);
  const chosen = random.shuffled(network.set.indices()).slice(0, liars);
  const delayMax = random.pick([4, 20, 80, 250]);
  return {
    network,
    random,
    weather: {
      ...CALM,
      delayMax,
      loss: random.pick([0, 0, 0.02, 0.15]),
      duplication: random.pick([0, 0, 0.1]),
    },
    attacks: new Map(chosen.map((self) => [self, attackOf(random, network, attacks)])),
    timeouts: random.pick([TIMEOUTS, HASTY_TIMEOUTS]),
    bundles: random.pick([4, 12, 30]),
    losses: random.pick([0, 2, 8]),
    crashes: random.pick([0, 0, 1, 3, 6]),
    blackouts: random.pick([0, 0, 0, 1, 2]),
    partitions: random.pick([0, 0, 1, 3]),
  };
}

function scheduleWork(cluster: Cluster, plan: Plan): void {
  const { random } = plan;
  for (let made = 0; made < plan.bundles; made++) {
    const host = random.pick(cluster.hosts);
    const payloads = Array.from({ length: random.between(1, 2) }, () => new Uint8Array([random.below(4)]));
    const fork = !host.isCorrect && random.chance(0.4);
    cluster.schedule.at(random.between(1, CHAOS_MS), () => host.submit(payloads, fork));
  }
}

function scheduleFaults(cluster: Cluster, plan: Plan): void {
  const { random } = plan;
  const { schedule } = cluster;
  for (let made = 0; made < plan.crashes; made++) {
    const host = random.pick(cluster.hosts);
    const effects = random.between(0, 60);
    const downMs = random.pick([1, 50, 800, 2_500]);
    const at = random.between(1, CHAOS_MS - 1);
    schedule.at(at, () => {
      if (host.isUp) host.crashIn = effects;
    });
    host.cluster.onCrash = (crashed) => {
      schedule.after(downMs, () => cluster.restart(crashed));
    };
  }
  for (let made = 0; made < plan.blackouts; made++) {
    const at = random.between(1, CHAOS_MS - 1);
    schedule.at(at, () => {
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
function scheduleLosses(cluster: Cluster, plan: Plan): void {
  const { random } = plan;
  const rules = Array.from({ length: plan.losses }, () => ({
    fromMs: random.between(0, CHAOS_MS),
    lengthMs: random.pick([50, 300, 1_500]),
    kinds: random.shuffled([0, 1, 2, 3, 4, 5, BUNDLE, STATUS]).slice(0, random.between(1, 3)),
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

function describe(cluster: Cluster): string {
  return cluster.hosts
    .map((host) => {
      const { status } = { status: host.engine?.status() };
      if (status === undefined) return `${host.self}:down`;
      const view = `${status.view}${status.active ? "" : "?"}`;
      return `${host.self}:v${view},x${status.executed},h${status.stable},[${host.armedTimers.join("+")}]`;
    })
    .join(" ");
}
