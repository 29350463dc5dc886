import { afterEach, describe, expect, test } from "bun:test";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import {
  AvalancheCluster,
  finalized,
  logOf,
  metric,
  propose,
  standing,
  vertex,
  winnerOf,
} from "./avalanche-cluster.ts";
import { ask, memberOf, membership } from "./growing-cluster.ts";
import { payloads, submit } from "./real-cluster.ts";

/** Document 2, Appendix B, scenario 2: three honest nodes and D. */
const HONEST = 3;

/** Successes in a row that end sampling, as no configuration says otherwise. */
const BETA = 20;

const MALFORMED = 'cretoai_byzantine_violations_total{type="malformed"}';

let cluster: AvalancheCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
}, 30_000);

/** Three honest validators and one that lies, all connected. */
async function startWith(lie: "votes" | "malformed" | "fork"): Promise<AvalancheCluster> {
  cluster = await AvalancheCluster.create(HONEST + 1, { validatorsMin: HONEST });
  const running = cluster;
  await running.start(honestOf(running));
  running.startLiar(HONEST, lie);
  return running;
}

function honestOf({ nodes }: AvalancheCluster): readonly NodeProcess[] {
  return nodes.slice(0, HONEST);
}

async function whenConnected(running: AvalancheCluster): Promise<void> {
  await running.eventually("the liar is connected to all", async () => {
    const seen = await Promise.all(honestOf(running).map(standing));
    return seen.every(({ peers }) => peers === HONEST) ? true : null;
  });
}

interface PeerItem {
  readonly nodeId: string;
  readonly state: string;
  readonly violations: Readonly<Record<string, number>>;
}

async function peersOf(node: NodeProcess): Promise<readonly PeerItem[]> {
  return (await ask<{ readonly items: readonly PeerItem[] }>(node, "/v1/peers")).items;
}

/** What the honest ones take in is final at all of them, and of each double spend the same one. */
async function expectAgreement(running: AvalancheCluster, label: string, spends: number): Promise<void> {
  const honest = honestOf(running);
  const virtuous = honest.map((node, at) => submit(node, payloads(`${label}-${at}`, 60), true));
  const conflicts = Array.from({ length: spends }, (_, coin) => {
    const keys = [`${label}: coin ${coin}`];
    return Promise.all(honest.map((node, at) => propose(node, `${keys[0]} of ${at}`, { keys, wait: true })));
  });
  const hashes = (await Promise.all(virtuous)).flat();
  const answers = await Promise.all(conflicts);
  const winners = answers.map(winnerOf);
  await running.whenFinal([...hashes, ...winners], honest);
  const lost = answers.flat().flatMap(({ body }) => (body.hash === undefined ? [] : [body.hash]));
  for (const node of honest) {
    const final = new Set((await finalized(node)).map(({ hash }) => hash));
    expect(lost.filter((hash) => final.has(hash)).toSorted()).toEqual(winners.toSorted());
  }
}

/** The honest ones hold nothing against each other. */
async function expectHonestUnmarked(running: AvalancheCluster): Promise<void> {
  const liarId = running.ids[HONEST];
  for (const node of honestOf(running)) {
    const marked = (await peersOf(node)).filter(({ nodeId }) => nodeId !== liarId);
    expect(marked.map(({ state, violations }) => ({ state, violations }))).toEqual(
      Array.from({ length: HONEST - 1 }, () => ({ state: "good", violations: {} })),
    );
  }
}

describe("a leaderless network of four processes, of which one lies", () => {
  test("finalizes and agrees though one answers polls falsely and votes for all sides", async () => {
    const running = await startWith("votes");
    await whenConnected(running);
    await expectAgreement(running, "votes", 8);
    for (const node of honestOf(running))
      expect(await standing(node)).toMatchObject({ epoch: 0, pending: 0, peers: 3 });
    await expectHonestUnmarked(running);
  }, 60_000);

  test("counts words without a meaning, and polls without who says them", async () => {
    const running = await startWith("malformed");
    const node = running.node(0);
    await whenConnected(running);
    // A round of polls: what is submitted is polled about. A liar that is asked again is counted again.
    const round = async (label: string): Promise<{ readonly violations: number; readonly polls: number }> => {
      const before = await metric(node, "cretoai_avalanche_polls_total");
      await submit(node, payloads(label, 20), true);
      const polls = (await metric(node, "cretoai_avalanche_polls_total")) - before;
      return { violations: await metric(node, MALFORMED), polls };
    };
    let { violations } = await round("first");
    await running.eventually("a round of polls in which the liar is not asked", async () => {
      const last = violations;
      const next = await round("next");
      violations = next.violations;
      return violations > 0 && violations === last && next.polls >= BETA ? true : null;
    });
    const seen = (await peersOf(node)).find(({ nodeId }) => nodeId === running.ids[HONEST]);
    expect(["graylisted", "throttled", "banned"]).toContain(seen?.state ?? "");
    expect(seen?.violations["malformed"]).toBe(violations);
    await expectAgreement(running, "without its answers", 2);
    expect(await metric(node, MALFORMED)).toBe(violations);
    await expectHonestUnmarked(running);
  }, 60_000);

  test("convicts one that forks its lane, and goes on in an epoch without it", async () => {
    const running = await startWith("fork");
    const honest = honestOf(running);
    const liarId = running.ids[HONEST] ?? "";
    const seen = await running.eventually("epoch 1", async () => {
      const all = await Promise.all(honest.map(membership));
      return all.every(({ epoch }) => epoch === 1) ? all : null;
    });
    for (const one of seen) {
      expect(one).toMatchObject({ active: HONEST });
      expect(memberOf(one, liarId).standing).toBe("convicted");
    }
    const counted = await Promise.all(
      honest.map((node) => metric(node, 'cretoai_byzantine_violations_total{type="equivocation"}')),
    );
    expect(Math.max(...counted)).toBeGreaterThanOrEqual(1);
    await expectAgreement(running, "without the liar", 4);
    // Of its two histories at most one is final, and the same one everywhere.
    const lanes = await Promise.all(honest.map(async (node) => await liarsLane(node, liarId)));
    for (const lane of lanes) expect(lane).toEqual(lanes[0] ?? []);
    expect(honest.some((node) => logOf(node).includes("equivocation"))).toBe(true);
    await expectHonestUnmarked(running);
  }, 60_000);
});

/** What is final of the liar's at a node, by nonce: no nonce twice. */
async function liarsLane(node: NodeProcess, liarId: string): Promise<readonly (readonly [number, string])[]> {
  const own = (await finalized(node)).filter(({ creator }) => creator === liarId);
  const lane: [number, string][] = [];
  for (const { hash } of own) lane.push([(await vertex(node, hash))?.nonce ?? 0, hash]);
  expect(new Set(lane.map(([nonce]) => nonce)).size).toBe(lane.length);
  return lane.toSorted(([left], [right]) => left - right);
}
