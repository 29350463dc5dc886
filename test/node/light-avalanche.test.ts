import { afterEach, describe, expect, test } from "bun:test";
import { decode, encode } from "../../src/codec/codec.ts";
import { sealEnvelope } from "../../src/dag/conflict-keys.ts";
import { LightSession } from "../../src/light/light-session.ts";
import type { AcceptedVerdict } from "../../src/light/verdict.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Epoch } from "../../src/membership/ids.ts";
import type { ConsensusNode } from "../../src/node/consensus-node.ts";
import { NodeError } from "../../src/node/service.ts";
import { type AcceptedAnswer, acceptedAnswerCodec, type Question, questionCodec } from "../../src/node/wire.ts";
import { MemoryDisk } from "../../src/storage/memory-database.ts";
import { membershipOf } from "../cluster/signing.ts";
import { LocalCluster, type LocalNode, type LocalTransport, whenOpen } from "./local-cluster.ts";

const PATIENCE_MS = 20_000;

let cluster: LocalCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

async function started(): Promise<LocalCluster> {
  cluster = new LocalCluster(4, { engine: "avalanche" });
  await cluster.startAll();
  return cluster;
}

function nodeOf({ nodes }: LocalCluster, index: number): LocalNode {
  const node = nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const vertex = (text: string, ...keys: readonly string[]): Uint8Array =>
  sealEnvelope({ payload: bytes(text), conflictKeys: keys.map(bytes) });

async function finalOn({ node }: LocalNode, ...vertices: readonly Uint8Array[]): Promise<readonly Hash[]> {
  return (await node.submit(vertices).finalized).map(({ hash }) => hash);
}

function verify(
  { network }: LocalCluster,
  hash: Hash,
  proof: Uint8Array | null,
  epochs: readonly Uint8Array[] = [],
): AcceptedVerdict {
  const session = new LightSession({ genesis: network.genesis, membership: membershipOf(network) });
  session.follow(epochs);
  if (proof === null) throw new Error(`no proof of ${hash}`);
  const verdict = session.verify(hash, proof);
  if (verdict.kind !== "accepted") throw new Error("a word of acceptance");
  return verdict;
}

/** What is watched is under way in this process. */
async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function isFinalAt(node: ConsensusNode, hash: Hash): Promise<boolean> {
  return (await node.vertex(hash))?.finalized === true;
}

/** How a node answers what others ask about vertices from now on. */
function answerAbout(
  { board, keys }: LocalCluster,
  index: number,
  change: (honest: () => Promise<Uint8Array>, vertices: readonly Hash[]) => Promise<Uint8Array>,
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
      if (question.kind !== "accepted") return await honest(peer, body);
      return await change(() => honest(peer, body), question.vertices);
    },
  };
}

/** The answer, changed as `change` says. */
function altered(change: (answer: AcceptedAnswer) => AcceptedAnswer): Parameters<typeof answerAbout>[2] {
  return async (honest) => encode(acceptedAnswerCodec, change(decode(acceptedAnswerCodec, await honest())));
}

async function refusalOf(node: ConsensusNode, hash: Hash): Promise<string> {
  const error: unknown = await node.proofs.proof(hash).catch((reason: unknown) => reason);
  return error instanceof NodeError ? `${error.code}: ${error.message}` : String(error);
}

describe("a node of a leaderless network", () => {
  test("proves what any of them made final, by what a quorum says", async () => {
    const running = await started();
    const hashes: Hash[] = [];
    for (const [place, node] of running.nodes.entries()) {
      hashes.push(...(await finalOn(node, vertex(`from ${place}`, `key/${place}`), vertex("free"))));
    }
    const { node } = nodeOf(running, 1);
    for (const hash of hashes) await until("final", () => isFinalAt(node, hash));
    const proofs = await Promise.all(hashes.map((hash) => node.proofs.proof(hash)));
    const verdicts = hashes.map((hash, at) => verify(running, hash, proofs[at] ?? null));
    expect(verdicts.map(({ nonce }) => nonce as number)).toEqual([1, 2, 1, 2, 1, 2, 1, 2]);
    expect(verdicts.map(({ conflictKeys }) => conflictKeys.length)).toEqual([1, 0, 1, 0, 1, 0, 1, 0]);
    expect(new Set(verdicts.map(({ creator }) => creator)).size).toBe(4);
    expect(verdicts[6]?.payload).toEqual(bytes("from 3"));
    for (const { signers, quorum, epoch } of verdicts) expect([signers.length, quorum, epoch]).toEqual([3, 3, 0]);
  }, 60_000);

  test("asks once for many, and never again for what it was told", async () => {
    const running = await started();
    const { node } = nodeOf(running, 0);
    const payloads = Array.from({ length: 100 }, (_, index) => vertex(`${index}`));
    const hashes = await finalOn(nodeOf(running, 0), ...payloads);
    for (const other of running.nodes)
      for (const hash of hashes) await until("final", () => isFinalAt(other.node, hash));
    const asked: number[] = [];
    for (const index of [1, 2, 3]) {
      answerAbout(running, index, async (honest, vertices) => {
        asked.push(vertices.length);
        return await honest();
      });
    }
    const proofs = await Promise.all(hashes.map((hash) => node.proofs.proof(hash)));
    for (const at of [0, 63, 64, 99]) verify(running, hashes[at] ?? ("" as Hash), proofs[at] ?? null);
    expect(Math.max(...asked)).toBe(64);
    // Three nodes, each about 64, 36, and what came before the others did.
    expect(asked.length).toBeLessThanOrEqual(9);
    const before = asked.length;
    const again = await Promise.all(hashes.map((hash) => node.proofs.proof(hash)));
    expect(again).toEqual(proofs);
    expect(asked).toHaveLength(before);
  }, 60_000);

  test("of two rivals proves the one that won, and says of the other who did", async () => {
    const running = await started();
    const submissions = [0, 1].map((place) => nodeOf(running, place).node.submit([vertex(`by ${place}`, "seat/17A")]));
    const rivals = (await Promise.all(submissions.map(({ accepted }) => accepted))).flat();
    await Promise.allSettled(submissions.map(({ finalized }) => finalized));
    const { node } = nodeOf(running, 2);
    await until("both are decided", async () => {
      const states = await Promise.all(rivals.map(async (hash) => (await node.vertex(hash))?.state));
      return states.includes("finalized") && states.includes("rejected");
    });
    const isFinal = await Promise.all(rivals.map((hash) => isFinalAt(node, hash)));
    const [winner, loser] = isFinal[0] === true ? rivals : rivals.toReversed();
    if (winner === undefined || loser === undefined) throw new Error("two rivals");
    expect(verify(running, winner, await node.proofs.proof(winner)).conflictKeys).toEqual([bytes("seat/17A")]);
    expect(await refusalOf(node, loser)).toContain("not-provable");
    expect(await refusalOf(node, loser)).toContain(winner);
  }, 60_000);

  test("counts no word that does not hold, and does not miss it where a quorum of others speaks", async () => {
    const running = await started();
    const [hash = "" as Hash, other = "" as Hash] = await finalOn(nodeOf(running, 0), vertex("one"), vertex("two"));
    for (const { node } of running.nodes) await until("final", () => isFinalAt(node, hash));
    const { node } = nodeOf(running, 0);
    const lies: readonly Parameters<typeof answerAbout>[2][] = [
      altered((answer) => ({ ...answer, seal: null })),
      altered((answer) => ({ ...answer, indices: [] })),
      altered((answer) => ({ ...answer, indices: [0, 0] })),
      altered((answer) => ({ ...answer, indices: [1] })),
      altered(({ indices, seal }) => ({
        indices,
        seal: seal === null ? null : { ...seal, signer: 3 as typeof seal.signer },
      })),
      altered(({ indices, seal }) => ({ indices, seal: seal === null ? null : { ...seal, leafCount: 2 } })),
      () => Promise.resolve(bytes("no answer")),
      // The word about another vertex, in the place of the one about this.
      async () => {
        const answer = await nodeOf(running, 2).node.proofs.states.acceptance?.answer(0 as Epoch, [other]);
        return encode(acceptedAnswerCodec, answer ?? { indices: [], seal: null });
      },
    ];
    let told = 0;
    let isLying = true;
    let isThirdThere = false;
    answerAbout(running, 1, () => Promise.reject(new Error("away")));
    answerAbout(running, 2, async (honest, vertices) => {
      const lie = lies[told++ % lies.length];
      return isLying && lie !== undefined ? await lie(honest, vertices) : await honest();
    });
    answerAbout(running, 3, async (honest) => {
      if (isThirdThere) return await honest();
      throw new Error("away");
    });
    // It asks a few times for every proof that it is to give.
    while (told < lies.length) expect(await refusalOf(node, hash)).toContain("not-ready: no quorum");
    isThirdThere = true;
    expect(await refusalOf(node, hash)).toContain("not-ready: no quorum");
    isLying = false;
    const { signers } = verify(running, hash, await node.proofs.proof(hash));
    const roster = running.network.set.roster.map(({ nodeId }) => nodeId);
    expect(signers.map(({ nodeId }) => roster.indexOf(nodeId))).toEqual([0, 2, 3]);
  }, 60_000);

  test("says nothing of what it has not accepted, nor for an epoch that is not its own", async () => {
    const running = await started();
    const [hash = "" as Hash] = await finalOn(nodeOf(running, 0), vertex("one"));
    const { acceptance } = nodeOf(running, 0).node.proofs.states;
    const nothing: AcceptedAnswer = { indices: [], seal: null };
    expect(await acceptance?.answer(1 as Epoch, [hash])).toEqual(nothing);
    expect(await acceptance?.answer(0 as Epoch, [running.network.genesis])).toEqual(nothing);
    expect((await acceptance?.answer(0 as Epoch, [running.network.genesis, hash]))?.indices).toEqual([1]);
    expect(await nodeOf(running, 0).node.proofs.proof(running.network.genesis)).toBeNull();
  });

  test("proves what was final before it came, with an empty disk, and over changes of the validators", async () => {
    const running = await started();
    const [early = "" as Hash] = await finalOn(nodeOf(running, 0), vertex("early", "key"));
    for (const { node } of running.nodes) await until("final", () => isFinalAt(node, early));
    await nodeOf(running, 2).node.stop();
    const again = await running.startNode(2, new MemoryDisk());
    await whenOpen(again.node);
    await until("it has the vertex", () => isFinalAt(again.node, early));
    expect(verify(running, early, await again.node.proofs.proof(early)).epoch).toBe(0);
    await nodeOf(running, 3).node.propose({ kind: "leave", waitForSuccessor: false });
    await until("epoch 1", () => running.nodes.every(({ node }) => node.status().epoch === 1));
    const { node } = nodeOf(running, 1);
    await until("the link", async () => (await node.proofs.epochLinks(0)).length === 1);
    const links = await node.proofs.epochLinks(0);
    const { epoch, validators, quorum } = verify(running, early, await node.proofs.proof(early), links);
    expect({ epoch, validators, quorum }).toEqual({ epoch: 1, validators: 3, quorum: 2 });
    // Words of an epoch that has ended go on to prove it.
    expect(verify(running, early, await again.node.proofs.proof(early), links).epoch).toBe(0);
  }, 60_000);

  test("ends what waits for a proof when it stops", async () => {
    const running = await started();
    const [hash = "" as Hash] = await finalOn(nodeOf(running, 0), vertex("one"));
    for (const index of [1, 2, 3]) answerAbout(running, index, () => Promise.reject(new Error("away")));
    const { node } = nodeOf(running, 0);
    const refused = refusalOf(node, hash);
    await node.stop();
    expect(await refused).toContain("not-ready");
  });
});
