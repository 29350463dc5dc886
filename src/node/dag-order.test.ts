import { describe, expect, test } from "bun:test";
import { networkOf, prove } from "../../test/cluster/signing.ts";
import { MemoryDatabase, MemoryDisk } from "../storage/memory-database.ts";
import type { DagDecision } from "../consensus/dag-engine.ts";
import { bundleStatement } from "../dag/bundle.ts";
import { conflictSetOf, sealEnvelope } from "../dag/conflict-keys.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import { statementDigest } from "../membership/statement.ts";
import { DagEntry } from "./dag-pool.ts";
import { type OpenedDag, openDag } from "./dag-restore.ts";
import { OPEN_STANDING } from "./dag-rows.ts";
import type { StoredBundle } from "./ledger.ts";
import { formBundle } from "./own-lane.ts";
import type { Clock } from "./ports.ts";
import { WriteBatch } from "./write-batch.ts";

const NETWORK = networkOf(4);
const NOW_MS = 50_000;
const CLOCK: Clock = {
  nowMs: () => NOW_MS,
  monotonicMs: () => 0,
  setTimer: () => () => undefined,
  defer: () => undefined,
};
const COIN = new TextEncoder().encode("coin");

interface Wanted {
  readonly creator: number;
  readonly firstNonce?: number;
  readonly parents?: readonly Hash[];
  readonly keys?: readonly (readonly Uint8Array[])[];
  readonly timestampMs?: number;
}

function bundleOf({ creator, firstNonce = 1, parents, keys = [[]], timestampMs = 1_000 }: Wanted): StoredBundle {
  const place = creator as ValidatorIndex;
  const formed = formBundle(NETWORK, {
    creator: place,
    term: NETWORK.set.termOf(place),
    purpose: "dag",
    firstNonce: firstNonce as Nonce,
    timestampMs,
    parents: parents ?? [NETWORK.genesis, NETWORK.genesis],
    payloads: keys.map((conflictKeys) => sealEnvelope({ conflictKeys, payload: new Uint8Array([creator]) })),
  });
  const [proof] = prove(NETWORK, place, [statementDigest(NETWORK, bundleStatement(formed.held.ref))]);
  if (proof === undefined) throw new Error("a proof");
  return { ...formed, proof };
}

function decision({ held }: StoredBundle, of: Partial<DagDecision>): DagDecision {
  const common = { place: null, accepted: [], rejected: [], isSettled: false, confidencePpm: 960_000, polls: 21 };
  return { bundle: held.ref.digest, ...common, ...of };
}

/** A node's rows, memory and order over one disk. */
async function open(disk: MemoryDisk): Promise<{
  readonly dag: OpenedDag;
  arrive(...bundles: readonly StoredBundle[]): Promise<void>;
  decide(...decisions: readonly DagDecision[]): Promise<ReturnType<OpenedDag["order"]["decide"]>>;
}> {
  const database = new MemoryDatabase({ disk });
  const { nodeId } = NETWORK.set.at(0 as ValidatorIndex);
  const dag = await openDag({ database, clock: CLOCK, nodeId }, NETWORK);
  return {
    dag,
    arrive: async (...bundles) => {
      const batch = new WriteBatch();
      for (const stored of bundles) {
        dag.ledger.store(batch, stored);
        dag.pool.add(new DagEntry(stored, OPEN_STANDING, []));
      }
      await database.write(batch.finish());
    },
    decide: async (...decisions) => {
      const batch = new WriteBatch();
      const outcomes = dag.order.decide(batch, decisions);
      await database.write(batch.finish());
      return outcomes;
    },
  };
}

describe("a node's own order of acceptance", () => {
  test("gives places without gaps, heights above both parents, and winners of conflict sets", async () => {
    const { dag, arrive, decide } = await open(new MemoryDisk());
    const left = bundleOf({ creator: 1, keys: [[], [COIN], []] });
    const right = bundleOf({ creator: 2, keys: [[COIN]], timestampMs: NOW_MS + 9_000 });
    const child = bundleOf({ creator: 1, firstNonce: 4, parents: [left.held.ref.tip, right.held.ref.tip] });
    await arrive(left, right, child);
    const [first] = await decide(
      decision(left, { place: "accepted", accepted: [0, 2] }),
      decision(right, { place: "accepted", rejected: [0], isSettled: true }),
      decision(child, { place: "accepted", accepted: [0], isSettled: true }),
    );
    expect(first?.runs.map(({ firstPosition, run }) => [Number(firstPosition), run.first, run.count])).toEqual([
      [1, 0, 1],
      [2, 2, 1],
    ]);
    await decide(decision(left, { accepted: [1], isSettled: true }));
    const runs = await dag.ledger.runs(1, 10);
    expect(runs.map(({ firstPosition, run }) => [Number(firstPosition), run.height])).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 1],
    ]);
    expect(await dag.ledger.winners([conflictSetOf(COIN)])).toEqual([left.held.vertexIds[1] ?? null]);
    const lost = await dag.ledger.vertex(right.held.ref.tip);
    expect(lost?.metadata).toMatchObject({ isAccepted: false, position: 0, confidencePpm: 960_000, polls: 21 });
    expect((await dag.ledger.byTip(child.held.ref.tip))?.held.ref.digest).toBe(child.held.ref.digest);
    // A creator's word about the time is not believed where it lies ahead, and places' times never go back.
    expect(runs.every(({ run }) => run.timestampMs <= NOW_MS)).toBe(true);
  });

  test("a node that opens again has what is open, parents first, and goes on behind the last place", async () => {
    const disk = new MemoryDisk();
    const { arrive, decide } = await open(disk);
    const base = bundleOf({ creator: 3, keys: [[], [COIN]] });
    // In the order of the rows the child of creator 1 comes before its second parent.
    const child = bundleOf({ creator: 1, parents: [NETWORK.genesis, base.held.ref.tip] });
    const done = bundleOf({ creator: 2 });
    const own = bundleOf({ creator: 0, keys: [[], []] });
    await arrive(base, child, done, own);
    await decide(
      decision(done, { place: "accepted", accepted: [0], isSettled: true }),
      decision(base, { place: "accepted", accepted: [0] }),
    );
    const again = await open(disk);
    const { restored, order } = again.dag;
    expect(restored.engine.open.map(({ held, place, accepted }) => [held.ref.digest, place, accepted])).toEqual([
      [own.held.ref.digest, "open", []],
      [base.held.ref.digest, "accepted", [0]],
      [child.held.ref.digest, "open", []],
    ]);
    expect(restored.engine.lanes.map(({ nonce }) => Number(nonce))).toEqual([0, 0, 1, 2]);
    expect(restored.ownTip).toEqual({ nonce: 2 as Nonce, tip: own.held.ref.tip });
    expect(order.position).toBe(2 as typeof order.position);
    const [outcome] = await again.decide(decision(child, { place: "accepted", accepted: [0], isSettled: true }));
    expect(outcome?.runs[0]).toMatchObject({ firstPosition: 3, run: { height: 2 } });
  });

  test("of a bundle that lost its place every vertex is rejected", async () => {
    const { dag, arrive, decide } = await open(new MemoryDisk());
    const dead = bundleOf({ creator: 1, keys: [[], []] });
    await arrive(dead);
    const [outcome] = await decide(decision(dead, { place: "rejected", isSettled: true }));
    expect(outcome).toMatchObject({ rejected: [0, 1], isSettled: true });
    expect(await dag.ledger.loadOpen()).toEqual([]);
    expect(await dag.ledger.standing(dead.held.ref.digest)).toMatchObject({ place: "rejected" });
  });
});
