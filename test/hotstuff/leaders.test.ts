import { describe, expect, test } from "bun:test";
import type { HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import { Random } from "../../src/sim/random.ts";
import type { Host } from "../cluster/host.ts";
import { LyingEngine } from "./attacks.ts";
import { HotStuffCluster, type Variant } from "./hotstuff-cluster.ts";

const CHAINED: Variant = { phases: 3, voteRoute: "leader", leaders: "reputation" };
const VARIANTS: readonly Variant[] = [
  CHAINED,
  { ...CHAINED, voteRoute: "all" },
  { ...CHAINED, phases: 2 },
  { ...CHAINED, phases: 2, voteRoute: "all" },
];

/** Time-outs of a validator that is down, in as many doublings as 200 places take; each may cost a second one. */
const TIMEOUTS_MAX = 16;

/** Gives the cluster one request after the other until so many places are executed. */
function drive(cluster: HotStuffCluster, at: readonly Host[], places: number): void {
  for (let made = 0; executedAt(at) < places; made++) {
    at[made % at.length]?.submit([new TextEncoder().encode(`request ${made}`)]);
    cluster.run(cluster.schedule.nowMs + 30);
    if (cluster.schedule.nowMs > 600_000) throw new Error(`${executedAt(at)} places in ten minutes`);
  }
}

function executedAt(hosts: readonly Host[]): number {
  return Math.min(...hosts.map((host) => host.disk.execution.sequence));
}

/** Counts blocks by their leader, and the views that a host gave up. */
function watch(cluster: HotStuffCluster, self: number): { timeouts: number; readonly blocks: Map<number, number> } {
  const seen = { timeouts: 0, blocks: new Map<number, number>() };
  cluster.onEffect = (host, effect) => {
    if (effect.kind === "trace" && effect.trace.phase === "view-change" && host.self === self) seen.timeouts += 1;
    if (effect.kind !== "broadcast" && effect.kind !== "send") return;
    const { kind } = effect.message as unknown as HotStuffMessage;
    if (kind === "proposal") seen.blocks.set(host.self, (seen.blocks.get(host.self) ?? 0) + 1);
  };
  return seen;
}

describe("leaders by reputation", () => {
  for (const variant of VARIANTS) {
    test(`one of four down for 200 places costs a few time-outs (${variant.phases}, ${variant.voteRoute})`, () => {
      for (const down of variant === CHAINED ? [0, 1, 2, 3] : [1]) {
        const cluster = new HotStuffCluster({ count: 4, seed: 1, variant });
        cluster.start();
        cluster.run(100);
        cluster.host(down).crash();
        const up = cluster.hosts.filter((host) => host.self !== down);
        const seen = watch(cluster, up[0]?.self ?? 0);
        drive(cluster, up, 200);
        expect({ down, timeouts: seen.timeouts <= TIMEOUTS_MAX || seen.timeouts }).toEqual({ down, timeouts: true });
      }
    });
  }

  test("by the round the same costs ten times as many", () => {
    const cluster = new HotStuffCluster({ count: 4, seed: 1, variant: { phases: 3, voteRoute: "leader" } });
    cluster.start();
    cluster.run(100);
    cluster.host(3).crash();
    const seen = watch(cluster, 0);
    drive(cluster, cluster.hosts.slice(0, 3), 50);
    expect(seen.timeouts).toBeGreaterThan(2 * TIMEOUTS_MAX);
  });

  test("one that was down and comes back leads again as often as the others", () => {
    const cluster = new HotStuffCluster({ count: 4, seed: 1, variant: CHAINED });
    cluster.start();
    cluster.run(100);
    cluster.host(2).crash();
    drive(cluster, [cluster.host(0), cluster.host(1), cluster.host(3)], 30);
    cluster.restart(cluster.host(2));
    drive(cluster, cluster.hosts.slice(0, 2), 120);
    const seen = watch(cluster, 0);
    drive(cluster, cluster.hosts.slice(0, 2), 180);
    const shares = [0, 1, 2, 3].map((self) => seen.blocks.get(self) ?? 0);
    expect(Math.min(...shares)).toBeGreaterThan(0.8 * (Math.max(...shares) - 2));
  });

  test("a liar does not get the honest ones left out: of four, two lead all the time whatever it does", () => {
    for (const liar of [0, 2]) {
      const random = new Random(liar);
      const cluster = new HotStuffCluster({
        count: 4,
        seed: 1,
        variant: CHAINED,
        isCorrect: (self) => self !== liar,
        wrap: (engine, { self, cluster: { network } }) =>
          new LyingEngine(engine, ["silent-leader", "stale-leader", "withhold-votes", "false-record"], {
            random,
            set: network.set,
            self,
            leaders: "reputation",
          }),
      });
      cluster.start();
      cluster.run(100);
      const honest = cluster.correct();
      drive(cluster, honest, 60);
      const before = new Map(honest.map(({ self }) => [self, 0] as [ValidatorIndex, number]));
      const seen = watch(cluster, honest[0]?.self ?? 0);
      drive(cluster, honest, 120);
      const leading = [...before.keys()].filter((self) => (seen.blocks.get(self) ?? 0) > 15);
      expect({ liar, enough: leading.length >= 2 || leading }).toEqual({ liar, enough: true });
    }
  });
});
