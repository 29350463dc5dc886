import { describe, expect, test } from "bun:test";
import { networkOf, prove } from "../../test/cluster/signing.ts";
import type { DagArrival } from "../consensus/dag-engine.ts";
import { bundleStatement } from "../dag/bundle.ts";
import { sealEnvelope } from "../dag/conflict-keys.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { MemoryDatabase } from "../storage/memory-database.ts";
import { DagExchange, type DagExchangePorts } from "./dag-exchange.ts";
import { openDag } from "./dag-restore.ts";
import { listOf, type Receivers } from "./frames.ts";
import type { StoredBundle } from "./ledger.ts";
import { formBundle } from "./own-lane.ts";
import type { Clock } from "./ports.ts";
import { WriteBatch } from "./write-batch.ts";

const CLOCK: Clock = { nowMs: () => 1, monotonicMs: () => 0, setTimer: () => () => undefined, defer: () => undefined };

function bundleOf(network: NetworkContext, creator: number, text: string): StoredBundle {
  const place = creator as ValidatorIndex;
  const formed = formBundle(network, {
    creator: place,
    term: network.set.termOf(place),
    purpose: "dag",
    firstNonce: 1 as Nonce,
    timestampMs: 1,
    parents: [network.genesis, network.genesis],
    payloads: [
      sealEnvelope({ conflictKeys: [new TextEncoder().encode("coin")], payload: new TextEncoder().encode(text) }),
    ],
  });
  const [proof] = prove(network, place, [statementDigest(network, bundleStatement(formed.held.ref))]);
  if (proof === undefined) throw new Error("a proof");
  return { ...formed, proof };
}

/** Node 0 of a network of so many. */
async function exchangeOf(count: number, connections = count - 1) {
  const network = networkOf(count);
  const { nodeId } = network.set.at(0 as ValidatorIndex);
  const dag = await openDag({ database: new MemoryDatabase(), clock: CLOCK, nodeId }, network);
  const told: Receivers[] = [];
  const fed: DagArrival[] = [];
  const forks: Equivocation[] = [];
  let byte = 0;
  const writes = new WriteBatch();
  const outbox = { writes: () => writes, tell: (_lane: unknown, to: Receivers) => told.push(to) };
  const exchange = new DagExchange({
    ...dag,
    network,
    self: () => 0 as ValidatorIndex,
    dagLane: () => null,
    secondParent: () => network.genesis,
    outbox: outbox as unknown as DagExchangePorts["outbox"],
    clock: CLOCK,
    entropy: { bytes: (size) => new Uint8Array(size).fill(byte++) },
    connected: () => network.set.indices().slice(1, 1 + connections),
    isInvalid: () => false,
    isSilent: () => false,
    feed: (arrivals) => fed.push(...arrivals),
    onProposed: () => undefined,
    onFork: (equivocation) => forks.push(equivocation),
    isAccused: () => false,
    onFailure: (error) => {
      throw error;
    },
  });
  return { network, exchange, dag, writes, told, fed, forks };
}

describe("bundles of a leaderless network that come in", () => {
  test.each([
    ["a small network", 4, 2],
    ["one of which this node is connected to nine tenths", 60, 53],
  ])("are not passed on in %s", async (_, count, connections) => {
    const meshed = await exchangeOf(count, connections);
    await meshed.exchange.take([bundleOf(meshed.network, 1, "a")], 1 as ValidatorIndex);
    expect([meshed.fed.length, meshed.told]).toEqual([1, []]);
  });

  test("go to five others, once, where a large network is meshed less than that", async () => {
    const large = await exchangeOf(60, 52);
    const bundle = bundleOf(large.network, 1, "a");
    await large.exchange.take([bundle], 2 as ValidatorIndex);
    await large.exchange.take([bundle], 3 as ValidatorIndex);
    expect(large.told).toHaveLength(1);
    const [to] = large.told;
    if (to === undefined || to === "all") throw new Error("named receivers");
    expect(new Set(listOf(to)).size).toBe(5);
    for (const excluded of [0, 1, 2]) expect(listOf(to)).not.toContain(excluded as ValidatorIndex);
  });

  test("a duplicate is not wanted before anybody looks at its signature, a second one for a place proves the fork", async () => {
    const { network, exchange, fed, forks } = await exchangeOf(4);
    const [first, second, third] = ["a", "b", "c"].map((text) => bundleOf(network, 1, text));
    if (first === undefined || second === undefined || third === undefined) throw new Error("three bundles");
    const isWanted = ({ held }: StoredBundle): boolean => exchange.isWanted(held.bundle, () => held.ref.digest);
    expect(isWanted(first)).toBe(true);
    await exchange.take([first], null);
    expect([isWanted(first), isWanted(second)]).toEqual([false, true]);
    await exchange.take([second], null);
    expect(forks).toHaveLength(1);
    expect(isWanted(third)).toBe(false);
    expect(fed.map(({ settled, lost }) => [settled, lost])).toEqual([
      [null, []],
      [null, []],
    ]);
  });

  test("what declares a key that a final vertex has arrives as lost", async () => {
    const { network, exchange, dag, writes, fed } = await exchangeOf(4);
    const [winner, late] = [bundleOf(network, 1, "a"), bundleOf(network, 2, "b")];
    await exchange.take([winner], null);
    const common = { place: "accepted", accepted: [0], rejected: [], isSettled: true } as const;
    dag.order.decide(writes, [{ bundle: winner.held.ref.digest, ...common, confidencePpm: 1, polls: 1 }]);
    await exchange.take([late], null);
    expect(fed.map(({ lost }) => lost)).toEqual([[], [0]]);
    // And the winner, asked for again, is of the past.
    await exchange.takeFetched([winner]);
    expect(fed.at(-1)).toMatchObject({ settled: "accepted", lost: [] });
  });
});
