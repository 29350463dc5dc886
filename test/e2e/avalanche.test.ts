import { afterEach, describe, expect, test } from "bun:test";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import {
  AvalancheCluster,
  type FinalItem,
  finalized,
  metric,
  propose,
  standing,
  vertex,
  winnerOf,
} from "./avalanche-cluster.ts";
import { payloads, submit } from "./real-cluster.ts";

/** Document 2, Appendix B, scenario 1: "after 5 rounds". */
const BETA = 5;

let cluster: AvalancheCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
}, 30_000);

async function startCluster(): Promise<AvalancheCluster> {
  cluster = await AvalancheCluster.create(3, { consensus: `beta_threshold = ${BETA}` });
  await cluster.start();
  return cluster;
}

describe("three validators of a leaderless network, as processes", () => {
  test("finalize what one of them proposes, by polls", async () => {
    const running = await startCluster();
    const { nodes } = running;
    for (const node of nodes) expect(await standing(node)).toMatchObject({ engine: "avalanche", lastSequence: 0 });
    const before = await metric(running.node(0), "cretoai_avalanche_polls_total");
    const { status, body } = await propose(running.node(0), "V1", { wait: true });
    expect([status, body.finalized]).toEqual([200, true]);
    const polls = (await metric(running.node(0), "cretoai_avalanche_polls_total")) - before;
    console.log(`final at its creator after ${body.finalityMs} ms and ${polls} polls`);
    expect(polls).toBeGreaterThanOrEqual(BETA);
    const hash = body.hash ?? "";
    await running.whenFinal([hash]);
    for (const node of nodes) {
      expect(await vertex(node, hash)).toMatchObject({ state: "finalized", sequence: 1, height: 1 });
      expect(await metric(node, "cretoai_vertices_finalized_total")).toBe(1);
    }
    expect((await vertex(running.node(0), hash))?.confidence).toBeGreaterThanOrEqual(0.95);
  }, 60_000);

  test("finalize what all take in, one winner of each double spend, ancestors first", async () => {
    const running = await startCluster();
    const { nodes } = running;
    const virtuous = nodes.map((node, index) => submit(node, payloads(`n${index}`, 250), true));
    const spends = Array.from({ length: 12 }, (_, coin) => {
      return Promise.all(nodes.map((node, at) => propose(node, `c${coin}-${at}`, { keys: [`c${coin}`], wait: true })));
    });
    const hashes = (await Promise.all(virtuous)).flat();
    const answered = await Promise.all(spends);
    const winners = answered.map(winnerOf);
    await running.whenFinal([...hashes, ...winners]);
    const parents = await parentsOf(running.node(0), [...hashes, ...winners]);
    for (const node of nodes) {
      const final = await finalized(node);
      expect(final.map(({ hash }) => hash).toSorted()).toEqual([...hashes, ...winners].toSorted());
      expect(final.map(({ sequence }) => sequence)).toEqual(final.map((_, index) => index + 1));
      expectAncestorsFirst(final, parents, new Set(winners));
    }
    const refused = await propose(running.node(0), "too late", { keys: ["c0"], wait: true });
    expect([refused.status, refused.body.type]).toEqual([409, "/problems/conflict"]);
  }, 60_000);
});

async function parentsOf(
  node: NodeProcess,
  hashes: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const parents = new Map<string, readonly string[]>();
  for (const hash of hashes) parents.set(hash, (await vertex(node, hash))?.parents ?? []);
  return parents;
}

/**
 * A parent that is no final vertex is genesis, or lost a conflict of its own: its bundle's place counts, not its fate. One that
 * won such a conflict may be final later than what builds on its place (docs/decisions/0006).
 */
function expectAncestorsFirst(
  final: readonly FinalItem[],
  parents: ReadonlyMap<string, readonly string[]>,
  contested: ReadonlySet<string>,
): void {
  const places = new Map(final.map(({ hash, sequence }) => [hash, sequence]));
  const wrong = final.flatMap(({ hash, sequence }) => {
    const named = parents.get(hash) ?? [];
    expect(named).toHaveLength(2);
    return named.filter((parent) => !contested.has(parent) && (places.get(parent) ?? 0) >= sequence);
  });
  expect(wrong).toEqual([]);
}
