import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { createTestnet } from "../../src/cli/testnet.ts";
import { loadConfig } from "../../src/node/config.ts";
import { GrowingCluster } from "./growing-cluster.ts";
import { type Item, order, payloads, RealCluster, status, submit, keepSubmitting } from "./real-cluster.ts";

/** Four validators of HotStuff as processes: real QUIC, RocksDB and signatures. */

const engine = "hotstuff";

let cluster: RealCluster | null = null;
let growing: GrowingCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  await growing?.stop();
  cluster = null;
  growing = null;
}, 30_000);

async function startCluster(phases?: 2 | 3, voteRoute?: string): Promise<RealCluster> {
  cluster = await RealCluster.create(4, {
    engine,
    ...(phases === undefined ? {} : { phases }),
    ...(voteRoute === undefined ? {} : { voteRoute }),
  });
  await cluster.start();
  return cluster;
}

/** All nodes have the same order of so many, and these are in it. */
async function expectOneOrder(nodes: readonly NodeProcess[], last: number, wanted: readonly string[]): Promise<void> {
  const orders = await Promise.all(nodes.map((node) => order(node, last)));
  const [first = []] = orders;
  expect(first.map(({ sequence }) => sequence)).toEqual(first.map((_, index) => index + 1));
  const hashesOf = (items: readonly Item[]): readonly string[] => items.map(({ hash }) => hash);
  for (const other of orders) expect(hashesOf(other)).toEqual(hashesOf(first));
  const final = new Set(hashesOf(first));
  expect(final.size).toBe(last);
  expect(wanted.filter((hash) => !final.has(hash))).toEqual([]);
}

describe("four validators of HotStuff as processes", () => {
  for (const [phases, voteRoute] of [
    [3, "leader"],
    [2, "leader"],
    [3, "all"],
    [2, "all"],
  ] as const) {
    test(`finalize what all four take in, once and in one order, with ${phases} phases and votes to ${voteRoute}`, async () => {
      const { nodes } = await startCluster(phases, voteRoute);
      const hashes = await Promise.all(nodes.map((node, index) => submit(node, payloads(`n${index}`, 250), true)));
      await expectOneOrder(nodes, 1_000, hashes.flat());
      for (const node of nodes) expect(await status(node)).toMatchObject({ engine, lastSequence: 1_000 });
    }, 60_000);
  }

  test("go on when the leader is killed under load, lose nothing that was accepted, and take it back", async () => {
    const { nodes } = await startCluster();
    const leader = await cluster?.leader();
    const others = nodes.filter((node) => node !== leader);
    if (leader === undefined || others[0] === undefined || others[1] === undefined) throw new Error("four nodes");
    const load = keepSubmitting(others[0], "load");
    const atLeader = await submit(leader, payloads("at-leader", 50), true);
    await leader.crash();
    await submit(others[1], payloads("after", 100), true);
    leader.start();
    await leader.whenReady(20_000);
    const accepted = await load.stop();
    await submit(leader, payloads("again", 10), true);
    await expectOneOrder(nodes, accepted.length + 160, [...accepted, ...atLeader]);
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
    await expectOneOrder(nodes, 500, accepted.flat());
  }, 90_000);

  test("one that lost its disk keeps silent and follows, and the others go on with it as one of the f", async () => {
    const { nodes, configs } = await startCluster();
    const [first, lost] = nodes;
    if (first === undefined || lost === undefined || configs[1] === undefined) throw new Error("four nodes");
    await submit(lost, payloads("its-own", 40), true);
    await lost.crash();
    rmSync(join(dirname(configs[1]), "data"), { recursive: true, force: true });
    lost.start();
    await lost.whenAnswering(20_000);
    await submit(first, payloads("after", 100), true);
    await expectOneOrder(nodes, 140, []);
    const answer = await fetch(`${lost.apiUrl}/ready`);
    expect([answer.status, await answer.text()]).toEqual([
      503,
      expect.stringContaining("knows less than it once said"),
    ]);
  }, 90_000);
});

describe("an observer of a network of HotStuff", () => {
  test("follows the total order without a key in the set", async () => {
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
      engine,
      output: join(folder, "observer"),
      basePort: 0,
      host: "127.0.0.1",
      hybrid: true,
    });
    if (stranger === undefined || first === undefined || configs[0] === undefined) throw new Error("one node");
    copyFileSync(join(dirname(configs[0]), "genesis.json"), join(dirname(stranger.config), "genesis.json"));
    const observer = new NodeProcess(loadConfig(stranger.config));
    const before = await submit(first, payloads("before", 100), true);
    observer.start();
    try {
      await observer.whenAnswering(20_000);
      const after = await submit(first, payloads("after", 100), true);
      await expectOneOrder([observer, first], 200, [...before, ...after]);
      expect((await status(observer))["role"]).toBe("observer");
    } finally {
      await observer.stop();
    }
  }, 60_000);
});

describe("a validator set of HotStuff", () => {
  test("takes a fifth in: it takes part from the next epoch on", async () => {
    growing = await GrowingCluster.create(4, { min: 3, max: 10 }, true, engine);
    await growing.start([...growing.nodes]);
    const newcomer = await growing.addObserver("newcomer");
    newcomer.start();
    await newcomer.whenAnswering(20_000);
    await submit(growing.node(0), payloads("before", 60), true);
    await growing.admit(4, [0, 1, 2]);
    await growing.whenEpoch(1, growing.nodes);
    await newcomer.whenReady(30_000);
    const own = await submit(newcomer, payloads("mine", 40), true);
    const others = await submit(growing.node(1), payloads("theirs", 40), true);
    const last = Math.max(...(await Promise.all(growing.nodes.map((node) => node.lastSequence()))));
    await expectOneOrder(growing.nodes, last, [...own, ...others]);
  }, 120_000);
});
