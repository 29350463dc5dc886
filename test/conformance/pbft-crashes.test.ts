import { describe, expect, test } from "bun:test";
import { execute } from "../../src/replication/executor.ts";
import { Cluster } from "../cluster/cluster.ts";
import { pbftOf } from "../cluster/pbft-host.ts";
import { networkOf } from "../cluster/signing.ts";

/** More effects than a replica has from a proposal to its execution. */
const EFFECTS = 24;

function clusterOf(count: number, seed = 1): Cluster {
  const cluster = new Cluster({
    network: networkOf(count),
    seed,
    hostOptions: (_, self) => ({ self, isCorrect: true, makeEngine: (host) => pbftOf(host), execute, skewMs: 0 }),
  });
  cluster.start();
  cluster.run(100);
  return cluster;
}

function submitAt(cluster: Cluster, index: number, text: string): void {
  cluster.host(index).submit([new TextEncoder().encode(text)]);
}

/** Whether everything that was submitted is executed at these. */
function isExecutedAt(cluster: Cluster, indices: readonly number[]): boolean {
  return indices.every((index) => {
    return cluster.submitted.every((vertex) => cluster.invariants.hasExecuted(cluster.host(index).self, vertex));
  });
}

describe("section 4.4: the leader stops at any point, and what it ordered is ordered", () => {
  test("for good, before any of its effects: the others execute the request in a later view or this one", () => {
    for (let effects = 0; effects <= EFFECTS; effects++) {
      const cluster = clusterOf(4);
      cluster.host(0).crashIn = effects;
      submitAt(cluster, 2, "request");
      cluster.run(5_000);
      expect({ effects, done: isExecutedAt(cluster, [1, 2, 3]) }).toEqual({ effects, done: true });
    }
  });

  test("and comes back: it executes the same, and all become quiet", () => {
    for (let effects = 0; effects <= EFFECTS; effects++) {
      const cluster = clusterOf(4);
      cluster.host(0).crashIn = effects;
      cluster.onCrash = (host) => {
        cluster.schedule.after(800, () => cluster.restart(host));
      };
      submitAt(cluster, 2, "request");
      expect({ effects, quiet: cluster.runUntilQuiet(30_000), done: cluster.isDone() }).toEqual({
        effects,
        quiet: true,
        done: true,
      });
    }
  });

  test("when its proposal reached only some: whoever got it", () => {
    for (let reached = 0; reached < 8; reached++) {
      const cluster = clusterOf(4);
      cluster.passes = (from, to, packet) =>
        from !== 0 || packet.kind !== "message" || ((reached >> (to - 1)) & 1) === 1;
      submitAt(cluster, 2, "request");
      cluster.run(112);
      cluster.host(0).crash();
      cluster.run(6_000);
      expect({ reached, done: isExecutedAt(cluster, [1, 2, 3]) }).toEqual({ reached, done: true });
    }
  });

  test("when only some commits arrived: the place that one replica executed is everybody's", () => {
    for (let reached = 1; reached < 16; reached++) {
      const cluster = clusterOf(4);
      cluster.passes = (_, to, packet) =>
        packet.kind !== "message" || packet.body[0] !== 2 || ((reached >> to) & 1) === 1;
      submitAt(cluster, 2, "request");
      cluster.run(250);
      cluster.host(0).crash();
      cluster.passes = () => true;
      cluster.run(6_000);
      cluster.restart(cluster.host(0));
      expect({ reached, quiet: cluster.runUntilQuiet(30_000), done: cluster.isDone() }).toEqual({
        reached,
        quiet: true,
        done: true,
      });
    }
  });

  test("and the next leader with it, at any point of its new view (n = 7, f = 2)", () => {
    for (let effects = 0; effects <= 14; effects++) {
      const cluster = clusterOf(7);
      submitAt(cluster, 2, "request");
      cluster.host(0).crash();
      const second = cluster.host(1);
      cluster.onEffect = (host, effect) => {
        if (host === second && effect.kind === "broadcast" && effect.message.kind === "view-change")
          second.crashIn ??= effects;
      };
      cluster.run(8_000);
      expect({ effects, done: isExecutedAt(cluster, [2, 3, 4, 5, 6]) }).toEqual({ effects, done: true });
    }
  });
});

describe("a backup, or all replicas, stop at any point", () => {
  test("a backup comes back, says what it said, and catches up", () => {
    for (let effects = 0; effects <= EFFECTS; effects++) {
      const cluster = clusterOf(4);
      cluster.host(3).crashIn = effects;
      cluster.onCrash = (host) => {
        cluster.schedule.after(300, () => cluster.restart(host));
      };
      submitAt(cluster, 0, "first");
      submitAt(cluster, 3, "second");
      cluster.run(150);
      submitAt(cluster, 1, "third");
      expect({ effects, quiet: cluster.runUntilQuiet(30_000), done: cluster.isDone() }).toEqual({
        effects,
        quiet: true,
        done: true,
      });
    }
  });

  test("the power fails everywhere in the middle of a request, again and again", () => {
    const cluster = clusterOf(4);
    for (let round = 0; round < 24; round++) {
      submitAt(cluster, round % 4, `request ${round}`);
      cluster.run(cluster.schedule.nowMs + 3 * round);
      for (const host of cluster.hosts) host.crash();
      for (const host of cluster.hosts) cluster.restart(host);
    }
    expect({ quiet: cluster.runUntilQuiet(60_000), done: cluster.isDone() }).toEqual({ quiet: true, done: true });
  });
});

describe("anti-entropy", () => {
  test("a replica that was cut off for many checkpoints catches up with what certificates prove, and is quiet then", () => {
    const cluster = clusterOf(4);
    cluster.partition([0, 0, 0, 1]);
    for (let round = 0; round < 60; round++) {
      submitAt(cluster, round % 3, `request ${round}`);
      cluster.run(cluster.schedule.nowMs + 60);
    }
    expect(cluster.host(3).disk.execution.sequence as number).toBe(0);
    cluster.partition([0, 0, 0, 0]);
    expect({ quiet: cluster.runUntilQuiet(60_000), done: cluster.isDone() }).toEqual({ quiet: true, done: true });
  });

  test("neither half of an even split orders anything; both go on when they meet", () => {
    const cluster = clusterOf(4);
    cluster.partition([0, 0, 1, 1]);
    for (const index of [0, 1, 2, 3]) submitAt(cluster, index, "request");
    cluster.run(5_000);
    expect(cluster.hosts.map((host) => host.disk.execution.sequence as number)).toEqual([0, 0, 0, 0]);
    cluster.partition([0, 0, 0, 0]);
    expect({ quiet: cluster.runUntilQuiet(60_000), done: cluster.isDone() }).toEqual({ quiet: true, done: true });
  });

  test("an idle cluster is quiet from its first moment", () => {
    for (const count of [1, 2, 3, 4, 5, 6, 7, 10]) {
      const cluster = clusterOf(count);
      expect(cluster.runUntilQuiet(2_000)).toBe(true);
    }
  });
});
