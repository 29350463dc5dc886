import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { createTestnet } from "../../src/cli/testnet.ts";
import { loadConfig } from "../../src/node/config.ts";
import { order, payloads, RealCluster, status, submit, keepSubmitting } from "./real-cluster.ts";

let cluster: RealCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

async function startCluster(): Promise<RealCluster> {
  cluster = await RealCluster.create(4);
  await cluster.start();
  return cluster;
}

function expectSameOrder(orders: readonly (readonly { hash: string; sequence: number }[])[]): void {
  const [first = []] = orders;
  expect(first.map(({ sequence }) => sequence)).toEqual(first.map((_, index) => index + 1));
  for (const other of orders) expect(other.map(({ hash }) => hash)).toEqual(first.map(({ hash }) => hash));
  expect(new Set(first.map(({ hash }) => hash)).size).toBe(first.length);
}

describe("four validators as processes", () => {
  test("finalize what all four take in, once and in one order", async () => {
    const { nodes } = await startCluster();
    const hashes = await Promise.all(nodes.map((node, index) => submit(node, payloads(`n${index}`, 250), true)));
    const orders = await Promise.all(nodes.map((node) => order(node, 1_000)));
    expectSameOrder(orders);
    expect(new Set(orders[0]?.map(({ hash }) => hash))).toEqual(new Set(hashes.flat()));
    for (const node of nodes) expect((await status(node))["lastSequence"]).toBe(1_000);
  }, 60_000);

  test("go on when a follower is killed under load, and it catches up after its restart", async () => {
    const { nodes } = await startCluster();
    const leader = await cluster?.leader();
    const follower = nodes.find((node) => node !== leader) ?? nodes[0];
    const others = nodes.filter((node) => node !== follower);
    if (follower === undefined || others[0] === undefined) throw new Error("four nodes");
    const load = keepSubmitting(others[0], "load");
    await submit(others[0], payloads("before", 50), true);
    await follower.crash();
    await submit(others[0], payloads("while-away", 200), true);
    follower.start();
    await follower.whenReady(20_000);
    await submit(follower, payloads("back", 50), true);
    const accepted = await load.stop();
    const total = accepted.length + 300;
    const orders = await Promise.all(nodes.map((node) => order(node, total)));
    expectSameOrder(orders);
    const final = new Set(orders[0]?.map(({ hash }) => hash));
    expect(accepted.filter((hash) => !final.has(hash))).toEqual([]);
  }, 90_000);

  test("change the view when the leader is killed under load, and lose nothing that was accepted", async () => {
    const { nodes } = await startCluster();
    const leader = await cluster?.leader();
    const others = nodes.filter((node) => node !== leader);
    if (leader === undefined || others[0] === undefined || others[1] === undefined) throw new Error("four nodes");
    const load = keepSubmitting(others[0], "load");
    const atLeader = await submit(leader, payloads("at-leader", 50), true);
    await leader.crash();
    await submit(others[1], payloads("after", 100), true);
    expect((await status(others[0]))["view"]).toBeGreaterThan(0);
    leader.start();
    await leader.whenReady(20_000);
    const accepted = await load.stop();
    await submit(leader, payloads("again", 10), true);
    const total = accepted.length + 160;
    const orders = await Promise.all(nodes.map((node) => order(node, total)));
    expectSameOrder(orders);
    const final = new Set(orders[0]?.map(({ hash }) => hash));
    expect([...accepted, ...atLeader].filter((hash) => !final.has(hash))).toEqual([]);
  }, 90_000);

  test("come back as they were after all of them are killed at once", async () => {
    const { nodes } = await startCluster();
    const [first] = nodes;
    if (first === undefined) throw new Error("four nodes");
    await submit(first, payloads("first", 300), true);
    const accepted = await Promise.all(nodes.map((node, index) => submit(node, payloads(`open-${index}`, 50), false)));
    await Promise.all(nodes.map((node) => node.crash()));
    for (const node of nodes) node.start();
    await Promise.all(nodes.map((node) => node.whenReady(20_000)));
    const orders = await Promise.all(nodes.map((node) => order(node, 500)));
    expectSameOrder(orders);
    const final = new Set(orders[0]?.map(({ hash }) => hash));
    expect(accepted.flat().filter((hash) => !final.has(hash))).toEqual([]);
  }, 90_000);

  test("refuse a node that is not in the set, though it knows the genesis", async () => {
    const { nodes, folder, configs } = await startCluster();
    const [config] = configs;
    if (config === undefined) throw new Error("four nodes");
    const foreign = join(folder, "foreign");
    const [stranger] = await createTestnet({
      validators: 1,
      engine: "pbft",
      output: foreign,
      basePort: 0,
      host: "127.0.0.1",
      hybrid: true,
    });
    if (stranger === undefined) throw new Error("one node");
    const ours = readFileSync(config, "utf8");
    const peers = /bootstrap_peers = \[[^\]]*\]/.exec(ours)?.[0] ?? "";
    // The stranger's key with our genesis: admitted by hash, refused because it is no validator.
    copyFileSync(join(dirname(config), "genesis.json"), join(dirname(stranger.config), "genesis.json"));
    const toml = readFileSync(stranger.config, "utf8").replace(/bootstrap_peers = \[[^\]]*\]/, peers);
    writeFileSync(stranger.config, toml);
    const outsider = new NodeProcess(loadConfig(stranger.config));
    outsider.start();
    try {
      const refused = await awaitLog(outsider, "not-admitted");
      expect(refused).toContain("not-admitted");
      // A node is ready as soon as it reaches a quorum: the last of its connections may come later. None is the stranger's.
      for (const node of nodes) await awaitPeers(node, 3);
    } finally {
      await outsider.stop();
    }
  }, 60_000);
});

/** Resolves when a node is connected to so many; the test's own limit ends the waiting. */
async function awaitPeers(node: NodeProcess, count: number): Promise<void> {
  for (;;) {
    const { peers } = await status(node);
    if (peers === count) return;
    expect(peers).toBeLessThan(count);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The first line of a node's log with this text; the log is the only witness of a refused handshake. */
async function awaitLog(node: NodeProcess, text: string): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const line = readFileSync(node.logFile, "utf8")
      .split("\n")
      .find((candidate) => candidate.includes(text));
    if (line !== undefined) return line;
    await Bun.sleep(100);
  }
  return "";
}

describe("an observer", () => {
  test("follows the total order without a key in the set, and takes nothing in", async () => {
    const { nodes, folder, configs } = await startCluster();
    for (const config of configs) {
      const toml = readFileSync(config, "utf8").replace("[network]\n", "[network]\naccept_observers = true\n");
      writeFileSync(config, toml);
    }
    await Promise.all(nodes.map((node) => node.stop()));
    for (const node of nodes) node.start();
    await Promise.all(nodes.map((node) => node.whenReady(20_000)));
    const [first] = nodes;
    const [stranger] = await createTestnet({
      validators: 1,
      engine: "pbft",
      output: join(folder, "observer"),
      basePort: 0,
      host: "127.0.0.1",
      hybrid: true,
    });
    if (stranger === undefined || first === undefined || configs[0] === undefined) throw new Error("one node");
    copyFileSync(join(dirname(configs[0]), "genesis.json"), join(dirname(stranger.config), "genesis.json"));
    const observer = new NodeProcess(loadConfig(stranger.config));
    await submit(first, payloads("before", 100), true);
    observer.start();
    try {
      await observer.whenAnswering(20_000);
      await submit(first, payloads("after", 100), true);
      expectSameOrder([await order(observer, 200), await order(first, 200)]);
      expect((await status(observer))["role"]).toBe("observer");
      const refused = await submit(observer, payloads("not-here", 1), false).catch((error: unknown) => String(error));
      expect(refused).toContain("503");
    } finally {
      await observer.stop();
    }
  }, 60_000);
});
