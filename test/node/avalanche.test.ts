import { afterEach, describe, expect, test } from "bun:test";
import { openEnvelope, sealEnvelope } from "../../src/dag/conflict-keys.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { FinalizedItem, NodeEvent } from "../../src/node/service.ts";
import { MemoryDisk } from "../../src/storage/memory-database.ts";
import { type LocalNode, LocalCluster, whenOpen } from "./local-cluster.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A client's payload in its envelope. */
const vertex = (text: string, ...keys: readonly string[]): Uint8Array =>
  sealEnvelope({ payload: bytes(text), conflictKeys: keys.map(bytes) });

const textOf = ({ payload }: FinalizedItem): string =>
  new TextDecoder().decode(openEnvelope(payload)?.payload ?? new Uint8Array(0));

let cluster: LocalCluster | null = null;
afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

async function clusterOf(count: number): Promise<LocalCluster> {
  const made = new LocalCluster(count, { engine: "avalanche" });
  cluster = made;
  await made.startAll();
  return made;
}

/** Resolves when the node has so many final vertices; answers their texts in its own order. */
async function whenFinal({ node }: LocalNode, count: number): Promise<readonly string[]> {
  await new Promise<void>((resolve) => {
    const check = (): void => {
      if (node.status().lastSequence < count) return;
      stop();
      resolve();
    };
    const stop = node.subscribe(check);
    check();
  });
  return (await node.finalized({ from: 1, limit: count + 1 })).map(textOf);
}

/** Resolves when the node has told that so many vertices lost. */
async function whenRejected({ node }: LocalNode, count: number): Promise<readonly Hash[]> {
  const lost: Hash[] = [];
  return await new Promise((resolve) => {
    const stop = node.subscribe((event: NodeEvent) => {
      if (event.kind !== "rejected") return;
      lost.push(...event.items.map(({ hash }) => hash));
      if (lost.length < count) return;
      stop();
      resolve(lost);
    });
  });
}

/** Real signatures on a busy machine. */
const RUN_MS_MAX = 60_000;

describe("nodes of a leaderless network, with real keys and memory disks", () => {
  test(
    "what any node takes in becomes final at all of them, each vertex once",
    async () => {
      const { nodes } = await clusterOf(4);
      const submissions = nodes.map(({ node }, place) =>
        node.submit(Array.from({ length: 20 }, (_, index) => vertex(`${place}-${index}`))),
      );
      for (const { accepted, finalized } of submissions) {
        expect(await accepted).toHaveLength(20);
        const receipts = await finalized;
        expect(receipts.map(({ hash }) => hash)).toEqual([...(await accepted)]);
      }
      const lists = await Promise.all(nodes.map((node) => whenFinal(node, 80)));
      for (const list of lists) expect(new Set(list).size).toBe(80);
      for (const list of lists) expect([...list].sort(byText)).toEqual([...(lists[0] ?? [])].sort(byText));
      const items = await nodes[1]?.node.finalized({ from: 11, limit: 5 });
      expect(items?.map(({ sequence, purpose }) => [sequence, purpose])).toEqual(
        [11, 12, 13, 14, 15].map((sequence) => [sequence, "dag"]),
      );
    },
    RUN_MS_MAX,
  );

  test(
    "of a double spend one vertex wins everywhere, and the loser's client learns which",
    async () => {
      const { nodes } = await clusterOf(4);
      const [first, second] = nodes;
      if (first === undefined || second === undefined) throw new Error("two nodes");
      const told = nodes.map((node) => whenRejected(node, 1));
      const rivals = [first.node.submit([vertex("left", "coin")]), second.node.submit([vertex("right", "coin")])];
      const hashes = (await Promise.all(rivals.map(({ accepted }) => accepted))).flat();
      const outcomes = await Promise.allSettled(rivals.map(({ finalized }) => finalized));
      const winner = hashes[outcomes.findIndex(({ status }) => status === "fulfilled")];
      const loser = hashes.find((hash) => hash !== winner);
      if (winner === undefined || loser === undefined) throw new Error("one winner and one loser");
      const lost = outcomes.find((outcome) => outcome.status === "rejected");
      expect(lost?.reason).toMatchObject({ code: "conflict" });
      expect(String(lost?.reason)).toContain(winner);
      for (const rejected of await Promise.all(told)) expect(rejected).toEqual([loser]);
      for (const { node } of nodes) {
        expect(await node.vertex(loser)).toMatchObject({ state: "rejected", finalized: false, sequence: null });
        expect(await node.vertex(winner)).toMatchObject({ state: "finalized", sequence: 1 });
        await expect(node.whenFinalized(loser, { timeoutMs: 1_000 })).rejects.toMatchObject({ code: "conflict" });
      }
      // And later nobody can spend it again, wherever it is tried.
      for (const { node } of nodes) {
        const late = node.submit([vertex("late", "coin")]);
        await expect(late.finalized).rejects.toMatchObject({ code: "conflict" });
      }
    },
    RUN_MS_MAX,
  );

  test(
    "a node that comes back from its disk takes over what it missed, and goes on with its lane",
    async () => {
      const made = await clusterOf(4);
      const { nodes } = made;
      const [first, , , last] = nodes;
      if (first === undefined || last === undefined) throw new Error("four nodes");
      await last.node.submit([vertex("before")]).finalized;
      await last.node.stop();
      await first.node.submit([vertex("meanwhile", "coin")]).finalized;
      const again = await made.startNode(3, last.disk);
      await whenOpen(again.node);
      await whenFinal(again, 2);
      await again.node.submit([vertex("after")]).finalized;
      const lost = again.node.submit([vertex("too late", "coin")]);
      await expect(lost.finalized).rejects.toMatchObject({ code: "conflict" });
      for (const node of made.nodes) {
        expect([...(await whenFinal(node, 3))].sort(byText)).toEqual(["after", "before", "meanwhile"]);
      }
    },
    RUN_MS_MAX,
  );

  test(
    "a node whose disk was lost takes its own lane back from the others, and uses no nonce twice",
    async () => {
      const made = await clusterOf(4);
      const [first, , , last] = made.nodes;
      if (first === undefined || last === undefined) throw new Error("four nodes");
      await last.node.submit([vertex("before"), vertex("before too")]).finalized;
      await last.node.stop();
      const again = await made.startNode(3, new MemoryDisk());
      await whenOpen(again.node);
      // Taken in before anything is known: it waits for what the others proved.
      const [receipt] = await again.node.submit([vertex("after")]).finalized;
      if (receipt === undefined) throw new Error("a receipt");
      expect(await again.node.vertex(receipt.hash)).toMatchObject({ nonce: 3, state: "finalized" });
      expect([...(await whenFinal(again, 3))].sort(byText)).toEqual(["after", "before", "before too"]);
      expect([...(await whenFinal(first, 3))].sort(byText)).toEqual(["after", "before", "before too"]);
    },
    RUN_MS_MAX,
  );

  test(
    "a node that comes late with an empty disk syncs the DAG",
    async () => {
      const made = new LocalCluster(4, { engine: "avalanche" });
      cluster = made;
      for (let index = 0; index < 3; index++) await made.startNode(index, new MemoryDisk());
      for (const { node } of made.nodes) await whenOpen(node);
      const [first, second] = made.nodes;
      if (first === undefined || second === undefined) throw new Error("two nodes");
      for (let index = 0; index < 30; index++) {
        await (index % 2 === 0 ? first : second).node.submit([vertex(`${index}`)]).finalized;
      }
      const late = await made.startNode(3, new MemoryDisk());
      await whenOpen(late.node);
      expect(new Set(await whenFinal(late, 30)).size).toBe(30);
      await late.node.submit([vertex("mine")]).finalized;
      expect(late.node.status()).toMatchObject({ engine: "avalanche", dag: { mayVote: true, isPartitioned: false } });
    },
    RUN_MS_MAX,
  );
});

function byText(left: string, right: string): number {
  return left < right ? -1 : 1;
}
