import type { ValidatorIndex } from "../../membership/ids.ts";
import { Random } from "../random.ts";
import { DagAdversary, LIAR_TICK_MS, vertexOf } from "./dag-adversary.ts";
import { behaviourOf } from "./dag-behaviour.ts";
import { DagChecker } from "./dag-checker.ts";
import { DagCluster } from "./dag-cluster.ts";
import type { DagPlant } from "./dag-cluster-options.ts";
import { whatIsOpen, whatWasLost } from "./dag-liveness.ts";
import { simNetwork } from "./dag-network.ts";
import type { DagPlan } from "./dag-plan.ts";
import { DagSchemer } from "./dag-schemer.ts";
import { type DagInvariant, DagViolation } from "./dag-violation.ts";

export interface DagResult {
  readonly seed: number;
  readonly verdict: "pass" | "violation";
  readonly invariant: DagInvariant | null;
  /** Empty where it passed. */
  readonly detail: string;
  /** Events of the schedule, and looks of the checker. */
  readonly events: number;
  readonly checks: number;
  /** Bundles that reached anybody correct; conflict sets with two members and more among them. */
  readonly bundles: number;
  readonly contested: number;
  /** Sets and places that the log decided. */
  readonly resolutions: number;
  readonly virtualMs: number;
}

/** How often it is looked whether everything is decided, in virtual milliseconds. */
const LOOK_MS = 250;

/** The keys that clients and liars claim in a run: few, so that they meet. */
const KEYS = ["a", "b", "c", "d", "e", "f", "g", "h"];

/** One plan from begin to end; `plant` makes every correct member wrong. */
export function runDagPlan(plan: DagPlan, plant?: DagPlant): DagResult {
  const world = worldOf(plan, plant);
  const { cluster, checker } = world;
  let violation: DagViolation | null = null;
  try {
    cluster.start(checker);
    cluster.run(plan.chaosMs);
    const untilMs = plan.chaosMs + plan.settleMs;
    let open = whatIsOpen(cluster, checker);
    for (let atMs = plan.chaosMs; open !== null && atMs < untilMs; open = whatIsOpen(cluster, checker)) {
      atMs += LOOK_MS;
      cluster.run(atMs);
    }
    const lost = open ?? whatWasLost(checker, cluster.network.genesis);
    if (lost !== null) throw new DagViolation("liveness", lost);
  } catch (error) {
    if (!(error instanceof DagViolation)) throw error;
    violation = error;
  }
  const { facts, checks } = checker;
  return {
    seed: plan.seed,
    verdict: violation === null ? "pass" : "violation",
    invariant: violation?.code ?? null,
    detail: violation?.message ?? "",
    events: cluster.schedule.ran,
    checks,
    bundles: [...facts.bundles].length,
    contested: [...facts.sets].filter((set) => facts.membersOf(set).length > 1).length,
    resolutions: cluster.log.decided,
    virtualMs: Math.round(cluster.nowMs),
  };
}

export interface DagWorld {
  readonly cluster: DagCluster;
  readonly checker: DagChecker;
  readonly schemer: DagSchemer;
}

/** Everything of a plan in its schedule, before it begins. */
export function worldOf(plan: DagPlan, plant?: DagPlant): DagWorld {
  const random = Random.of(plan.seed, 0xd06);
  const liars = new Map(
    plan.liars.map((index) => {
      const own = Random.of(plan.seed, 0x11a, index);
      return [index, new DagAdversary(behaviourOf(plan.adversary, own), own, KEYS)] as const;
    }),
  );
  const cluster = clusterOf(plan, { liars, ...(plant === undefined ? {} : { plant }) });
  const checker = new DagChecker(cluster);
  const target = random.pick(cluster.correct).index;
  const schemer = new DagSchemer(cluster, checker.facts, target);
  for (const [index, liar] of liars) {
    liar.join(cluster, schemer);
    const tick = (): void => {
      liar.tick(index, cluster.nowMs < plan.chaosMs);
      cluster.schedule.after(LIAR_TICK_MS, tick);
    };
    cluster.schedule.after(own(index), tick);
  }
  faults(plan, cluster);
  clients(plan, cluster, random);
  return { cluster, checker, schemer };
}

/** Liars do not act in step. */
function own(index: ValidatorIndex): number {
  return (index * 7) % LIAR_TICK_MS;
}

function clusterOf(
  plan: DagPlan,
  parts: { readonly liars: ReadonlyMap<ValidatorIndex, DagAdversary>; readonly plant?: DagPlant },
): DagCluster {
  const loss = Random.of(plan.seed, 0x1055);
  const { partitions, weather, chaosMs } = plan;
  const isCut = (from: ValidatorIndex, to: ValidatorIndex, nowMs: number): boolean =>
    partitions.some(({ fromMs, untilMs, minority }) => {
      return nowMs >= fromMs && nowMs < untilMs && minority.includes(from) !== minority.includes(to);
    });
  return new DagCluster({
    network: simNetwork(plan.nodes),
    params: plan.params,
    seed: plan.seed,
    weather: { ...weather, lossPermille: 0 },
    logMs: plan.logMs,
    newcomers: plan.epochs.filter(({ gone }) => gone !== null).length,
    passes: (from, to, nowMs) => {
      if (nowMs < chaosMs && loss.below(1_000) < weather.lossPermille) return false;
      return !isCut(from, to, nowMs);
    },
    logFrom: (member, nowMs) => {
      const cut = partitions.find(({ fromMs, untilMs, minority }) => {
        return nowMs >= fromMs && nowMs < untilMs && minority.includes(member);
      });
      return cut?.untilMs ?? nowMs;
    },
    ...parts,
  });
}

function faults(plan: DagPlan, cluster: DagCluster): void {
  for (const { member, atMs, untilMs, effects } of plan.crashes) {
    cluster.schedule.at(atMs, () => cluster.crash(member, effects));
    cluster.schedule.at(untilMs, () => cluster.restart(member));
  }
  for (const { untilMs, minority } of plan.partitions) cluster.schedule.at(untilMs, () => cluster.reconnect(minority));
  // A lost message is a lost connection: when nothing is lost any more everybody has connected again.
  const all = cluster.members.map(({ index }) => index);
  cluster.schedule.at(plan.chaosMs, () => cluster.reconnect(all));
  for (const { atMs, gone } of plan.epochs) cluster.schedule.at(atMs, () => cluster.endEpoch(gone));
}

/** Clients of correct members; some of them spend twice, at two members at a time. */
function clients(plan: DagPlan, cluster: DagCluster, random: Random): void {
  for (let made = 0; made < plan.bundles; made++) {
    const atMs = random.below(plan.chaosMs);
    const isDouble = random.chance(0.3);
    const keys = random.chance(0.5) ? random.shuffled(KEYS).slice(0, random.between(1, 3)) : [];
    const first = Array.from({ length: random.between(1, 4) }, () => vertexOf(random.next(), []));
    cluster.schedule.at(atMs, () => {
      const makers = cluster.correct.filter(({ isDown, index, network }) => !isDown && network.set.has(index));
      const [one, two] = random.shuffled(makers);
      if (one === undefined) return;
      cluster.submit(one.index, [...first, vertexOf(random.next(), keys)]);
      if (isDouble && two !== undefined) cluster.submit(two.index, [vertexOf(random.next(), keys)]);
    });
  }
}
