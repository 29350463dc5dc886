import { afterEach, describe, expect, test } from "bun:test";
import { generateKeyPair } from "../../src/crypto/key-pair.ts";
import type { ConsensusNode } from "../../src/node/consensus-node.ts";
import type { NodeEvent, ProposedChange } from "../../src/node/service.ts";
import { LocalCluster } from "./local-cluster.ts";

let cluster: LocalCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

async function start(count: number): Promise<readonly ConsensusNode[]> {
  cluster = new LocalCluster(count);
  await cluster.startAll();
  return cluster.nodes.map(({ node }) => node);
}

function joining(): ProposedChange {
  const { nodeId, publicKeys } = generateKeyPair({ hybrid: true });
  return { kind: "admit", candidate: { nodeId, publicKeys, name: "joining", address: "127.0.0.1:9000" } };
}

function whenValidatorsChange(node: ConsensusNode): Promise<Extract<NodeEvent, { kind: "validators" }>> {
  return new Promise((resolve) => {
    node.subscribe((event) => {
      if (event.kind === "validators") resolve(event);
    });
  });
}

describe("a change that operators propose", () => {
  test("is answered when it is ordered: noted, until a quorum said it", async () => {
    const nodes = await start(4);
    const last = nodes[3]?.status().nodeId ?? ("" as never);
    const changes = nodes.slice(0, 3).map(whenValidatorsChange);
    const results: string[] = [];
    for (const node of nodes.slice(0, 3)) {
      const { kind, result, reason } = await node.propose({ kind: "dismiss", nodeId: last, waitForSuccessor: false });
      expect(kind).toBe("dismiss");
      results.push(`${result}: ${reason}`);
    }
    expect(results).toEqual([
      "noted: 1 of 3 approvals",
      "noted: 2 of 3 approvals",
      expect.stringMatching(/^applied: validator \d is dismissed$/),
    ]);
    const events = await Promise.all(changes);
    for (const node of nodes.slice(0, 3)) {
      const view = node.membership();
      expect(view).toMatchObject({ epoch: 1, active: 3, quorum: 2, pending: [] });
      expect(view.afterBatch).toBe(events[0]?.afterBatch ?? 0);
      expect(view.members.find(({ nodeId }) => nodeId === last)).toMatchObject({ standing: "dismissed" });
      expect(view.members.filter(({ isSelf }) => isSelf).map(({ nodeId }) => nodeId)).toEqual([node.status().nodeId]);
    }
  });

  test("puts a node in the queue where the network has its maximum, and a leave gives it the place", async () => {
    const nodes = await start(4);
    const [first, second, third] = nodes;
    const change = joining();
    for (const node of [first, second]) expect(await node?.propose(change)).toMatchObject({ result: "noted" });
    expect(await third?.propose(change)).toMatchObject({ result: "applied", epoch: 0 });
    expect(third?.membership()).toMatchObject({ epoch: 0, active: 4 });
    expect(third?.membership().members[4]).toMatchObject({ name: "joining", standing: "standby", waiting: 1 });
    const changed = third === undefined ? null : whenValidatorsChange(third);
    await first?.propose({ kind: "leave", waitForSuccessor: false });
    await changed;
    expect(third?.membership()).toMatchObject({ epoch: 1, active: 4 });
    expect(third?.membership().members[4]).toMatchObject({ standing: "active", waiting: null });
  });

  test("shows who approved while it waits", async () => {
    const nodes = await start(4);
    const [first] = nodes;
    const change = joining();
    const outcome = await first?.propose(change);
    expect(outcome).toMatchObject({ result: "noted", epoch: 0 });
    expect(first?.membership().pending).toEqual([
      {
        kind: "admit",
        nodeId: change.kind === "admit" ? change.candidate.nodeId : ("" as never),
        name: "joining",
        address: "127.0.0.1:9000",
        approvals: [first?.status().nodeId ?? ("" as never)],
        needed: 3,
      },
    ]);
  });

  test("is said once where its operator asks twice at a time", async () => {
    const [first] = await start(4);
    const change = joining();
    const [one, two] = await Promise.all([first?.propose(change), first?.propose(change)]);
    expect(one).toEqual(two as never);
    const items = await first?.finalized({ from: 1, limit: 10 });
    expect(items?.filter(({ purpose }) => purpose === "membership")).toHaveLength(1);
  });

  test("is refused by an observer, which this node is after it left", async () => {
    const nodes = await start(4);
    const [first] = nodes;
    const changes = nodes.map(whenValidatorsChange);
    expect(await first?.propose({ kind: "leave", waitForSuccessor: true })).toMatchObject({
      result: "applied",
      epoch: 1,
    });
    await Promise.all(changes);
    expect(first?.status()).toMatchObject({ role: "observer", epoch: 1, validators: 3, quorum: 2 });
    expect(first?.propose(joining())).rejects.toMatchObject({ code: "observer" });
  });

  test("is refused where nobody would order it", async () => {
    const nodes = await start(4);
    const [first] = nodes;
    const id = first?.status().nodeId ?? ("" as never);
    for (const node of nodes.slice(1)) {
      const other = node.status().nodeId;
      cluster?.board.cut.add(`${id}/${other}`).add(`${other}/${id}`);
    }
    expect(first?.propose(joining())).rejects.toMatchObject({ code: "not-ready" });
  });
});
