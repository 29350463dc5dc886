import { describe, expect, test } from "bun:test";
import { membershipOf } from "../../test/cluster/signing.ts";
import { decode, encode } from "../codec/codec.ts";
import { hashOf } from "../crypto/hash.ts";
import { generateKeyPair } from "../crypto/key-pair.ts";
import { KeyRing } from "../crypto/key-ring.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import { createVerifier } from "../crypto/verifier.ts";
import { present } from "../lib/assert.ts";
import { type StateCertificate, stateCertificateCodec, stateOf, statementAbout } from "../light/state-certificate.ts";
import type { Epoch, Sequence, ValidatorIndex } from "../membership/ids.ts";
import { type Proof, sealedBytes } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import { type NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import { type ExecutionState, executionStateCodec, genesisState } from "../replication/executor.ts";
import { MemoryDatabase } from "../storage/memory-database.ts";
import type { PeerInfo } from "./ports.ts";
import { ProofLedger } from "./proof-ledger.ts";
import { StateProofs } from "./state-proofs.ts";
import { systemClock } from "./system-clock.ts";
import { certifiedAnswerCodec, questionCodec } from "./wire.ts";
import { WriteBatch } from "./write-batch.ts";

const keys = Array.from({ length: 4 }, () => generateKeyPair({ hybrid: true }));
const pairs = new Map(keys.map((pair) => [pair.nodeId, pair]));
const network: NetworkContext = {
  genesis: hashOf("genesis", new Uint8Array([1])),
  set: new ValidatorSet(
    0 as Epoch,
    keys.map(({ nodeId, publicKeys }) => ({ nodeId, publicKeys, name: "" })),
  ),
};
const ring = new KeyRing(createVerifier({ hybrid: true }));
for (const { nodeId, publicKeys } of keys) ring.add(nodeId, publicKeys);

/** The newest batch of a node that joined late, and the one whose certificate came by before. */
const NEWEST = 10_000;
const BEFORE = 3_000;
const WANTED = 100 as Sequence;

function stateAt(sequence: number, words: string = `history ${sequence}`): ExecutionState {
  const begin = genesisState(network, membershipOf(network));
  return { ...begin, sequence: sequence as Sequence, history: hashOf("history", new TextEncoder().encode(words)) };
}

async function certify(
  state: ExecutionState,
  signers: readonly number[],
  epoch: Epoch = 0 as Epoch,
): Promise<StateCertificate> {
  const leaf = statementDigest({ genesis: network.genesis, set: { epoch } }, statementAbout("checkpoint", state));
  const proofs = await Promise.all(
    signers.map(async (place): Promise<Proof> => {
      const signer = place as ValidatorIndex;
      const pair = present(pairs.get(network.set.at(signer).nodeId), "a key");
      const signature = await pair.sign(sealedBytes(network, signer, 1, merkleRoot([leaf])));
      return { seal: { signer, leafCount: 1, signature }, leafIndex: 0, path: [] };
    }),
  );
  return { epoch, phase: "checkpoint", state: encode(executionStateCodec, state), proofs };
}

interface Scene {
  readonly states: StateProofs;
  readonly ledger: ProofLedger;
  readonly asked: string[];
  readonly failures: unknown[];
}

/** A node that has executed everything and joined late. Its peers, by turns, show these certificates. */
async function latecomer(shown: readonly (StateCertificate | null)[], failsAt: number = Number.NaN): Promise<Scene> {
  const database = new MemoryDatabase({
    intercept: (operation) => {
      if (operation.kind === "write" && operation.index === failsAt) throw new Error("the disk is full");
    },
  });
  const ledger = new ProofLedger(database);
  const writes = new WriteBatch();
  for (const sequence of [BEFORE, BEFORE + 1, NEWEST]) {
    const { history } = stateAt(sequence);
    ledger.recordHistory(writes, sequence as Sequence, { batch: history, executed: history, history });
  }
  await database.write(writes.finish());
  const asked: string[] = [];
  const failures: unknown[] = [];
  const states = new StateProofs(
    {
      epochs: { network, self: null },
      database,
      transport: {
        peers: () => shown.map((_, index) => ({ nodeId: network.set.at(index as ValidatorIndex).nodeId }) as PeerInfo),
        request: (peer, body) => {
          const question = decode(questionCodec, body);
          if (question.kind !== "certified") return Promise.reject(new Error(`no answer to ${question.kind}`));
          asked.push(`${question.from}-${question.to}`);
          const certificate = shown[present(network.set.placeOf(peer), "a place")] ?? null;
          const encoded = certificate === null ? null : encode(stateCertificateCodec, certificate);
          return Promise.resolve(encode(certifiedAnswerCodec, { certificate: encoded }));
        },
      },
      signer: present(keys[0], "a key"),
      verifier: ring,
      clock: systemClock,
      onFailure: (error) => failures.push(error),
    },
    stateAt(NEWEST),
  );
  return { states, ledger, asked, failures };
}

describe("a node that came when the certificates had come by", () => {
  test("asks the others for one that a proof can rest on, and keeps it", async () => {
    const certificate = await certify(stateAt(BEFORE), [0, 1, 3]);
    const { states, ledger, asked } = await latecomer([null, certificate]);
    const found = await states.certificateFor(WANTED);
    expect(found === null ? null : stateOf(found).sequence).toBe(BEFORE as Sequence);
    expect(asked).toEqual(["100-4196", "100-4196"]);
    expect(await ledger.certificateAt(BEFORE as Sequence)).not.toBeNull();
    // One of them serves all batches of its stretch.
    for (const sequence of [1, WANTED, BEFORE]) {
      expect(await states.certificateFor(sequence as Sequence)).not.toBeNull();
    }
    expect(asked).toHaveLength(2);
  });

  test("keeps none that a quorum did not sign, or of what it did not execute", async () => {
    const good = await certify(stateAt(BEFORE), [0, 1, 3]);
    const [first, second] = good.proofs;
    if (first === undefined || second === undefined) throw new Error("two proofs");
    const mlDsa = first.seal.signature.mlDsa.map((byte, at) => (at === 9 ? byte ^ 1 : byte));
    const seal = { ...first.seal, signature: { ...first.seal.signature, mlDsa } };
    const bad: readonly StateCertificate[] = [
      await certify(stateAt(BEFORE), [0, 1]),
      { ...good, proofs: [first, first, second] },
      { ...good, proofs: [{ ...first, seal }, ...good.proofs.slice(1)] },
      { ...good, phase: "executed" },
      { ...good, state: encode(executionStateCodec, stateAt(BEFORE + 1)) },
      await certify(stateAt(BEFORE, "another history"), [0, 1, 2]),
      await certify(stateAt(BEFORE + 2), [0, 1, 2]),
      await certify(stateAt(BEFORE), [0, 1, 2], 7 as Epoch),
      // Too far behind the batch for a proof, and before it.
      await certify(stateAt(NEWEST), [0, 1, 2]),
      await certify(stateAt(WANTED - 1), [0, 1, 2]),
    ];
    for (let at = 0; at < bad.length; at += 4) {
      const { states, ledger, asked, failures } = await latecomer(bad.slice(at, at + 4));
      expect(await states.certificateFor(WANTED)).toBeNull();
      expect(asked).toHaveLength(Math.min(4, bad.length - at));
      expect(await ledger.certificateFrom(1 as Sequence)).toBeNull();
      expect(failures).toEqual([]);
    }
  });
});

describe("what proofs are made of", () => {
  test("is missed aloud where the disk does not take it", async () => {
    const { states, failures } = await latecomer([], 1);
    const { proofs } = await certify(stateAt(NEWEST), [0, 1, 2]);
    const checkpoint = { epoch: 0 as Epoch, sequence: NEWEST as Sequence, proofs } as Parameters<
      typeof states.onCheckpoint
    >[0];
    states.onCheckpoint(checkpoint);
    states.onCheckpoint(checkpoint);
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures.map(String)).toEqual(["Error: the disk is full"]);
  });
});
