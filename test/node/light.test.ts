import { afterEach, describe, expect, test } from "bun:test";
import { decode } from "../../src/codec/codec.ts";
import { LightSession } from "../../src/light/light-session.ts";
import { decodeProof } from "../../src/light/finality-proof.ts";
import type { OrderedProof } from "../../src/light/ordered-proof.ts";
import type { OrderedVerdict } from "../../src/light/verdict.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { ConsensusNode } from "../../src/node/consensus-node.ts";
import { NodeError } from "../../src/node/service.ts";
import { type Question, questionCodec } from "../../src/node/wire.ts";
import { membershipOf } from "../cluster/signing.ts";
import { LocalCluster, type LocalNode, type LocalTransport, whenOpen } from "./local-cluster.ts";

const PATIENCE_MS = 20_000;

let cluster: LocalCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

async function started(count = 4): Promise<LocalCluster> {
  cluster = new LocalCluster(count);
  await cluster.startAll();
  return cluster;
}

function nodeOf({ nodes }: LocalCluster, index: number): LocalNode {
  const node = nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
}

function payloads(label: string, count: number): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, index) => new TextEncoder().encode(`${label}-${index}`));
}

async function finalOn(node: ConsensusNode, label: string, count: number): Promise<readonly Hash[]> {
  return (await node.submit(payloads(label, count)).finalized).map(({ hash }) => hash);
}

function sessionOf({ network }: LocalCluster): LightSession {
  return new LightSession({ genesis: network.genesis, membership: membershipOf(network) });
}

function ordered(bytes: Uint8Array): OrderedProof {
  const proof = decodeProof(bytes);
  if (proof.kind !== "ordered") throw new Error("a proof of order");
  return proof;
}

function verify(session: LightSession, hash: Hash, proof: Uint8Array): OrderedVerdict {
  const verdict = session.verify(hash, proof);
  if (verdict.kind !== "ordered") throw new Error("a place in the order");
  return verdict;
}

async function proofFrom(node: ConsensusNode, hash: Hash): Promise<Uint8Array> {
  const proof = await node.proofs.proof(hash);
  if (proof === null) throw new Error(`no proof of ${hash}`);
  return proof;
}

/** What is watched is under way in this process. */
async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** How a node answers what others ask about states from now on; null leaves them without an answer. */
function answerStates(
  { board, keys }: LocalCluster,
  index: number,
  change: (honest: () => Promise<Uint8Array>) => Promise<Uint8Array>,
): void {
  const transport = board.transports.get(keys[index]?.nodeId ?? ("" as never)) as LocalTransport;
  const handler = transport.handler;
  if (handler === null) throw new Error("a node that runs");
  const honest = handler.onRequest.bind(handler);
  transport.handler = {
    onPeerConnected: (peer) => handler.onPeerConnected(peer),
    onPeerDisconnected: (peer, reason) => handler.onPeerDisconnected(peer, reason),
    onFrame: (...frame) => handler.onFrame(...frame),
    onRequest: async (peer, body) => {
      const question: Question = decode(questionCodec, body);
      return question.kind === "state" ? await change(() => honest(peer, body)) : await honest(peer, body);
    },
  };
}

/** Node 3 gives its place up: epoch 1 begins at every node. */
async function leave(running: LocalCluster): Promise<void> {
  await nodeOf(running, 3).node.propose({ kind: "leave", waitForSuccessor: false });
  await until("epoch 1", () => running.nodes.every(({ node }) => node.status().epoch === 1));
}

async function isProved({ node }: LocalNode): Promise<boolean> {
  return (await node.proofs.epochLinks(0)).length === 1;
}

describe("what a node can show to those who trust no node", () => {
  test("every vertex is proved at its place, by checkpoints or by what the others say on request", async () => {
    const running = await started();
    const { node } = nodeOf(running, 1);
    const hashes: Hash[] = [];
    for (let round = 0; round < 40; round++) hashes.push(...(await finalOn(node, `round-${round}`, 2)));
    const session = sessionOf(running);
    const phases = new Set<string>();
    for (const { hash, sequence, payload } of await node.finalized({ from: 1, limit: 200 })) {
      const proof = await proofFrom(node, hash);
      const verdict = verify(session, hash, proof);
      phases.add(ordered(proof).certificate.phase);
      expect(verdict.position as number).toBe(sequence);
      expect(verdict.payload).toEqual(payload);
    }
    expect(hashes).toHaveLength(80);
    expect([...phases].sort((left, right) => (left < right ? -1 : 1))).toEqual(["checkpoint", "executed"]);
  }, 60_000);

  test("a liar's word counts for nothing, and is not missed where a quorum of others answers", async () => {
    const running = await started();
    const [hash] = await finalOn(nodeOf(running, 0).node, "one", 1);
    if (hash === undefined) throw new Error("one vertex");
    let isThirdThere = false;
    answerStates(running, 2, async (honest) => {
      const answer = await honest();
      answer[200] = (answer[200] ?? 0) ^ 1;
      return answer;
    });
    answerStates(running, 3, async (honest) => {
      if (isThirdThere) return await honest();
      throw new Error("away");
    });
    await expect(nodeOf(running, 0).node.proofs.proof(hash)).rejects.toThrow("no quorum");
    isThirdThere = true;
    const proof = await proofFrom(nodeOf(running, 0).node, hash);
    expect(verify(sessionOf(running), hash, proof).signers).toHaveLength(3);
    const signers = ordered(proof).certificate.proofs.map(({ seal }) => seal.signer as number);
    expect(signers).toEqual([0, 1, 3]);
  });

  test("without a quorum there is no proof, and it says that a later one may be", async () => {
    const running = await started();
    const [hash] = await finalOn(nodeOf(running, 0).node, "one", 1);
    if (hash === undefined) throw new Error("one vertex");
    for (const index of [1, 2, 3]) answerStates(running, index, () => Promise.reject(new Error("no word")));
    const code = await nodeOf(running, 0)
      .node.proofs.proof(hash)
      .catch((error: unknown) => (error instanceof NodeError ? error.code : error));
    expect(code).toBe("not-ready");
  });

  test("after all were switched off and on, what was final before is proved without a new batch", async () => {
    const running = await started();
    const [hash] = await finalOn(nodeOf(running, 0).node, "before", 1);
    if (hash === undefined) throw new Error("one vertex");
    await until("all have it", () => running.nodes.every(({ node }) => node.status().lastSequence === 1));
    await running.stop();
    const disks = running.nodes.map(({ disk }) => disk);
    for (const [index, disk] of disks.entries()) await running.startNode(index, disk);
    for (const { node } of running.nodes) await whenOpen(node);
    expect(verify(sessionOf(running), hash, await proofFrom(nodeOf(running, 2).node, hash)).position as number).toBe(1);
  });
});

describe("the end of an epoch", () => {
  test("is proved by those who were its validators, and leads to the next ones", async () => {
    const running = await started();
    const [early] = await finalOn(nodeOf(running, 0).node, "early", 1);
    await leave(running);
    for (const node of running.nodes) await until("the link", () => isProved(node));
    const [late] = await finalOn(nodeOf(running, 1).node, "late", 1);
    if (early === undefined || late === undefined) throw new Error("two vertices");
    for (const { node } of running.nodes) {
      const session = sessionOf(running);
      const links = await node.proofs.epochLinks(0);
      session.follow(links);
      expect(session.epoch).toBe(1);
      expect(() => session.follow(links)).toThrow("epoch 0");
      await until("late is final", async () => (await node.vertex(late))?.finalized === true);
      const { epoch, validators, quorum } = verify(session, late, await proofFrom(node, late));
      expect({ epoch, validators, quorum }).toEqual({ epoch: 1, validators: 3, quorum: 2 });
      expect(verify(session, early, await proofFrom(node, early)).position as number).toBe(1);
    }
  }, 60_000);

  test("is proved after a start as well, when those whose words were missing answer again", async () => {
    const running = await started();
    let answers = false;
    for (const index of [0, 1, 2, 3]) {
      answerStates(running, index, async (honest) =>
        answers ? await honest() : await Promise.reject(new Error("no")),
      );
    }
    await leave(running);
    expect(await isProved(nodeOf(running, 0))).toBe(false);
    const { node, disk } = nodeOf(running, 0);
    await node.stop();
    answers = true;
    const back = await running.startNode(0, disk);
    await until("the link", () => isProved(back));
    const session = sessionOf(running);
    session.follow(await back.node.proofs.epochLinks(0));
    expect(session.epoch).toBe(1);
  }, 60_000);
});
