import { afterEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import {
  type Answered,
  AvalancheCluster,
  finalized,
  metric,
  propose,
  standing,
  vertex,
  winnerOf,
} from "./avalanche-cluster.ts";
import { payloads, submit } from "./real-cluster.ts";

/** Between two submissions of a load: some two hundred vertices a second at each node, at the most. */
const LOAD_PAUSE_MS = 50;

let cluster: AvalancheCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
}, 30_000);

async function startCluster(validators: number): Promise<AvalancheCluster> {
  cluster = await AvalancheCluster.create(validators);
  await cluster.start();
  return cluster;
}

interface Load {
  /** Hashes of all that was accepted. */
  stop(): Promise<readonly string[]>;
}

/** Keeps submitting to a node until told to stop, also while the node is away. */
function keepSubmitting(node: NodeProcess, label: string): Load {
  let running = true;
  const accepted: string[] = [];
  const work = (async () => {
    for (let round = 0; running; round++) {
      accepted.push(...(await submit(node, payloads(`${label}-${round}`, 10), false).catch(() => [])));
      await Bun.sleep(LOAD_PAUSE_MS);
    }
  })();
  return {
    stop: async () => {
      running = false;
      await work;
      return accepted;
    },
  };
}

/** Three spends of the same at three nodes, for each coin. */
function spend(nodes: readonly NodeProcess[], label: string, coins: number): Promise<readonly (readonly Answered[])[]> {
  return Promise.all(
    Array.from({ length: coins }, (_, coin) => {
      const keys = [`${label}-${coin}`];
      return Promise.all(nodes.map((node, at) => propose(node, `${keys[0]} of ${at}`, { keys, wait: true })));
    }),
  );
}

/** The process is killed, and all that it wrote is gone; its key is not. */
async function loseDisk(running: AvalancheCluster, index: number): Promise<void> {
  await running.node(index).crash();
  rmSync(join(dirname(running.configs[index] ?? ""), "data"), { recursive: true });
}

async function hashesAt(node: NodeProcess): Promise<readonly string[]> {
  return (await finalized(node)).map(({ hash }) => hash);
}

/** What is final is the same everywhere, and each vertex is so once. */
async function expectSameSet(nodes: readonly NodeProcess[]): Promise<readonly string[]> {
  const sets = await Promise.all(nodes.map(async (node) => (await hashesAt(node)).toSorted()));
  const [first = []] = sets;
  expect(new Set(first).size).toBe(first.length);
  for (const other of sets) expect(other).toEqual(first);
  return first;
}

/** An order never changes: what a node told before is how it begins now. */
async function expectPrefix(node: NodeProcess, before: readonly string[]): Promise<void> {
  expect((await hashesAt(node)).slice(0, before.length)).toEqual([...before]);
}

describe("a leaderless network of processes", () => {
  test("goes on when one is killed under load; it comes back with what it said before", async () => {
    const running = await startCluster(4);
    const victim = running.node(3);
    const others = running.nodes.slice(0, 3);
    const loads = running.nodes.map((node, at) => keepSubmitting(node, `load-${at}`));
    const before = await spend(others, "before", 4);
    await running.whenFinal(before.map(winnerOf), [victim]);
    // The last that it told anybody, as far as that can be asked of a process that is about to die.
    const told = await hashesAt(victim);
    await victim.crash();
    const during = await spend(others, "during", 4);
    const away = await submit(running.node(0), payloads("away", 100), true);
    victim.start();
    await victim.whenReady(30_000);
    const back = await submit(victim, payloads("back", 20), true);
    const after = await spend(running.nodes, "after", 4);
    const accepted = (await Promise.all(loads.map((load) => load.stop()))).flat();
    const winners = [...before, ...during, ...after].map(winnerOf);
    const all = [...winners, ...away, ...back, ...accepted];
    await running.whenFinal(all);
    await expectPrefix(victim, told);
    const known = new Set(all);
    const final = await expectSameSet(running.nodes);
    console.log(`killed under load: ${told.length} final before, ${final.length} in the end`);
    // The victim may have died between taking something in and saying so.
    const unasked = (await finalized(victim)).filter(({ hash }) => !known.has(hash));
    expect(unasked.filter(({ creator }) => creator !== running.ids[3])).toEqual([]);
    expect(final.length - unasked.length).toBe(known.size);
  }, 60_000);

  test("comes back as it was after all are killed at once", async () => {
    const running = await startCluster(3);
    const { nodes } = running;
    const winners = (await spend(nodes, "coin", 6)).map(winnerOf);
    await running.whenFinal(winners);
    const told = await Promise.all(nodes.map(hashesAt));
    const open = await Promise.all(nodes.map((node, at) => submit(node, payloads(`open-${at}`, 100), false)));
    await Promise.all(nodes.map((node) => node.crash()));
    await running.start();
    await running.whenFinal([...winners, ...open.flat()]);
    for (const [at, node] of nodes.entries()) await expectPrefix(node, told[at] ?? []);
    expect(await expectSameSet(nodes)).toEqual([...winners, ...open.flat()].toSorted());
    const late = await Promise.all(nodes.map((node) => propose(node, "late", { keys: ["coin-0"], wait: true })));
    expect(late.map(({ status, body }) => [status, body.type])).toEqual(nodes.map(() => [409, "/problems/conflict"]));
  }, 60_000);

  test("brings one that starts late with an empty disk, and one that lost its disk, to where it is", async () => {
    cluster = await AvalancheCluster.create(4);
    const running = cluster;
    const early = running.nodes.slice(0, 3);
    const late = running.node(3);
    await running.start(early);
    const bulk = await Promise.all(early.map((node, at) => submit(node, payloads(`early-${at}`, 400), true)));
    const winners = (await spend(early, "early", 4)).map(winnerOf);
    await running.start([late]);
    const all = [...bulk.flat(), ...winners, ...(await submit(late, payloads("late", 20), true))];
    await running.whenFinal(all);
    expect(await expectSameSet(running.nodes)).toEqual(all.toSorted());

    await loseDisk(running, 3);
    all.push(...(await submit(running.node(0), payloads("without", 50), true)));
    late.start();
    // Not when it is ready: where it had voted in the log, it may not speak before that has moved on (`start-gate.ts`).
    await late.whenAnswering(30_000);
    await running.whenFinal(all);
    expect(await expectSameSet(running.nodes)).toEqual(all.toSorted());
    for (const hash of winners) expect((await vertex(late, hash))?.state).toBe("finalized");
  }, 60_000);

  test("lets one that lost its disk speak again behind what it once said, where the log was not in use", async () => {
    const running = await startCluster(4);
    const forgetful = running.node(3);
    const all = (await Promise.all(running.nodes.map((node, at) => submit(node, payloads(`n${at}`, 50), true)))).flat();
    await loseDisk(running, 3);
    all.push(...(await submit(running.node(0), payloads("without", 50), true)));
    await running.start([forgetful]);
    all.push(...(await submit(forgetful, payloads("again", 20), true)));
    await running.whenFinal(all);
    expect(await expectSameSet(running.nodes)).toEqual(all.toSorted());
    // No nonce twice: that would be a fork.
    const own = (await finalized(running.node(0))).filter(({ creator }) => creator === running.ids[3]);
    expect(own).toHaveLength(70);
    for (const node of running.nodes) expect((await standing(node)).epoch).toBe(0);
    expect(await metric(running.node(0), 'cretoai_byzantine_violations_total{type="equivocation"}')).toBe(0);
  }, 60_000);

  test("is followed by an observer, which has no vote", async () => {
    const running = await startCluster(3);
    const { nodes } = running;
    const validators = [...nodes];
    const before = await Promise.all(validators.map((node, at) => submit(node, payloads(`before-${at}`, 100), true)));
    const watcher = await running.addObserver("watcher");
    watcher.start();
    await watcher.whenAnswering(30_000);
    const winners = (await spend(validators, "coin", 4)).map(winnerOf);
    const all = [...before.flat(), ...winners];
    await running.whenFinal(all);
    expect(await standing(watcher)).toMatchObject({ engine: "avalanche", role: "observer" });
    expect(await expectSameSet(running.nodes)).toEqual(all.toSorted());
    const refused = await propose(watcher, "mine");
    expect([refused.status, refused.body.type]).toEqual([503, "/problems/observer"]);
  }, 60_000);
});
