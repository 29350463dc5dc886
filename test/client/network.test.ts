import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import { type Client, connect, type FinalizedVertex, type Subscription } from "../../src/client/main.ts";
import type { FinalizedEvent } from "../../src/client/vertex-feed.ts";
import { AvalancheCluster } from "../e2e/avalanche-cluster.ts";
import { order, RealCluster } from "../e2e/real-cluster.ts";

const PATIENCE_MS = 90_000;
setDefaultTimeout(PATIENCE_MS);

let stops: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
}, PATIENCE_MS);

async function ordered(validators: number): Promise<RealCluster> {
  const cluster = await RealCluster.create(validators);
  stops.push(() => cluster.stop());
  await cluster.start();
  return cluster;
}

async function leaderless(application: string): Promise<AvalancheCluster> {
  const cluster = await AvalancheCluster.create(4, { application });
  stops.push(() => cluster.stop());
  await cluster.start();
  return cluster;
}

function client(nodes: readonly NodeProcess[], attemptTimeoutMs = 5_000): Client {
  const urls = nodes.map(({ apiUrl }) => apiUrl);
  const made = connect({ nodes: urls, timeoutMs: 60_000, heartbeatMs: 500, attemptTimeoutMs });
  stops.push(() => made.close());
  return made;
}

function at(nodes: readonly NodeProcess[], url: string): NodeProcess {
  const node = nodes.find(({ apiUrl }) => apiUrl === url);
  if (node === undefined) throw new Error(`no node at ${url}`);
  return node;
}

async function take(events: Subscription<FinalizedEvent>, count: number): Promise<readonly FinalizedVertex[]> {
  const seen: FinalizedVertex[] = [];
  while (seen.length < count) {
    const { value, done } = await events.next();
    if (done === true) throw new Error(`the stream ended after ${seen.length}`);
    seen.push(value.vertex);
  }
  return seen;
}

function labelled(label: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${label}-${index}`);
}

function contents(vertices: readonly FinalizedVertex[]): readonly string[] {
  return vertices.map(({ payload }) => new TextDecoder().decode(payload));
}

function sequences(vertices: readonly FinalizedVertex[]): readonly number[] {
  return vertices.map(({ sequence }) => sequence);
}

describe("a client of four validators", () => {
  test("submits, waits, looks up and reads the order, while the node that it used is killed", async () => {
    const { nodes } = await ordered(4);
    const user = client(nodes);
    const first = await user.submit("first", { wait: "finalized" });
    expect(first.sequence).toBe(1);
    await at(nodes, first.node).crash();
    const second = await user.submit(new TextEncoder().encode("second"));
    expect(second.node).not.toBe(first.node);
    const final = await user.waitForFinality(second.hash);
    expect(await user.vertex(second.hash)).toMatchObject({ state: "finalized", sequence: final.sequence });
    expect(await user.vertex("00".repeat(32))).toBeNull();
    const batch = await user.submitBatch(labelled("b", 40), { wait: "finalized" });
    expect(new Set(batch.map(({ sequence }) => sequence)).size).toBe(40);
    const all: FinalizedVertex[] = [];
    for await (const vertex of user.finalized()) all.push(vertex);
    expect(sequences(all)).toEqual(all.map((_, index) => index + 1));
    expect(new Set(contents(all))).toEqual(new Set(["first", "second", ...labelled("b", 40)]));
    expect(all.find(({ sequence }) => sequence === batch[7]?.sequence)?.hash).toBe(batch[7]?.hash ?? "");
    const few: number[] = [];
    for await (const { sequence } of user.finalized({ from: 3, limit: 5 })) few.push(sequence);
    expect(few).toEqual([3, 4, 5, 6, 7]);
    expect(await user.status()).toMatchObject({ validators: 4, engine: "pbft", isLeaderless: false });
  });

  test("hears every vertex once and in order, while nodes are killed and started again under it", async () => {
    const { nodes } = await ordered(4);
    const [writer, reader] = [client(nodes.slice(0, 1)), client(nodes.slice(1, 3))];
    await writer.submitBatch(labelled("old", 30), { wait: "finalized" });
    const events = reader.subscribe({ topics: ["finalized"], from: 1 });
    const seen = [...(await take(events, 30))];
    for (const [round, node] of nodes.slice(1, 3).entries()) {
      await node.crash();
      await writer.submitBatch(labelled(`round-${round}`, 50), { wait: "finalized" });
      seen.push(...(await take(events, 50)));
      node.start();
      await node.whenReady(30_000);
    }
    // Both of the reader's nodes have been away by now, one after the other; now both at once.
    await Promise.all(nodes.slice(1, 3).map((node) => node.crash()));
    await writer.submitBatch(labelled("last", 50));
    for (const node of nodes.slice(1, 3)) node.start();
    seen.push(...(await take(events, 50)));
    expect(sequences(seen)).toEqual(Array.from({ length: 180 }, (_, index) => index + 1));
    const [first] = nodes;
    if (first === undefined) throw new Error("four nodes");
    const told = await order(first, 180);
    expect(seen.map(({ hash }) => hash)).toEqual(told.map(({ hash }) => hash));
    events.close();
    expect(await events.next()).toEqual({ value: undefined, done: true });
  });

  test("leaves a node that hangs, with its calls and with its streams", async () => {
    const { nodes } = await ordered(4);
    const [writer, reader] = [client(nodes.slice(0, 1)), client(nodes.slice(1, 3), 1_000)];
    const events = reader.subscribe({ topics: ["finalized"], from: 1 });
    await events.ready;
    const { node } = await reader.status();
    const { pid } = at(nodes, node);
    process.kill(pid, "SIGSTOP");
    try {
      const { hash } = await writer.submit("while one hangs", { wait: "finalized" });
      expect(contents(await take(events, 1))).toEqual(["while one hangs"]);
      expect(await reader.waitForFinality(hash)).toMatchObject({ sequence: 1 });
      expect((await reader.status()).node).not.toBe(node);
    } finally {
      process.kill(pid, "SIGCONT");
    }
  });

  test("hears from now on where it names no beginning, and of live topics that it was cut off", async () => {
    const { nodes } = await ordered(1);
    const user = client(nodes);
    await user.submit("before", { wait: "finalized" });
    const cut = new AbortController();
    const final = user.subscribe({ topics: ["finalized"], signal: cut.signal });
    const live = user.subscribe({ topics: ["proposed", "finalized"] });
    await Promise.all([final.ready, live.ready]);
    await user.submit("after", { wait: "finalized" });
    expect(contents(await take(final, 1))).toEqual(["after"]);
    expect((await live.next()).value?.type).toBe("proposed");
    expect((await live.next()).value?.type).toBe("finalized");
    await nodes[0]?.crash();
    expect((await live.next()).value?.type).toBe("interrupted");
    cut.abort("done with it");
    await expect(final.next()).rejects.toMatchObject({ code: "aborted", cause: "done with it" });
    user.close();
    expect((await live.next()).done).toBe(true);
  });
});

describe("a client of a leaderless network", () => {
  test("stays with one node's order, also when that node is away for a while", async () => {
    const { nodes } = await leaderless("log");
    const [writer, reader] = [client(nodes.slice(0, 1)), client(nodes.slice(1))];
    const keyed = { wait: "finalized", conflictKeys: ["seat 7"] } as const;
    await writer.submit("mine", keyed);
    await expect(writer.submit("mine too", keyed)).rejects.toMatchObject({ code: "conflict", isRetryable: false });
    await writer.submitBatch(labelled("a", 20), { wait: "finalized" });
    const events = reader.subscribe({ topics: ["finalized"], from: 1 });
    const seen = [...(await take(events, 21))];
    expect(seen.find(({ conflictKeys }) => conflictKeys.length === 1)?.conflictKeys[0]).toEqual(
      new TextEncoder().encode("seat 7"),
    );
    // It reads the order of whichever of the three it began with: each of them goes away once.
    for (const [round, node] of nodes.slice(1).entries()) {
      await node.crash();
      await writer.submitBatch(labelled(`b${round}`, 20), { wait: "finalized" });
      node.start();
      seen.push(...(await take(events, 20)));
      await node.whenReady(30_000);
    }
    expect(sequences(seen)).toEqual(Array.from({ length: 81 }, (_, index) => index + 1));
    expect(new Set(seen.map(({ hash }) => hash)).size).toBe(81);
    const orders = await Promise.all(nodes.slice(1).map((node) => order(node, 81)));
    const matching = orders.filter((told) => told.every(({ hash }, index) => hash === seen[index]?.hash));
    expect(matching.length).toBeGreaterThanOrEqual(1);
  });

  test("moves units by the node that owns the account, and never twice", async () => {
    const { nodes } = await leaderless("ledger");
    const user = client(nodes);
    for (const owner of ["node-1", "node-2", "node-4"]) {
      const done = await user.ledger.transfer({ from: `${owner}/main`, to: "node-3/main", amount: 250n });
      expect(done).toMatchObject({ amount: 250n, number: 1, result: "applied", reason: null });
      expect((await user.ledger.account(`${owner}/main`)).balance).toBe(1_000_000n - 250n);
    }
    const again = { from: "node-1/main", to: "node-3/main", amount: 250n, number: 1 };
    await expect(user.ledger.transfer(again)).rejects.toMatchObject({ code: "number-used", mayHaveHappened: false });
    const rich = { from: "node-1/main", to: "node-3/main", amount: 10n ** 9n };
    await expect(user.ledger.transfer(rich)).rejects.toMatchObject({ code: "insufficient-balance" });
    const { hash } = await user.ledger.transfer({ ...rich, amount: 1n, number: 2 }, { wait: "accepted" });
    await user.waitForFinality(hash ?? "");
    const whole = await user.ledger.summary();
    expect([whole.total, whole.accounts, whole.isCurrent]).toEqual([4_000_000n, 4, true]);
    const others = client(nodes.slice(0, 1));
    const foreign = { from: "node-2/main", to: "node-1/main", amount: 1n };
    await expect(others.ledger.transfer(foreign)).rejects.toMatchObject({ code: "not-owner" });
    await expect(user.ledger.balance("nobody/main")).rejects.toMatchObject({ code: "malformed" });
    await expect(user.ledger.balance("nobody")).rejects.toMatchObject({ code: "invalid-argument" });
  });
});
