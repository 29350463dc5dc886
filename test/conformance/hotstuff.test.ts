import { describe, expect, test } from "bun:test";
import { decode } from "../../src/codec/codec.ts";
import { commitCertificateOf } from "../../src/consensus/engine.ts";
import { messageCodec } from "../../src/consensus/hotstuff/codec.ts";
import type { HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import type { VoteRoute } from "../../src/consensus/hotstuff/replica.ts";
import { committedSlotCodec } from "../../src/consensus/log-codec.ts";
import { batchDigest } from "../../src/dag/batch.ts";
import { hasDistinctSigners, obligationsOf } from "../../src/membership/certificate.ts";
import { contradicts, obligationsOfEquivocation } from "../../src/membership/equivocation.ts";
import { Random } from "../../src/sim/random.ts";
import type { Packet } from "../cluster/packet.ts";
import { allHold } from "../cluster/signing.ts";
import { LyingEngine } from "../hotstuff/attacks.ts";
import { HotStuffCluster, type Variant } from "../hotstuff/hotstuff-cluster.ts";

/** More effects than a replica has from a proposal to its execution. */
const EFFECTS = 40;

const ROUTES: readonly VoteRoute[] = ["leader", "all"];
const VARIANTS: readonly Variant[] = ([3, 2] as const).flatMap((phases) =>
  ROUTES.map((voteRoute) => ({ phases, voteRoute })),
);
const CHAINED: Variant = { phases: 3, voteRoute: "leader" };

function clusterOf(count: number, variant: Variant = CHAINED, seed = 1): HotStuffCluster {
  const cluster = new HotStuffCluster({ count, seed, variant });
  cluster.start();
  cluster.run(100);
  return cluster;
}

function submitAt(cluster: HotStuffCluster, index: number, text: string): void {
  cluster.host(index).submit([new TextEncoder().encode(text)]);
}

function isExecutedAt(cluster: HotStuffCluster, indices: readonly number[]): boolean {
  return indices.every((index) => {
    return cluster.submitted.every((vertex) => cluster.invariants.hasExecuted(cluster.host(index).self, vertex));
  });
}

function messageOf(packet: Packet): HotStuffMessage | null {
  return packet.kind === "message" ? decode(messageCodec, packet.body) : null;
}

describe("Algorithm 4: consecutive certified blocks commit the first of them", () => {
  for (const phases of [3, 2] as const) {
    test(`${phases} phases: the proposal after ${phases} certificates executes it, and the network is quiet`, () => {
      const cluster = clusterOf(4, { phases, voteRoute: "leader" });
      let proposals = 0;
      let proposalsAtExecution = 0;
      cluster.onEffect = (_, effect) => {
        if (effect.kind === "trace" && effect.trace.phase === "propose") proposals += 1;
        if (effect.kind === "finalize" && proposalsAtExecution === 0) proposalsAtExecution = proposals;
      };
      submitAt(cluster, 2, "request");
      expect(cluster.runUntilQuiet(10_000)).toBe(true);
      expect(cluster.isDone()).toBe(true);
      // The next leader holds the last certificate before it proposes.
      expect([proposalsAtExecution, proposals]).toEqual([phases, phases + 1]);
    });

    test(`${phases} phases: a view without a block breaks the chain, and what was certified commits in the next one`, () => {
      const cluster = clusterOf(4, { phases, voteRoute: "leader" });
      const firstView = cluster.host(0).engine?.status().view ?? 0;
      cluster.passes = (_, __, packet) => {
        const message = messageOf(packet);
        return message?.kind !== "proposal" || message.block.view !== firstView + 1;
      };
      const views: number[] = [];
      cluster.onEffect = (host, effect) => {
        if (host.self === 3 && effect.kind === "trace" && effect.trace.phase === "committed")
          views.push(effect.trace.view);
      };
      submitAt(cluster, 2, "request");
      cluster.run(8_000);
      expect(cluster.isDone()).toBe(true);
      // Without the gap it commits in the view after the chain; with it the chain begins after the gap.
      expect(Math.min(...views)).toBeGreaterThan(firstView + phases);
    });
  }
});

describe("O(n) messages in a view [HS-CHAIN]", () => {
  test("a proposal to each, and a vote of each to the next leader", () => {
    const cluster = clusterOf(7);
    const counts = new Map<string, number>();
    cluster.onDelivered = (_, __, packet) => {
      const message = messageOf(packet);
      if (message === null || (message.kind !== "proposal" && message.kind !== "vote")) return;
      const view = message.kind === "proposal" ? message.block.view : message.view;
      const key = `${message.kind}/${view}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    };
    for (let index = 0; index < 7; index++) submitAt(cluster, index, `request ${index}`);
    cluster.runUntilQuiet(10_000);
    expect(cluster.isDone()).toBe(true);
    expect(counts.size).toBeGreaterThan(6);
    // All to all would be 42; anti-entropy may say one twice.
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(2 * 7);
  });
});

describe("a place of the log", () => {
  for (const variant of VARIANTS) {
    test(`is proved by a quorum's commits to those who know the validators (${variant.phases}, ${variant.voteRoute})`, () => {
      const cluster = clusterOf(7, variant);
      for (let index = 0; index < 7; index++) {
        submitAt(cluster, index, `request ${index}`);
        cluster.run(cluster.schedule.nowMs + 30);
      }
      cluster.runUntilQuiet(20_000);
      expect(cluster.isDone()).toBe(true);
      const { log } = cluster.host(3).disk;
      expect(log.size).toBeGreaterThan(1);
      for (const bytes of log.values()) {
        const slot = decode(committedSlotCodec, bytes);
        const { set } = cluster.network;
        expect(slot.certificate.digest).toBe(batchDigest(slot.batch));
        expect(hasDistinctSigners(set, slot.certificate.proofs, set.quorum)).toBe(true);
        expect(allHold(cluster.network, obligationsOf(cluster.network, commitCertificateOf(slot)))).toBe(true);
      }
    });
  }
});

describe("a leader that is down", () => {
  for (const variant of VARIANTS) {
    test(`one of four for good: its views pass, and chains still complete (${variant.phases}, ${variant.voteRoute})`, () => {
      for (let down = 0; down < 4; down++) {
        const cluster = clusterOf(4, variant);
        cluster.host(down).crash();
        const up = [0, 1, 2, 3].filter((index) => index !== down);
        for (const index of up) submitAt(cluster, index, `request ${index}`);
        cluster.run(20_000);
        expect({ down, done: isExecutedAt(cluster, up) }).toEqual({ down, done: true });
      }
    });
  }

  test("at any of its effects, and comes back: all execute the same, and become quiet", () => {
    for (let effects = 0; effects <= EFFECTS; effects++) {
      for (const index of [1, 2]) {
        const cluster = clusterOf(4);
        const host = cluster.host(index);
        host.crashIn = effects;
        cluster.onCrash = (crashed) => {
          cluster.schedule.after(800, () => cluster.restart(crashed));
        };
        submitAt(cluster, 3, "request");
        const quiet = cluster.runUntilQuiet(60_000);
        expect({ effects, index, quiet, done: cluster.isDone() }).toEqual({ effects, index, quiet: true, done: true });
      }
    }
  });

  test("and all others with it, again and again, in the middle of requests", () => {
    for (const variant of VARIANTS) {
      const cluster = clusterOf(4, variant);
      for (let round = 0; round < 12; round++) {
        submitAt(cluster, round % 4, `request ${round}`);
        cluster.run(cluster.schedule.nowMs + 4 + 3 * round);
        for (const host of cluster.hosts) if (host.isUp) host.crash();
        cluster.run(cluster.schedule.nowMs + 50);
        for (const host of cluster.hosts) cluster.restart(host);
      }
      const quiet = cluster.runUntilQuiet(120_000);
      expect({ variant, quiet, done: cluster.isDone() }).toEqual({ variant, quiet: true, done: true });
    }
  });
});

describe("a replica that was away", () => {
  for (const variant of VARIANTS) {
    test(`for many places and checkpoints takes part again (${variant.phases}, ${variant.voteRoute})`, () => {
      const cluster = clusterOf(4, variant);
      cluster.host(3).crash();
      for (let round = 0; round < 15; round++) {
        submitAt(cluster, round % 3, `request ${round}`);
        cluster.run(cluster.schedule.nowMs + 400);
      }
      cluster.restart(cluster.host(3));
      cluster.run(cluster.schedule.nowMs + 3_000);
      // Now a quorum needs it.
      cluster.host(0).crash();
      submitAt(cluster, 3, "it votes again");
      cluster.run(cluster.schedule.nowMs + 30_000);
      expect(isExecutedAt(cluster, [1, 2, 3])).toBe(true);
    });
  }
});

describe("a replica that comes back under load", () => {
  for (const variant of VARIANTS) {
    test(`executes what it missed while views go on without a pause (${variant.phases}, ${variant.voteRoute})`, () => {
      const cluster = clusterOf(4, variant);
      for (let made = 0; made < 250; made++) {
        cluster.schedule.at(100 + made * 30, () => submitAt(cluster, made % 3, `request ${made}`));
      }
      cluster.run(2_000);
      cluster.host(3).crash();
      cluster.run(4_000);
      cluster.restart(cluster.host(3));
      cluster.run(7_500);
      const [ahead, back] = [0, 3].map((index) => cluster.host(index).disk.execution.sequence);
      expect(ahead).toBeGreaterThan(150);
      expect(Number(ahead) - Number(back)).toBeLessThan(10);
    });
  }
});

describe("an idle network", () => {
  test("is quiet, and a request costs a few views and no more", () => {
    for (const variant of VARIANTS) {
      const cluster = clusterOf(4, variant);
      for (let round = 0; round < 5; round++) {
        const before = cluster.host(0).engine?.status().view ?? 0;
        submitAt(cluster, round % 4, `request ${round}`);
        expect(cluster.runUntilQuiet(cluster.schedule.nowMs + 20_000)).toBe(true);
        const after = cluster.host(0).engine?.status().view ?? 0;
        expect(after - before).toBeLessThanOrEqual(variant.phases + 2);
      }
      expect(cluster.isDone()).toBe(true);
    }
  });
});

describe("a leader whose clock is a minute ahead", () => {
  test("gets no vote for its content, each replica says so once a view, and the next leaders go on", () => {
    let hosts = 0;
    const cluster = new HotStuffCluster({
      count: 4,
      seed: 1,
      variant: CHAINED,
      skewMs: () => (hosts++ === 2 ? 60_000 : 0),
    });
    const said: string[] = [];
    cluster.onEffect = (host, effect) => {
      if (host.self === 2 || effect.kind !== "trace" || effect.trace.phase !== "discard") return;
      expect(cluster.network.set.leaderOf(effect.trace.view)).toBe(
        2 as ReturnType<typeof cluster.network.set.leaderOf>,
      );
      said.push(`${host.self}/${effect.trace.view}`);
      expect(effect.trace.detail).toMatch(/^a proposal \d+ ms away from this node's clock$/);
    };
    cluster.start();
    // So often that every leader has its turn while something waits.
    for (let round = 0; round < 60; round++) {
      submitAt(cluster, round % 2, `request ${round}`);
      cluster.run(cluster.schedule.nowMs + 3 + round);
    }
    cluster.run(cluster.schedule.nowMs + 20_000);
    expect(said).not.toBeEmpty();
    expect(new Set(said).size).toBe(said.length);
    expect(isExecutedAt(cluster, [0, 1, 3])).toBe(true);
  });
});

describe("evidence", () => {
  test("convicts the leader that proposed two blocks in a view, and nobody else", () => {
    const liar = 2;
    const random = new Random(7);
    const cluster = new HotStuffCluster({
      count: 4,
      seed: 1,
      variant: CHAINED,
      isCorrect: (self) => self !== liar,
      wrap: (engine, { self, cluster: { network } }) =>
        new LyingEngine(engine, ["equivocate", "vote-for-everything"], { random, set: network.set, self }),
    });
    const accused = new Set<number>();
    cluster.onEffect = (_, effect) => {
      if (effect.kind !== "evidence") return;
      const { equivocation } = effect;
      expect(contradicts(equivocation)).toBe(true);
      expect(allHold(cluster.network, obligationsOfEquivocation(cluster.network, equivocation))).toBe(true);
      accused.add(equivocation.second.proof.seal.signer);
    };
    cluster.start();
    for (let round = 0; round < 8; round++) {
      submitAt(cluster, round % 4, `request ${round}`);
      cluster.run(cluster.schedule.nowMs + 1_000);
    }
    expect([...accused]).toEqual([liar]);
  });
});
