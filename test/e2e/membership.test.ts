import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { loadConfig } from "../../src/node/config.ts";
import { keyFileAt } from "../../src/node/key-location.ts";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import { run } from "../cli/command.ts";
import { ask, GrowingCluster, memberOf, membership } from "./growing-cluster.ts";
import { order, payloads, submit } from "./real-cluster.ts";

const TEST_MS = 150_000;
const open: GrowingCluster[] = [];

afterEach(async () => {
  await Promise.all(open.map((cluster) => cluster.endLiar()));
});

async function create(
  validators: number,
  policy: { min: number; max: number },
  acceptObservers = true,
): Promise<GrowingCluster> {
  const cluster = await GrowingCluster.create(validators, policy, acceptObservers);
  open.push(cluster);
  return cluster;
}

async function stopAll(): Promise<void> {
  await Promise.all(open.splice(0).map((cluster) => cluster.stop()));
}

afterAll(stopAll, 30_000);

async function idOf(cluster: GrowingCluster, index: number): Promise<string> {
  return (await readKeyFile(keyFileAt(loadConfig(cluster.configs[index] ?? "").crypto.key_path), {})).nodeId;
}

/** All of these have the same order, at least up to what any of them has now. */
async function expectOneOrder(nodes: readonly NodeProcess[]): Promise<readonly string[]> {
  const last = Math.max(...(await Promise.all(nodes.map((node) => node.lastSequence()))));
  const orders = await Promise.all(nodes.map((node) => order(node, last)));
  const hashes = orders.map((items) => items.map(({ sequence, hash }) => `${sequence} ${hash}`));
  for (const one of hashes) expect(one).toEqual(hashes[0] ?? []);
  return (orders[0] ?? []).map(({ hash }) => hash);
}

/** Submits again and again until it is ended; answers what was accepted. */
function load(node: NodeProcess, label: string): { end(): Promise<readonly string[]> } {
  const accepted: string[] = [];
  let ended = false;
  const running = (async (): Promise<void> => {
    for (let round = 0; !ended; round++) {
      accepted.push(...(await submit(node, payloads(`${label}-${round}`, 20), true)));
    }
  })();
  running.catch(() => undefined);
  return {
    end: async () => {
      ended = true;
      await running;
      return accepted;
    },
  };
}

describe("a network whose validators come and go", () => {
  let cluster: GrowingCluster | null = null;
  const running = (): GrowingCluster => {
    if (cluster === null) throw new Error("the first test starts the cluster");
    return cluster;
  };

  test(
    "admits a fifth node by the words of three operators; it votes, and its submissions are final",
    async () => {
      cluster = await create(4, { min: 3, max: 7 });
      await cluster.start(cluster.nodes);
      await submit(cluster.node(0), payloads("before", 30), true);
      const fifth = await cluster.addObserver("node-5");
      fifth.start();
      await fifth.whenAnswering(30_000);
      expect(await ask<object>(fifth, "/v1/status")).toMatchObject({ role: "observer" });
      const refused = await run(["validators", "leave", "--url", fifth.apiUrl]);
      expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining("observer")]);

      await cluster.admit(4, [0, 1]);
      expect(await membership(cluster.node(1))).toMatchObject({
        epoch: 0,
        pending: [{ kind: "admit", approvals: { length: 2 } }],
      });
      await cluster.admit(4, [2]);
      const seen = await cluster.whenEpoch(1, cluster.nodes);
      expect(new Set(seen.map(({ afterBatch }) => afterBatch)).size).toBe(1);
      const { nodeId } = await ask<{ nodeId: string }>(fifth, "/v1/status");
      for (const one of seen) {
        expect(one).toMatchObject({ quorum: 4, active: 5, pending: [] });
        expect(memberOf(one, nodeId)).toMatchObject({ name: "node-5", standing: "active" });
      }
      await fifth.whenReady(30_000);

      // An observer's connection has an observer's allowance.
      for (const node of cluster.nodes.slice(0, 4)) {
        await cluster.eventually("the fifth is a validator to the others", async () => {
          const { items } = await ask<{ items: readonly { nodeId: string; role: string }[] }>(node, "/v1/peers");
          return items.some((peer) => peer.nodeId === nodeId && peer.role === "validator") ? true : null;
        });
      }

      // Four of the five are a quorum only with the new one's votes.
      await cluster.node(3).crash();
      await submit(cluster.node(0), payloads("with the fifth", 30), true);
      const own = await submit(fifth, payloads("by the fifth", 30), true);
      const alive = [0, 1, 2, 4].map((index) => running().node(index));
      expect(await expectOneOrder(alive)).toEqual(expect.arrayContaining([...own]));
      await cluster.start([cluster.node(3)]);
    },
    TEST_MS,
  );

  test(
    "goes on with a smaller quorum when a validator leaves while clients submit; nothing accepted is lost",
    async () => {
      const leaver = running().node(1);
      const staying = [0, 2, 3, 4].map((index) => running().node(index));
      const loads = staying.slice(0, 3).map((node) => load(node, node.name));
      await running().say("validators", "leave", "--url", leaver.apiUrl);
      const seen = await running().whenEpoch(2, staying);
      for (const one of seen) expect(one).toMatchObject({ active: 4, quorum: 3 });
      const id = await idOf(running(), 1);
      for (const one of seen) expect(memberOf(one, id).standing).toBe("left");
      const accepted = (await Promise.all(loads.map((one) => one.end()))).flat();
      expect(accepted.length).toBeGreaterThan(0);
      expect(await expectOneOrder(staying)).toEqual(expect.arrayContaining(accepted));
      // It follows as an observer, and says so to whoever submits.
      await running().whenEpoch(2, [leaver]);
      expect(await ask<object>(leaver, "/v1/status")).toMatchObject({ role: "observer" });
      expect(submit(leaver, payloads("no more", 1), true)).rejects.toThrow("503");
    },
    TEST_MS,
  );

  test(
    "goes on in the same epoch when all of it restarts",
    async () => {
      const before = await membership(running().node(0));
      await Promise.all(running().nodes.map((node) => node.stop()));
      const staying = [0, 2, 3, 4].map((index) => running().node(index));
      await running().start(staying);
      for (const node of staying) expect(await membership(node)).toEqual({ ...before, members: expect.anything() });
      const more = await submit(running().node(4), payloads("after the restart", 30), true);
      expect(await expectOneOrder(staying)).toEqual(expect.arrayContaining([...more]));
      // Who left may come back as what it is now, and follows.
      const leaver = running().node(1);
      leaver.start();
      await leaver.whenAnswering(30_000);
      expect(await ask<object>(leaver, "/v1/status")).toMatchObject({ role: "observer", epoch: 2 });
      await expectOneOrder([...staying, leaver]);
      await stopAll();
    },
    TEST_MS,
  );
});

describe("a network that lets no observers in", () => {
  test(
    "is joined by who is admitted, and left by who leaves; who was down meanwhile catches up over both changes",
    async () => {
      const cluster = await create(4, { min: 3, max: 7 }, false);
      await cluster.start(cluster.nodes);
      const fifth = await cluster.addObserver("node-5");
      fifth.start();
      await fifth.whenAnswering(30_000);
      const [first, leaver, third, down] = [0, 1, 2, 3].map((index) => cluster.node(index)) as [
        NodeProcess,
        NodeProcess,
        NodeProcess,
        NodeProcess,
      ];
      await down.crash();
      await cluster.admit(4, [0, 1, 2]);
      await cluster.whenEpoch(1, [first, leaver, third, fifth]);
      await fifth.whenReady(30_000);
      await submit(fifth, payloads("by the fifth", 30), true);

      expect(await cluster.say("validators", "leave", "--url", leaver.apiUrl)).toContain("left");
      await cluster.whenEpoch(2, [first, third, fifth]);
      await submit(fifth, payloads("after the leave", 30), true);

      await cluster.start([down]);
      await cluster.whenEpoch(2, [down]);
      // Three of four are a quorum only with the votes of who was down.
      await first.crash();
      await submit(fifth, payloads("with who was down", 30), true);
      await expectOneOrder([third, down, fifth]);
      await stopAll();
    },
    TEST_MS,
  );
});

describe("a validator that equivocates", () => {
  test(
    "is removed by the order, at the same batch everywhere, and never comes back",
    async () => {
      const cluster = await create(4, { min: 3, max: 7 });
      const honest = cluster.nodes.slice(0, 3);
      await cluster.start(honest);
      const liarId = await idOf(cluster, 3);
      cluster.startLiar(3, await idOf(cluster, 0));
      const seen = await cluster.whenEpoch(1, honest);
      await cluster.endLiar();
      expect(new Set(seen.map(({ afterBatch }) => afterBatch)).size).toBe(1);
      for (const one of seen) {
        expect(one).toMatchObject({ active: 3, quorum: 2 });
        expect(memberOf(one, liarId)).toMatchObject({ standing: "convicted", condemned: null });
      }
      await submit(cluster.node(1), payloads("without the liar", 30), true);
      for (const node of honest) {
        const lines = (await (await fetch(node.metricsUrl)).text()).split("\n");
        for (const line of ["epoch 1", "validators_active 3", "validator_set_changes_total 1"])
          expect(lines).toContain(`cretoai_${line}`);
      }
      const back = await run([
        "validators",
        "admit",
        ...(await admission(cluster, 3)),
        "--url",
        cluster.node(0).apiUrl,
      ]);
      expect([back.code, back.stderr]).toEqual([1, expect.stringContaining("convicted")]);
      expect((await membership(cluster.node(0))).pending).toEqual([]);
      await expectOneOrder(honest);
      await stopAll();
    },
    TEST_MS,
  );

  test(
    "keeps its place at the minimum until another one takes it",
    async () => {
      const cluster = await create(4, { min: 4, max: 7 });
      const honest = cluster.nodes.slice(0, 3);
      await cluster.start(honest);
      const liarId = await idOf(cluster, 3);
      cluster.startLiar(3, await idOf(cluster, 0));
      await cluster.eventually("the liar is condemned everywhere", async () => {
        const seen = await Promise.all(honest.map(membership));
        return seen.every((one) => memberOf(one, liarId).condemned === "evidence") ? true : null;
      });
      await cluster.endLiar();
      expect(await membership(cluster.node(0))).toMatchObject({ epoch: 0, active: 4 });
      const leave = await run(["validators", "leave", "--url", cluster.node(0).apiUrl]);
      expect([leave.code, leave.stderr]).toEqual([1, expect.stringContaining("minimum of 4")]);

      const fifth = await cluster.addObserver("node-5");
      fifth.start();
      await fifth.whenAnswering(30_000);
      await cluster.admit(4, [0, 1, 2]);
      const seen = await cluster.whenEpoch(1, [...honest, fifth]);
      for (const one of seen) {
        expect(one).toMatchObject({ active: 4, quorum: 3 });
        expect(memberOf(one, liarId).standing).toBe("convicted");
      }
      await fifth.whenReady(30_000);
      await submit(fifth, payloads("in its place", 30), true);
      await expectOneOrder([...honest, fifth]);
      await stopAll();
    },
    TEST_MS,
  );
});

async function admission(cluster: GrowingCluster, index: number): Promise<readonly string[]> {
  return ["--key", await cluster.keyFile(index), "--address", "127.0.0.1:9000"];
}
