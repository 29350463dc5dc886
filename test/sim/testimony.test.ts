import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { decode, encode } from "../../src/codec/codec.ts";
import { checkpointCertificateCodec } from "../../src/consensus/log-codec.ts";
import { hashOf } from "../../src/crypto/hash.ts";
import { merkleRoot } from "../../src/crypto/merkle.ts";
import { type Bundle, bundleCodec, bundleStatement, holdBundle } from "../../src/dag/bundle.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Epoch, Nonce, Sequence, ValidatorIndex } from "../../src/membership/ids.ts";
import { type Proof, sealedBytes } from "../../src/membership/seal.ts";
import { type Phase, type Statement, statementDigest } from "../../src/membership/statement.ts";
import type { NodeParts } from "../../src/node/node-parts.ts";
import type { TransportHandler } from "../../src/node/ports.ts";
import { frameCodec, questionCodec, type WitnessAnswer, witnessAnswerCodec } from "../../src/node/wire.ts";
import { LIARS_MARK } from "../../src/sim/violation.ts";
import { Scene, SETTLED_MS, withTransport } from "./scene.ts";

/** Virtual time is cheap, and a busy machine slow. */
setDefaultTimeout(60_000);

const LIAR = 3 as ValidatorIndex;
const ASKER = 1 as ValidatorIndex;
const FAR = 2 ** 40;
const WAITS = expect.stringContaining("waits to hear from enough validators");
const same = <T>(value: T, count: number): readonly T[] => Array.from({ length: count }, () => value);

/** A signature of the liar's, under any validator's name. */
function proofOf({ world }: Scene, signer: ValidatorIndex, leaf: Hash): Proof {
  const bytes = sealedBytes(world.networkContext(), signer, 1, merkleRoot([leaf]));
  const signature = world.node(LIAR).keys.sign(bytes);
  return { seal: { signer, leafCount: 1, signature }, leafIndex: 0, path: [] };
}

function statementBy(scene: Scene, signer: ValidatorIndex, phase: Phase): WitnessAnswer["statements"][number] {
  const digest = hashOf("record", new Uint8Array([1]));
  const statement: Statement = { phase, view: phase === "commit" ? 0 : FAR, sequence: FAR, digest };
  const leaf = statementDigest(scene.world.networkContext(), statement);
  return { epoch: 0 as Epoch, statement, proof: proofOf(scene, signer, leaf) };
}

function bundleBy(scene: Scene, creator: ValidatorIndex): NonNullable<WitnessAnswer["bundle"]> {
  const network = scene.world.networkContext();
  const bundle: Bundle = {
    creator,
    term: 0 as Epoch,
    purpose: "application",
    firstNonce: FAR as Nonce,
    timestampMs: 1_700_000_000_000,
    parents: [network.genesis],
    payloads: [new Uint8Array([LIARS_MARK])],
  };
  const leaf = statementDigest(network, bundleStatement(holdBundle(network, bundle).ref));
  return { body: encode(bundleCodec, bundle), proof: proofOf(scene, creator, leaf) };
}

/** A certificate of the present epoch, under names of which the liar is only one. */
function forgedCheckpoint(scene: Scene): Uint8Array {
  const leaf = hashOf("record", new Uint8Array([2]));
  const proofs = [0, 2, LIAR].map((signer) => proofOf(scene, signer as ValidatorIndex, leaf));
  const certificate = { epoch: 0 as Epoch, sequence: FAR as Sequence, stateDigest: leaf, proofs };
  return encode(checkpointCertificateCodec, certificate);
}

type Forgery = (scene: Scene, honest: WitnessAnswer) => WitnessAnswer;

const FORGERIES: Readonly<Record<string, Forgery>> = {
  "a vote under the asker's name": (scene, honest) => ({
    ...honest,
    statements: [statementBy(scene, ASKER, "commit")],
  }),
  "a view change under the asker's name": (scene, honest) => ({
    ...honest,
    statements: [statementBy(scene, ASKER, "view-change")],
  }),
  "a vote of its own, truly signed": (scene, honest) => ({
    ...honest,
    statements: [statementBy(scene, LIAR, "commit")],
  }),
  "a bundle under the asker's name": (scene, honest) => ({ ...honest, bundle: bundleBy(scene, ASKER) }),
  "a bundle of its own, truly signed": (scene, honest) => ({ ...honest, bundle: bundleBy(scene, LIAR) }),
  "the asker's own bundle as a word of an epoch to come": (scene, honest) => {
    if (honest.bundle === null) return { ...honest, checkpoint: new Uint8Array([1]) };
    // A bundle's statement binds no epoch: its genuine seal holds under any.
    const held = holdBundle(scene.world.networkContext(), decode(bundleCodec, honest.bundle.body));
    const statement = bundleStatement(held.ref);
    return { ...honest, statements: [{ epoch: 999 as Epoch, statement, proof: honest.bundle.proof }] };
  },
  "a checkpoint that is none": (_scene, honest) => ({ ...honest, checkpoint: new Uint8Array([1, 2, 3]) }),
};

function answering(parts: NodeParts, scene: Scene, forge: Forgery): NodeParts {
  const start = (handler: TransportHandler): Promise<void> =>
    parts.transport.start({
      onPeerConnected: (peer) => handler.onPeerConnected(peer),
      onPeerDisconnected: (peer, reason) => handler.onPeerDisconnected(peer, reason),
      onFrame: (peer, lane, frame) => handler.onFrame(peer, lane, frame),
      onRequest: async (peer, body) => {
        const answer = await handler.onRequest(peer, body);
        if (decode(questionCodec, body).kind !== "witness") return answer;
        return encode(witnessAnswerCodec, forge(scene, decode(witnessAnswerCodec, answer)));
      },
    });
  return withTransport(parts, { start });
}

/** Four validators, of whom one forges what it heard; another is away, so that its word would be needed. */
async function besideLiar(forge: Forgery, isDiskLost: boolean): Promise<Scene> {
  const scene = new Scene({
    nodes: 4,
    liars: [LIAR],
    alter: (parts, { place }, inside) => (place === LIAR ? answering(parts, inside, forge) : parts),
  });
  await scene.until(SETTLED_MS);
  for (const place of [0, 1, 2]) scene.pay(place, 3);
  await scene.pass(1_000);
  scene.world.detected.clear();
  scene.world.node(2).crash();
  if (isDiskLost) scene.loseDisk(ASKER);
  else scene.restart(ASKER);
  await scene.pass(3_000);
  return scene;
}

describe("a liar that is asked what it heard a restarting node say", () => {
  for (const [name, forge] of Object.entries(FORGERIES)) {
    test(`and shows ${name} is not believed, and blamed`, async () => {
      const scene = await besideLiar(forge, false);
      expect(scene.reasonsOf(ASKER)).toContainEqual(WAITS);
      expect([...scene.world.detected]).toEqual([LIAR]);
      scene.world.node(2).start();
      await scene.pass(3_000);
      expect([0, 1, 2].map((place) => scene.reasonsOf(place))).toEqual([[], [], []]);
      scene.pay(ASKER);
      await scene.pass(2_000);
      expect(scene.positionsOf([0, 1, 2])).toEqual([10, 10, 10]);
    });
  }

  const withCheckpoint: Forgery = (scene, honest) => ({ ...honest, checkpoint: forgedCheckpoint(scene) });

  test("and shows a checkpoint without a quorum's signatures keeps nobody silent for longer", async () => {
    const scene = await besideLiar(withCheckpoint, true);
    scene.world.node(2).start();
    await scene.pass(2_000);
    const [, from] = /votes again from checkpoint (\d+)/.exec(scene.reasonsOf(ASKER).join()) ?? [];
    expect(Number(from)).toBeLessThan(400);
  });

  // A certificate of the present epoch that a quorum did not sign counts as none, but nobody is told who sent it.
  test("and shows a checkpoint without a quorum's signatures is blamed", async () => {
    const scene = await besideLiar(withCheckpoint, true);
    expect([...scene.world.detected]).toEqual([LIAR]);
  });
});

test("silence after a lost disk survives restarts, and what was said before is never contradicted", async () => {
  const scene = new Scene({ nodes: 4 });
  await scene.until(SETTLED_MS);
  for (const place of [0, 1, 2, 3]) scene.pay(place, 2);
  await scene.pass(1_000);
  scene.loseDisk(ASKER);
  await scene.pass(2_000);
  const silent = scene.reasonsOf(ASKER).join();
  expect(silent).toContain("votes again from checkpoint");
  for (let times = 0; times < 3; times++) {
    scene.restart(ASKER);
    await scene.pass(1_500);
    // The very same silence, not one that it was told of anew.
    expect(scene.reasonsOf(ASKER).join()).toBe(silent);
  }
});

test("a liar's status, whatever it claims, silences nobody who restarts", async () => {
  const scene = new Scene({
    nodes: 4,
    liars: [LIAR],
    alter: (parts, { place }) => {
      if (place !== LIAR) return parts;
      return withTransport(parts, {
        send: (peer, lane, bytes) => {
          const frame = decode(frameCodec, bytes);
          if (frame.kind !== "status") return parts.transport.send(peer, lane, bytes);
          const status = { ...frame.status, stable: (Number.MAX_SAFE_INTEGER - 1_000) as Sequence };
          const lanes = frame.lanes.map(() => Number.MAX_SAFE_INTEGER as Nonce);
          return parts.transport.send(peer, lane, encode(frameCodec, { ...frame, status, lanes }));
        },
      });
    },
  });
  await scene.until(SETTLED_MS);
  scene.pay(0);
  await scene.pass(1_000);
  for (const place of [1, 2]) {
    scene.restart(place);
    await scene.pass(2_000);
  }
  expect([0, 1, 2].map((place) => scene.reasonsOf(place))).toEqual([[], [], []]);
  for (const place of [0, 1, 2]) scene.pay(place);
  await scene.pass(3_000);
  expect(scene.positionsOf([0, 1, 2])).toEqual([4, 4, 4]);
});

describe("a validator that really lost its disk", () => {
  for (const { name, joiners, lost } of [
    { name: "of the genesis", joiners: 0, lost: 3 },
    { name: "that was admitted later", joiners: 1, lost: 4 },
    { name: "of the genesis, in a later epoch,", joiners: 1, lost: 3 },
  ]) {
    test(`${name} keeps silent, speaks again later, and nobody convicts it`, async () => {
      const scene = new Scene({ nodes: 5 - joiners, joiners, delayMs: [2, 10] });
      const all = [0, 1, 2, 3, 4];
      await scene.until(SETTLED_MS);
      if (joiners > 0) scene.admit([0, 1, 2, 3], 4);
      await scene.until(3_000);
      scene.load([lost, 0], 3_000, 4_000, 20);
      await scene.until(7_000);
      expect(scene.positionsOf([lost])[0]).toBeGreaterThan(90);
      scene.loseDisk(lost);
      // Its clients go on, and so do the others'.
      scene.load([lost], 7_000, 9_000, 10);
      scene.load([0], 7_000, 9_000, 30);
      await scene.until(10_000);
      expect(scene.reasonsOf(lost)).toContainEqual(expect.stringContaining("disk knows less than it once said"));
      scene.load([0], 10_000, 22_000, 30);
      await scene.until(24_000);
      expect(scene.reasonsOf(lost)).toEqual([]);
      const [before = 0] = scene.positionsOf([0]);
      scene.pay(lost);
      await scene.pass(3_000);
      expect(scene.positionsOf(all)).toEqual(same(before + 1, 5));
      expect([scene.accused, scene.epochOf(0)]).toEqual([[], joiners]);
    });
  }
});

test("a validator that lost its disk while all others restarted is known by its lane", async () => {
  const scene = new Scene({ nodes: 4, delayMs: [20, 20] });
  await scene.until(SETTLED_MS);
  scene.pay(3, 5);
  // Its bundle is on all disks, and nobody has ordered it; without the leader nobody can.
  await scene.pass(40);
  expect(scene.positionsOf([0, 1, 2, 3])).toEqual([0, 0, 0, 0]);
  scene.world.node(0).crash();
  for (const place of [1, 2]) scene.restart(place);
  scene.loseDisk(3);
  await scene.pass(3_000);
  expect(scene.reasonsOf(3)).toContainEqual(expect.stringContaining("disk knows less than it once said"));
  scene.world.node(0).start();
  await scene.pass(8_000);
  scene.pay(0);
  scene.pay(3);
  await scene.pass(4_000);
  expect([scene.positionsOf([0, 1, 2, 3]), scene.accused]).toEqual([[6, 6, 6, 6], []]);
});
