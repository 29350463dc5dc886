import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import { AvalancheCluster, finalized, hashOf, logOf, metric, propose, standing, vertex } from "./avalanche-cluster.ts";
import { ask } from "./growing-cluster.ts";
import { payloads, submit } from "./real-cluster.ts";

/** Halves of three: neither is the quorum of six validators, which is four. */
const HALF = 3;

let cluster: AvalancheCluster | null = null;

beforeAll(async () => {
  cluster = await AvalancheCluster.create(2 * HALF, { isRelayed: true });
  await cluster.start();
}, 60_000);

afterAll(async () => {
  await cluster?.stop();
}, 30_000);

function running(): AvalancheCluster {
  if (cluster === null) throw new Error("the cluster runs");
  return cluster;
}

/** Each node has only its own half left. */
async function connectionsLost(): Promise<true | null> {
  const seen = await Promise.all(running().nodes.map(standing));
  return seen.every(({ peers }) => peers === HALF - 1) ? true : null;
}

interface Ready {
  readonly status?: number;
  readonly reasons: readonly string[];
}

/** What the node says of a partition, in every place where an operator looks; null while it says nothing. */
async function partitionSeen(node: NodeProcess): Promise<string | null> {
  const { dag } = await standing(node);
  const { status, reasons } = await ask<Ready>(node, "/ready");
  const gauge = await metric(node, "cretoai_avalanche_partitioned");
  const reason = reasons.find((words) => words.includes("the network may be partitioned"));
  if (dag?.isPartitioned !== true || status !== 503 || gauge !== 1 || reason === undefined) return null;
  return reason;
}

/** Vertices of both halves, and two that spend the same: one in each. */
async function takeIn(
  cut: AvalancheCluster,
  label: string,
): Promise<{ virtuous: readonly string[]; rivals: readonly string[] }> {
  const virtuous = await Promise.all(cut.nodes.map((node, at) => submit(node, payloads(`${label}-${at}`, 20), false)));
  const rivals = await Promise.all(
    [0, HALF].map((at) => propose(cut.node(at), `${label}: coin of ${at}`, { keys: [label] })),
  );
  expect(rivals.map(({ status }) => status)).toEqual([202, 202]);
  return { virtuous: virtuous.flat(), rivals: rivals.map(hashOf) };
}

describe("six validators, cut into two halves", () => {
  test("finalize over the relay while all is well", async () => {
    const { nodes } = running();
    const hashes = await Promise.all(nodes.map((node, at) => submit(node, payloads(`whole-${at}`, 20), true)));
    await running().whenFinal(hashes.flat());
  }, 60_000);

  test.each([
    ["the connections outlive it", (): Promise<true> => Promise.resolve(true)],
    ["the connections are lost", connectionsLost],
  ])(
    "accept and finalize nothing, say that they are partitioned, and agree after it is over: %s",
    async (how, isLong) => {
      const cut = running();
      const { nodes } = cut;
      const before = (await standing(cut.node(0))).lastSequence;
      cut.relay.cut((from, to) => from < HALF !== to < HALF);
      const { virtuous, rivals } = await takeIn(cut, how);
      const reasons = await cut.eventually("every node sees the partition", async () => {
        const seen = await Promise.all(nodes.map(partitionSeen));
        return seen.every((reason) => reason !== null) ? seen : null;
      });
      expect(reasons[0]).toContain("consensus pauses");
      for (const node of nodes) {
        expect((await standing(node)).lastSequence).toBe(before);
        expect(logOf(node)).toContain("consensus.partitioned");
      }
      // Accepting goes on although the partition is known by now (document 2, 4.6).
      const late = await Promise.all(nodes.map((node, at) => submit(node, payloads(`${how}, late-${at}`, 5), false)));
      const all = [...virtuous, ...late.flat()];
      await cut.eventually(how, isLong);
      for (const node of nodes) expect((await standing(node)).lastSequence).toBe(before);

      const healedAtMs = performance.now();
      cut.relay.heal();
      await cut.whenFinal([...all], nodes);
      const winner = await cut.eventually("one winner of the conflict everywhere", async () => {
        const fates = await Promise.all(nodes.map((node) => fatesOf(node, rivals)));
        const [first = ""] = fates;
        return fates.every((fate) => fate === first && fate !== "") ? first : null;
      });
      console.log(
        `${how}: everything final, one winner ${Math.round(performance.now() - healedAtMs)} ms after the partition`,
      );
      for (const node of nodes) {
        const final = (await finalized(node)).map(({ hash }) => hash);
        expect(new Set(final).size).toBe(before + all.length + 1);
        expect(rivals.filter((hash) => final.includes(hash))).toEqual([winner]);
      }
    },
    90_000,
  );

  test("are ready again, and finalize as before", async () => {
    const { nodes } = running();
    await Promise.all(nodes.map((node) => node.whenReady(30_000)));
    for (const node of nodes) {
      expect((await standing(node)).dag?.isPartitioned).toBe(false);
      expect(await metric(node, "cretoai_avalanche_partitioned")).toBe(0);
      expect(logOf(node)).toContain("consensus.healed");
    }
    const hashes = await Promise.all(nodes.map((node, at) => submit(node, payloads(`after-${at}`, 20), true)));
    await running().whenFinal(hashes.flat());
  }, 60_000);
});

/** The one of these that is final where the other is rejected; empty while that is open. */
async function fatesOf(node: NodeProcess, rivals: readonly string[]): Promise<string> {
  const seen = await Promise.all(rivals.map((hash) => vertex(node, hash)));
  const final = seen.filter((one) => one?.state === "finalized");
  const lost = seen.filter((one) => one?.state === "rejected");
  return final.length === 1 && lost.length === 1 ? (final[0]?.hash ?? "") : "";
}
