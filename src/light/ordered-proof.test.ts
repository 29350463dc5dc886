import { describe, expect, test } from "bun:test";
import { membershipOf } from "../../test/cluster/signing.ts";
import { encode } from "../codec/codec.ts";
import { hashOf } from "../crypto/hash.ts";
import { generateKeyPair } from "../crypto/key-pair.ts";
import { merklePath, merkleRoot } from "../crypto/merkle.ts";
import { verifyPortably } from "../crypto/portable-signatures.ts";
import { batchDigest } from "../dag/batch.ts";
import { type HeldBundle, holdBundle } from "../dag/bundle.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, Nonce, Position, ValidatorIndex } from "../membership/ids.ts";
import { type Proof, sealedBytes } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import { type NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import {
  execute,
  executedDigest,
  executedLeaf,
  type Execution,
  type ExecutionState,
  executionStateCodec,
  genesisState,
  type HistoryLink,
} from "../replication/executor.ts";
import { decodeProof, encodeProof } from "./finality-proof.ts";
import { LightError, type LightErrorCode } from "./light-error.ts";
import { type OrderedProof, verifyOrdered } from "./ordered-proof.ts";
import { type StateCertificate, statementAbout } from "./state-certificate.ts";

const keys = Array.from({ length: 4 }, () => generateKeyPair({ hybrid: true }));
const pairs = new Map(keys.map((pair) => [pair.nodeId, pair]));
const network: NetworkContext = {
  genesis: hashOf("genesis", new Uint8Array([1])),
  set: new ValidatorSet(
    0 as Epoch,
    keys.map(({ nodeId, publicKeys }) => ({ nodeId, publicKeys, name: "" })),
  ),
};
const membership = membershipOf(network);
const trusted = { genesis: network.genesis, membership };
const text = (words: string): Uint8Array => new TextEncoder().encode(words);

function bundleOf(creator: number, firstNonce: number, previous: Hash, ...words: readonly string[]): HeldBundle {
  return holdBundle(network, {
    creator: creator as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "application",
    firstNonce: firstNonce as Nonce,
    timestampMs: 0,
    parents: [previous],
    payloads: words.map(text),
  });
}

interface Run {
  readonly states: readonly ExecutionState[];
  readonly links: readonly HistoryLink[];
  readonly executions: readonly Execution[];
}

function executeAll(batches: readonly (readonly HeldBundle[])[]): Run {
  const known = new Map(batches.flat().map(({ ref }) => [ref.digest, ref]));
  const states: ExecutionState[] = [genesisState(network, membership)];
  const links: HistoryLink[] = [];
  const executions: Execution[] = [];
  for (const bundles of batches) {
    const batch = { timestampMs: 0, bundles: bundles.map(({ ref }) => ref.digest) };
    const execution = execute(network, present(states.at(-1), "a state"), batch, {
      membership,
      bundleOf: (digest) => present(known.get(digest), "a bundle"),
      commandsOf: () => [],
    });
    const leaves = execution.executed.map(({ ref, firstPosition }) =>
      executedLeaf({ bundle: ref.digest, firstPosition }),
    );
    links.push({ batch: batchDigest(batch), executed: executedDigest(leaves) });
    states.push(execution.state);
    executions.push(execution);
  }
  return { states, links, executions };
}

async function certify(
  state: ExecutionState,
  signers: readonly number[],
  { epoch = network.set.epoch, phase = "executed" }: Partial<Pick<StateCertificate, "epoch" | "phase">> = {},
): Promise<StateCertificate> {
  const leaf = statementDigest({ genesis: network.genesis, set: { epoch } }, statementAbout(phase, state));
  const proofs = await Promise.all(
    signers.map(async (index): Promise<Proof> => {
      const signer = index as ValidatorIndex;
      const keys = present(pairs.get(network.set.at(signer).nodeId), "a key");
      const signature = await keys.sign(sealedBytes(network, signer, 1, merkleRoot([leaf])));
      return { seal: { signer, leafCount: 1, signature }, leafIndex: 0, path: [] };
    }),
  );
  return { epoch, phase, state: encode(executionStateCodec, state), proofs };
}

/** As an honest node puts it together, unless `as` says what to claim of another bundle. */
function proofOf(
  { states, links, executions }: Run,
  held: HeldBundle,
  index: number,
  certificate: StateCertificate,
  as: HeldBundle = held,
): OrderedProof {
  const at = executions.findIndex(({ executed }) => executed.some(({ ref }) => ref.digest === as.ref.digest));
  const { executed } = present(executions[at], "the execution of the bundle");
  const leaves = executed.map(({ ref, firstPosition }) => executedLeaf({ bundle: ref.digest, firstPosition }));
  const place = executed.findIndex(({ ref }) => ref.digest === as.ref.digest);
  const { creator, term, purpose, firstNonce, timestampMs, parents, payloads } = held.bundle;
  return {
    kind: "ordered",
    vertex: {
      header: { creator, term, purpose, firstNonce, timestampMs },
      parents,
      count: payloads.length,
      index,
      payload: present(payloads[index], "a payload"),
      path: merklePath(held.vertexIds, index),
    },
    firstPosition: present(executed[place], "an executed bundle").firstPosition,
    executedIndex: place,
    executedCount: leaves.length,
    executedPath: merklePath(leaves, place),
    historyBefore: present(states[at], "the state before").history,
    batch: present(links[at], "a link").batch,
    links: links.slice(at + 1),
    certificate,
  };
}

function codeOf(wanted: Hash, proof: OrderedProof): LightErrorCode | "proved" {
  try {
    verifyOrdered(trusted, wanted, proof, verifyPortably);
    return "proved";
  } catch (error) {
    if (error instanceof LightError) return error.code;
    throw error;
  }
}

const a1 = bundleOf(0, 1, network.genesis, "a1", "a2", "a3");
const b1 = bundleOf(1, 1, network.genesis, "b1");
const a2 = bundleOf(0, 4, a1.ref.tip, "a4", "a5");
const run = executeAll([[b1, a1], [], [a2]]);
const last = present(run.states.at(-1), "the last state");
const idAt = (held: HeldBundle, index: number): Hash => present(held.vertexIds[index], "an id");

describe("a proof of finality", () => {
  test("gives every vertex its batch and its position, with who signed", async () => {
    const certificate = await certify(last, [0, 2, 3]);
    const expected = [
      [b1, 0, 1, 1],
      [a1, 0, 2, 1],
      [a1, 2, 4, 1],
      [a2, 0, 5, 3],
      [a2, 1, 6, 3],
    ] as const;
    for (const [held, index, position, batch] of expected) {
      const proof = decodeProof(encodeProof(proofOf(run, held, index, certificate)));
      if (proof.kind !== "ordered") throw new Error("a proof of order");
      const verdict = verifyOrdered(trusted, idAt(held, index), proof, verifyPortably);
      expect(verdict).toMatchObject({ position: position as Position, batch, epoch: 0, certifiedBatch: 3, quorum: 3 });
      expect(verdict.signers.map(({ nodeId }) => nodeId)).toEqual(
        [0, 2, 3].map((index_) => network.set.at(index_ as ValidatorIndex).nodeId),
      );
    }
  });

  test("rests on the state before the next batches just as well", async () => {
    const [, first] = run.states;
    const certificate = await certify(present(first, "a state"), [1, 2, 3], { phase: "checkpoint" });
    const proof = { ...proofOf(run, a1, 1, certificate), links: [] };
    expect(codeOf(idAt(a1, 1), proof)).toBe("proved");
  });

  test("is none of what was ordered and passed over, though its creator signed a twin that ends with the same vertex", async () => {
    // Both branches of the fork end with one vertex: a lane's tip alone would not tell them apart.
    const one = bundleOf(2, 1, network.genesis, "to you", "the end");
    const two = bundleOf(2, 1, network.genesis, "to me", "the end");
    expect(one.ref.tip).toBe(two.ref.tip);
    const forked = executeAll([[one, two]]);
    const certificate = await certify(present(forked.states.at(-1), "a state"), [0, 1, 3]);
    expect(codeOf(idAt(one, 0), proofOf(forked, one, 0, certificate))).toBe("proved");
    expect(codeOf(idAt(two, 0), proofOf(forked, two, 0, certificate, one))).toBe("not-proved");
  });

  test("needs a quorum of distinct validators of the epoch", async () => {
    const id = idAt(a1, 0);
    const of = async (signers: readonly number[]): Promise<string> =>
      codeOf(id, proofOf(run, a1, 0, await certify(last, signers)));
    expect(await of([0, 1])).toBe("no-quorum");
    expect(await of([0, 1, 1])).toBe("no-quorum");
    expect(await of([0, 1, 2, 3])).toBe("proved");
    expect(codeOf(id, proofOf(run, a1, 0, await certify(last, [0, 1, 2], { epoch: 1 as Epoch })))).toBe("wrong-epoch");
  });

  test("counts no signature for another phase, epoch, network or state", async () => {
    const certificate = await certify(last, [0, 1, 2]);
    const id = idAt(a1, 0);
    const proof = proofOf(run, a1, 0, certificate);
    expect(codeOf(id, { ...proof, certificate: { ...certificate, phase: "checkpoint" } })).toBe("bad-signature");
    const ofLater = await certify(last, [0, 1, 2], { epoch: 1 as Epoch });
    expect(codeOf(id, { ...proof, certificate: { ...ofLater, epoch: 0 as Epoch } })).toBe("bad-signature");
    const state = encode(executionStateCodec, { ...last, position: 99 as Position });
    expect(codeOf(id, { ...proof, certificate: { ...certificate, state } })).toBe("bad-signature");
    const other = { ...trusted, genesis: idAt(b1, 0) };
    expect(() => verifyOrdered(other, id, proof, verifyPortably)).toThrow("did not sign");
  });

  test("whose bytes are cut anywhere is malformed", async () => {
    const bytes = encodeProof(proofOf(run, a1, 0, await certify(last, [0, 1, 2])));
    for (let size = 0; size < bytes.length; size += 97) {
      expect(() => decodeProof(bytes.slice(0, size))).toThrow(LightError);
    }
  });
});
