import { afterEach, describe, expect, test } from "bun:test";
import type { FinalizedItem } from "../../src/node/service.ts";
import { NodeError } from "../../src/node/service.ts";
import { LocalCluster, type LocalNode, whenOpen } from "./local-cluster.ts";

let cluster: LocalCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

function payloads(label: string, count: number): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, index) => new TextEncoder().encode(`${label}-${index}`));
}

/** The first `count` items of a node's order, as its own events tell them. */
async function order({ node }: LocalNode, count: number): Promise<readonly FinalizedItem[]> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = (): void => {
    if (node.status().lastSequence >= count) resolve();
  };
  const unsubscribe = node.subscribe(check);
  check();
  await promise;
  unsubscribe();
  return await node.finalized({ from: 1, limit: count });
}

async function started(count: number): Promise<LocalCluster> {
  cluster = new LocalCluster(count);
  await cluster.startAll();
  return cluster;
}

describe("the loop with real keys and memory disks", () => {
  test.each([1, 4])("n = %d: one order, every vertex once", async (count) => {
    const { nodes } = await started(count);
    await Promise.all(nodes.map(({ node }, index) => node.submit(payloads(`n${index}`, 40)).finalized));
    const orders = await Promise.all(nodes.map((node) => order(node, 40 * count)));
    const hashes = orders.map((items) => items.map(({ hash }) => hash));
    for (const other of hashes) expect(other).toEqual(hashes[0] ?? []);
    expect(new Set(hashes[0]).size).toBe(40 * count);
  });

  test("a node that comes back from its disk takes over what it missed, and votes on", async () => {
    const { nodes } = await started(4);
    const [first, , , last] = nodes;
    if (first === undefined || last === undefined) throw new Error("four nodes");
    await first.node.submit(payloads("before", 10)).finalized;
    await last.node.stop();
    last.database.crash();
    await first.node.submit(payloads("away", 10)).finalized;
    const back = await (cluster as LocalCluster).startNode(3, last.disk);
    await whenOpen(back.node);
    await back.node.submit(payloads("back", 10)).finalized;
    const [ours, theirs] = await Promise.all([order(back, 30), order(first, 30)]);
    expect(ours.map(({ hash }) => hash)).toEqual(theirs.map(({ hash }) => hash));
  });

  test("a node whose disk was lost keeps silent, and still follows", async () => {
    const { nodes } = await started(4);
    const [first, , , last] = nodes;
    if (first === undefined || last === undefined) throw new Error("four nodes");
    await last.node.submit(payloads("mine", 5)).finalized;
    await last.node.stop();
    const { MemoryDisk } = await import("../../src/storage/memory-database.ts");
    const back = await (cluster as LocalCluster).startNode(3, new MemoryDisk());
    await whenOpen(back.node);
    await first.node.submit(payloads("others", 5)).finalized;
    expect((await order(back, 10)).length).toBe(10);
    expect(back.node.readiness().reasons.join()).toContain("knows less than it once said");
    expect(back.node.submit(payloads("no", 1)).accepted).rejects.toThrow(NodeError);
  });

  test("refuses what it must, each with its code", async () => {
    const { nodes } = await started(4);
    const [first] = nodes;
    if (first === undefined) throw new Error("four nodes");
    const codeOf = (batch: readonly Uint8Array[]): Promise<unknown> =>
      first.node.submit(batch).accepted.catch((error: unknown) => (error instanceof NodeError ? error.code : error));
    expect(await codeOf([])).toBe("payload-empty");
    expect(await codeOf([new Uint8Array(0)])).toBe("payload-empty");
    expect(await codeOf([new Uint8Array(2_000)])).toBe("payload-too-large");
    expect(await codeOf(Array.from({ length: 10_001 }, () => new Uint8Array(1)))).toBe("batch-too-large");
    first.node.submit(payloads("fill", 9_000)).accepted.catch(() => undefined);
    expect(await codeOf(payloads("more", 1_001))).toBe("overloaded");
  });

  test("says not-ready while it cannot reach a quorum", async () => {
    const { nodes, board } = await started(4);
    const [first] = nodes;
    if (first === undefined) throw new Error("four nodes");
    for (const { keys } of nodes) board.cut.add(`${first.keys.nodeId}/${keys.nodeId}`);
    const error = await first.node.submit(payloads("alone", 1)).accepted.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "not-ready" });
    expect(first.node.readiness().ready).toBe(false);
  });
});
