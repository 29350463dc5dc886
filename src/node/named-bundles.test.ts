import { describe, expect, test } from "bun:test";
import { membershipOf, networkOf, prove } from "../../test/cluster/signing.ts";
import { encode } from "../codec/codec.ts";
import type { CommittedSlot } from "../consensus/engine.ts";
import { batchDigest } from "../dag/batch.ts";
import { bundleCodec, bundleStatement, holdBundle } from "../dag/bundle.ts";
import { Lanes } from "../dag/lanes.ts";
import { NO_RESOLUTIONS } from "../dag/resolution-state.ts";
import { asciiBytes } from "../lib/ascii.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, Nonce, Position, Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import { statementDigest } from "../membership/statement.ts";
import { execute, type ExecutionState, genesisState } from "../replication/executor.ts";
import { MemoryDatabase } from "../storage/memory-database.ts";
import { BundlePool } from "./bundle-pool.ts";
import { CurrentNetwork } from "./current-network.ts";
import { Executing } from "./executing.ts";
import { Ledger, type StoredBundle } from "./ledger.ts";
import { eraseBundle } from "./named-bundles.ts";
import { restoreNode } from "./restore.ts";
import { forgetBefore } from "./transfer/log-trimming.ts";
import { WriteBatch } from "./write-batch.ts";

const network = networkOf(4);
const membership = membershipOf(network);
const creator = 0 as ValidatorIndex;
const { nodeId } = present(network.set.roster[1], "a validator");

function bundleAfter(previous: Hash, nonce: number): StoredBundle {
  const held = holdBundle(network, {
    creator,
    term: 0 as Epoch,
    purpose: "application",
    firstNonce: nonce as Nonce,
    timestampMs: 1,
    parents: [previous],
    payloads: [asciiBytes(`payload ${nonce}`)],
  });
  const [proof] = prove(network, creator, [statementDigest(network, bundleStatement(held.ref))]);
  return { held, body: encode(bundleCodec, held.bundle), proof: present(proof, "a proof") };
}

const first = bundleAfter(network.genesis, 1);
const second = bundleAfter(first.held.ref.tip, 2);
const third = bundleAfter(second.held.ref.tip, 3);
const known = new Map([first, second, third].map((stored) => [stored.held.ref.digest, stored]));

interface Scene {
  readonly database: MemoryDatabase;
  readonly ledger: Ledger;
  readonly state: ExecutionState;
}

/** Executes a batch of these bundles each; the whole log of a node. */
async function executed(...batches: readonly (readonly StoredBundle[])[]): Promise<Scene> {
  const database = new MemoryDatabase();
  const ledger = new Ledger(database, network);
  const writes = new WriteBatch();
  for (const stored of known.values()) ledger.storeBundle(writes, stored);
  let state = genesisState(network, membership);
  for (const [index, bundles] of batches.entries()) {
    const batch = { timestampMs: 1, bundles: bundles.map(({ held }) => held.ref.digest) };
    const heldOf = (digest: Hash): StoredBundle["held"] => present(known.get(digest), "a bundle").held;
    const input = { membership, bundleOf: (digest: Hash) => heldOf(digest).ref, commandsOf: () => [] };
    const execution = execute(network, state, batch, input);
    const certificate = { epoch: 0 as Epoch, view: 0 as View, digest: batchDigest(batch), proofs: [] };
    const slot: CommittedSlot = { sequence: (index + 1) as Sequence, batch, certificate };
    ledger.recordExecution(writes, slot, execution, membership, heldOf);
    ({ state } = execution);
  }
  await database.write(writes.finish());
  return { database, ledger, state };
}

async function forgottenBefore({ database, ledger }: Scene, sequence: number, position: number): Promise<void> {
  const start = { sequence: sequence as Sequence, position: position as Position };
  const batch = new WriteBatch();
  ledger.recordLogStart(batch, start);
  await database.write(batch.finish());
  await forgetBefore({ ledger, database }, start);
}

const has = async ({ ledger }: Scene, { held }: StoredBundle): Promise<boolean> =>
  (await ledger.bundle(held.ref.digest)) !== null;

async function startsAgain({ database }: Scene): Promise<number> {
  const ledger = new Ledger(database, network);
  const { genesis } = network;
  const { execution } = await restoreNode(ledger, { genesis, first: membership, nodeId, application: null });
  return execution.sequence;
}

describe("a bundle that a leader names again after it was executed", () => {
  test("is there for who executes that place, though its own place is forgotten, until that one is too", async () => {
    const scene = await executed([first], [second], [third, first]);
    await forgottenBefore(scene, 2, 2);
    expect(await scene.ledger.vertex(present(first.held.vertexIds[0], "a vertex"))).toBeNull();
    expect(await has(scene, first)).toBe(true);
    await forgottenBefore(scene, 4, 4);
    expect(await has(scene, first)).toBe(false);
  });

  test("does not keep the node from starting where it is gone", async () => {
    const scene = await executed([first], [second], [third, first]);
    await forgottenBefore(scene, 2, 2);
    const { digest } = first.held.ref;
    const lost = new WriteBatch();
    eraseBundle(lost, first.held.ref);
    await scene.database.write(lost.finish());
    expect(await scene.ledger.bundle(digest)).toBeNull();
    expect(await startsAgain(scene)).toBe(3);
  });

  test("stays where its turn had not come, and goes where it came later and is forgotten", async () => {
    const early = await executed([second], [first]);
    await forgottenBefore(early, 2, 1);
    expect(await has(early, second)).toBe(true);
    const late = await executed([second], [first], [second], [third]);
    await forgottenBefore(late, 3, 2);
    expect(await has(late, second)).toBe(true);
    await forgottenBefore(late, 4, 3);
    expect(await has(late, second)).toBe(false);
    expect(await startsAgain(late)).toBe(4);
  });

  test("is written once more by the place that names it: it may have been forgotten since it was voted on", async () => {
    const database = new MemoryDatabase();
    const ledger = new Ledger(database, network);
    const pool = new BundlePool(ledger);
    const begin = genesisState(network, membership);
    const lanes = new Lanes(network, begin.lanes);
    const epochs = { network: new CurrentNetwork(network), membership, ownLane: null, self: null };
    const executing = new Executing({ epochs, ledger, lanes, pool, replication: null }, begin, NO_RESOLUTIONS);
    pool.add(first);
    lanes.add(first.held.ref, 0);
    const { digest } = first.held.ref;
    const run = async (sequence: number): Promise<void> => {
      const batch = { timestampMs: 1, bundles: [digest] };
      const certificate = { epoch: 0 as Epoch, view: 0 as View, digest: batchDigest(batch), proofs: [] };
      const writes = new WriteBatch();
      executing.run({ sequence: sequence as Sequence, batch, certificate }, writes);
      await database.write(writes.finish());
    };
    await run(1);
    expect(await ledger.bundle(digest)).toBeNull();
    pool.keepExecuted(first);
    await run(2);
    expect((await ledger.bundle(digest))?.held.ref).toEqual(first.held.ref);
  });

  test("stays while it is its lane's last, and not for ever", async () => {
    const scene = await executed([first], [second], [third]);
    await forgottenBefore(scene, 4, 4);
    expect(await has(scene, second)).toBe(false);
    expect(await has(scene, third)).toBe(true);
    await forgottenBefore(scene, 5, 5);
    expect(await has(scene, third)).toBe(true);
    expect((await scene.ledger.bundleUpTo(creator, 0 as Epoch, 9))?.held.ref).toEqual(third.held.ref);
    const lanes = scene.state.lanes.map((lane) => ({ ...lane, nonce: 4 as Nonce, tip: network.genesis }));
    const moved = new WriteBatch();
    scene.ledger.recordState(moved, { execution: { ...scene.state, lanes }, membership });
    await scene.database.write(moved.finish());
    await forgottenBefore(scene, 6, 6);
    expect(await has(scene, third)).toBe(false);
  });

  test("that a place executed must be there", async () => {
    const scene = await executed([first], [second]);
    const lost = new WriteBatch();
    eraseBundle(lost, second.held.ref);
    await scene.database.write(lost.finish());
    await expect(startsAgain(scene)).rejects.toThrow("which is gone");
  });
});
