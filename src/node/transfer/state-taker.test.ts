import { describe, expect, test } from "bun:test";
import { membershipOf, networkOf, prove } from "../../../test/cluster/signing.ts";
import { decode, encode } from "../../codec/codec.ts";
import type { NodeId } from "../../crypto/identity.ts";
import { asciiBytes } from "../../lib/ascii.ts";
import { present } from "../../lib/assert.ts";
import { type StateCertificate, stateCertificateCodec, statementAbout } from "../../light/state-certificate.ts";
import type { Position, Sequence, ValidatorIndex } from "../../membership/ids.ts";
import { membershipStateCodec } from "../../membership/membership-state.ts";
import { statementDigest } from "../../membership/statement.ts";
import { type ExecutionState, executionStateCodec, genesisState } from "../../replication/executor.ts";
import { KeyValueStore } from "../../replication/key-value/key-value-store.ts";
import { Replica } from "../../replication/replica.ts";
import { chunkHash, encodeManifest, type Manifest, pourSnapshot } from "../../replication/snapshot.ts";
import { MemoryDatabase } from "../../storage/memory-database.ts";
import { SnapshotStore } from "../replicated/snapshot-store.ts";
import { pieceAnswerCodec, type Question, questionCodec, snapshotAnswerCodec } from "../wire.ts";
import { StateTaker } from "./state-taker.ts";

const network = networkOf(4);
const membership = membershipOf(network);
const [first, second, third] = network.set.roster.map(({ nodeId }) => nodeId) as [NodeId, NodeId, NodeId];

const SEQUENCE = 32 as Sequence;
const POSITION = 40 as Position;

const manifest: Manifest = ((): Manifest => {
  const pouring = pourSnapshot(new Replica(new KeyValueStore()).snapshot());
  for (;;) {
    const next = pouring.next();
    if (next.done === true) return { ...next.value, sequence: SEQUENCE, position: POSITION };
  }
})();

const execution: ExecutionState = {
  ...genesisState(network, membership, manifest.root),
  sequence: SEQUENCE,
  position: POSITION,
};

const certificate: StateCertificate = ((): StateCertificate => {
  const leaf = statementDigest(network, statementAbout("checkpoint", execution));
  const proofs = [0, 1, 2].flatMap((signer) => prove(network, signer as ValidatorIndex, [leaf]));
  return {
    epoch: network.set.epoch,
    phase: "checkpoint",
    state: encode(executionStateCodec, execution),
    proofs: proofs.slice(0, network.set.quorum),
  };
})();

const piece = asciiBytes("a piece of nothing");

/** More chunks than a liar's patience, all of them there to be had, and of no state. */
const endless: Manifest = { ...manifest, stateChunks: Array.from({ length: 32_000 }, () => chunkHash(piece)) };

/** What a peer offers and delivers, and how long its answers take. */
interface Peer {
  readonly offer: Manifest | null;
  readonly chunk?: (number: number) => Uint8Array | null;
  readonly answerMs?: number;
}

interface Scene {
  readonly taker: StateTaker;
  readonly snapshots: SnapshotStore;
  readonly asked: (readonly [NodeId, Question])[];
  readonly rejected: string[];
  overtaken: boolean;
}

function sceneOf(peers: ReadonlyMap<NodeId, Peer>, onChunk: (scene: Scene) => void = () => undefined): Scene {
  let nowMs = 0;
  const database = new MemoryDatabase();
  const snapshots = new SnapshotStore(database);
  const request = (peer: NodeId, body: Uint8Array): Promise<Uint8Array> => {
    const { offer, chunk, answerMs = 1 } = present(peers.get(peer), "a peer");
    const question = decode(questionCodec, body);
    scene.asked.push([peer, question]);
    nowMs += answerMs;
    if (question.kind === "snapshot") {
      const made = offer === null ? null : { manifest: encodeManifest(offer), ...signed };
      return Promise.resolve(encode(snapshotAnswerCodec, { offer: made }));
    }
    if (question.kind !== "chunk") return Promise.reject(new Error(`no answer to ${question.kind}`));
    onChunk(scene);
    return Promise.resolve(encode(pieceAnswerCodec, { piece: chunk?.(question.number) ?? null }));
  };
  const taker = new StateTaker({
    epochs: { network, membership },
    database,
    transport: { request },
    verifier: { verify: () => Promise.resolve(true) },
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs, setTimer: () => () => undefined, defer: () => undefined },
    log: () => undefined,
    newReplica: () => new Replica(new KeyValueStore()),
    learnKeys: () => undefined,
    reachable: () => [...peers.keys()],
    onRejected: (_peer, reason) => scene.rejected.push(reason),
    reserve: () => ({ isOvertaken: () => scene.overtaken, release: () => undefined }),
    gap: 10,
  });
  const scene: Scene = { taker, snapshots, asked: [], rejected: [], overtaken: false };
  return scene;
}

const signed = {
  certificate: encode(stateCertificateCodec, certificate),
  membership: encode(membershipStateCodec, membership),
};

const mute: Peer = { offer: null };
const honest: Peer = { offer: manifest };
const NOTHING_YET = 0 as Sequence;

function claimedBy({ taker }: Scene, ...peers: readonly NodeId[]): void {
  for (const peer of peers) taker.onPeerStatus(peer, 1_000_000 as Sequence);
}

describe("a node that hears how far its peers are", () => {
  test("asks for no state because one of four says that it is far ahead", async () => {
    const scene = sceneOf(new Map([first, second, third].map((peer) => [peer, honest])));
    claimedBy(scene, first, first);
    expect(await scene.taker.maybeTake(NOTHING_YET)).toBeNull();
    expect(scene.asked).toEqual([]);
    claimedBy(scene, second);
    expect((await scene.taker.maybeTake(NOTHING_YET))?.state.execution).toEqual(execution);
  });
});

describe("a node that takes a state over", () => {
  test("believes no place that a manifest alone names", async () => {
    const early = { offer: { ...manifest, position: 3 as Position } };
    const scene = sceneOf(new Map([[first, early]]));
    claimedBy(scene, first);
    expect((await scene.taker.maybeTake(NOTHING_YET))?.state.manifest.position).toBe(POSITION);
  });

  test("gives a manifest of one peer up after a minute, and lets the log go on meanwhile", async () => {
    const held: boolean[] = [];
    const liar = { offer: endless, chunk: () => piece, answerMs: 2_000 };
    const scene = sceneOf(
      new Map([
        [first, liar],
        [second, mute],
        [third, mute],
      ]),
      ({ taker }) => held.push(taker.holdsLog),
    );
    claimedBy(scene, first, second);
    expect(await scene.taker.maybeTake(NOTHING_YET)).toBeNull();
    expect(held.length).toBeLessThan(60);
    expect(held).not.toContain(true);
  });

  test("lets the log wait for one that f + 1 offer, and asks no peer twice that let it wait", async () => {
    const held: boolean[] = [];
    const two = { ...manifest, stateChunks: [chunkHash(piece), chunkHash(piece), chunkHash(piece), chunkHash(piece)] };
    const slow = { offer: two, chunk: () => piece, answerMs: 9_000 };
    const quick = { offer: two, chunk: () => piece };
    const scene = sceneOf(
      new Map([
        [first, slow],
        [second, quick],
      ]),
      ({ taker }) => held.push(taker.holdsLog),
    );
    claimedBy(scene, first, second);
    // They are chunks of no state.
    expect(await scene.taker.maybeTake(NOTHING_YET)).toBeNull();
    expect(held).not.toContain(false);
    const chunks = scene.asked.filter(([, { kind }]) => kind === "chunk");
    expect(chunks.filter(([peer]) => peer === first).length).toBe(1);
    expect(await scene.snapshots.chunk(SEQUENCE, 1)).toBeNull();
  });

  test("goes on where the last attempt ended", async () => {
    const offer = { ...manifest, stateChunks: Array.from({ length: 40 }, () => chunkHash(piece)) };
    const scene = sceneOf(new Map([[first, { offer, chunk: (number) => (number < 30 ? piece : null) }]]));
    const before = { ...manifest, sessionChunks: offer.stateChunks.slice(0, 20), stateChunks: [] };
    for (const index of before.sessionChunks.keys()) await scene.snapshots.writeChunk(SEQUENCE, index + 1, piece);
    claimedBy(scene, first);
    expect(await scene.taker.maybeTake(NOTHING_YET)).toBeNull();
    const numbers = scene.asked.flatMap(([, question]) => (question.kind === "chunk" ? [question.number] : []));
    expect(numbers).toEqual(Array.from({ length: 10 }, (_, at) => at + 21));
  });

  test("asks who sent other bytes than it had offered for no more, and blames it once", async () => {
    const offer = { ...manifest, stateChunks: Array.from({ length: 6 }, () => chunkHash(piece)) };
    const scene = sceneOf(
      new Map([
        [first, { offer, chunk: () => asciiBytes("another") }],
        [second, { offer, chunk: () => piece }],
      ]),
    );
    claimedBy(scene, first, second);
    await scene.taker.maybeTake(NOTHING_YET);
    expect(scene.rejected).toEqual(["invalid-snapshot: another chunk"]);
  });

  test("writes nothing more of it once it came to that state by itself", async () => {
    const scene = sceneOf(new Map([[first, { offer: endless, chunk: () => piece }]]), (now) => {
      now.overtaken = now.asked.length > 3;
    });
    claimedBy(scene, first);
    expect(await scene.taker.maybeTake(NOTHING_YET)).toBeNull();
    expect(scene.asked.length).toBeLessThan(6);
    expect(await scene.snapshots.chunk(SEQUENCE, 1)).toBeNull();
  });
});
