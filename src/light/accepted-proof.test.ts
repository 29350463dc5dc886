import { describe, expect, test } from "bun:test";
import { membershipOf } from "../../test/cluster/signing.ts";
import { hashOf } from "../crypto/hash.ts";
import { generateKeyPair } from "../crypto/key-pair.ts";
import { MerkleTree } from "../crypto/merkle.ts";
import { verifyPortably } from "../crypto/portable-signatures.ts";
import { type HeldBundle, holdBundle } from "../dag/bundle.ts";
import { sealEnvelope } from "../dag/conflict-keys.ts";
import { contentOf } from "../dag/vertex.ts";
import { type Votes, votesStatement } from "../dag/votes.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import { type Proof, proofIn, sealedBytes } from "../membership/seal.ts";
import { type Statement, statementDigest } from "../membership/statement.ts";
import { type NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import { type AcceptedProof, acceptedStatement } from "./accepted-proof.ts";
import { decodeProof, encodeProof, verifyProof } from "./finality-proof.ts";
import { LightError, type LightErrorCode } from "./light-error.ts";

const keys = Array.from({ length: 4 }, () => generateKeyPair({ hybrid: true }));
const pairs = new Map(keys.map((pair) => [pair.nodeId, pair]));
const network: NetworkContext = {
  genesis: hashOf("genesis", new Uint8Array([1])),
  set: new ValidatorSet(
    0 as Epoch,
    keys.map(({ nodeId, publicKeys }) => ({ nodeId, publicKeys, name: "" })),
  ),
};
const trusted = { genesis: network.genesis, membership: membershipOf(network) };
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const vertex = (words: string, ...claims: readonly string[]): Uint8Array =>
  sealEnvelope({ payload: text(words), conflictKeys: claims.map(text) });

function bundleOf(creator: number, ...payloads: readonly Uint8Array[]): HeldBundle {
  return holdBundle(network, {
    creator: creator as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "dag",
    firstNonce: 5 as Nonce,
    timestampMs: 1_234,
    parents: [hashOf("vertex", text("own")), hashOf("vertex", text("other"))],
    payloads,
  });
}

/** What validators sign in one turn; the proofs of the statement at `index`, one of each signer. */
async function sign(
  statements: readonly Statement[],
  signers: readonly number[],
  { index = 0, epoch = 0, by = network }: { index?: number; epoch?: number; by?: NetworkContext } = {},
): Promise<readonly Proof[]> {
  const context = { genesis: by.genesis, set: { epoch: epoch as Epoch } };
  const tree = new MerkleTree(statements.map((statement) => statementDigest(context, statement)));
  return await Promise.all(
    signers.map(async (place) => {
      const signer = place as ValidatorIndex;
      const pair = present(pairs.get(by.set.at(signer).nodeId), "a key");
      const signature = await pair.sign(sealedBytes(by, signer, statements.length, tree.root));
      return proofIn({ signer, leafCount: statements.length, signature }, tree, index);
    }),
  );
}

const one = bundleOf(1, vertex("for Ada", "seat/17A", "row/17"), vertex("nothing claimed"));
const rival = bundleOf(2, vertex("for Bob", "seat/17A"));
const idAt = (held: HeldBundle, index: number): Hash => present(held.vertexIds[index], "an id");
const [ada, plain, bob] = [idAt(one, 0), idAt(one, 1), idAt(rival, 0)];

function vertexAt({ bundle }: HeldBundle, index: number): AcceptedProof["vertex"] {
  return {
    creator: network.set.at(bundle.creator).nodeId,
    nonce: (bundle.firstNonce + index) as Nonce,
    timestampMs: bundle.timestampMs,
    parents: bundle.parents,
    content: contentOf(bundle.payloads),
    payload: present(bundle.payloads[index], "a payload"),
  };
}

async function proofOf(
  held: HeldBundle,
  index: number,
  signers: readonly number[] = [0, 2, 3],
): Promise<AcceptedProof> {
  const proofs = await sign([acceptedStatement(idAt(held, index))], signers);
  return { kind: "accepted", epoch: 0 as Epoch, vertex: vertexAt(held, index), proofs };
}

function codeOf(wanted: Hash, proof: AcceptedProof, from: typeof trusted = trusted): LightErrorCode | "proved" {
  try {
    verifyProof(from, wanted, decodeProof(encodeProof(proof)), verifyPortably);
    return "proved";
  } catch (error) {
    if (error instanceof LightError) return error.code;
    throw error;
  }
}

describe("a proof of acceptance", () => {
  test("gives a vertex its creator, what its client gave, and what it claims, with who signed", async () => {
    const verdict = verifyProof(trusted, ada, await proofOf(one, 0), verifyPortably);
    if (verdict.kind !== "accepted") throw new Error("a word of acceptance");
    const { nodeId: creator } = network.set.at(1 as ValidatorIndex);
    expect(verdict).toMatchObject({ hash: ada, creator, nonce: 5, purpose: "dag", epoch: 0, quorum: 3, validators: 4 });
    expect(verdict.payload).toEqual(text("for Ada"));
    expect(verdict.conflictKeys).toEqual([text("row/17"), text("seat/17A")]);
    const names = [0, 2, 3].map((place) => network.set.at(place as ValidatorIndex).nodeId);
    expect(verdict.signers.map(({ nodeId }) => nodeId)).toEqual(names);
  });

  test("is as good where one signature speaks of many vertices", async () => {
    const statements = [bob, plain, ada].map(acceptedStatement);
    const proofs = await sign(statements, [1, 2, 3], { index: 1 });
    const proof: AcceptedProof = { kind: "accepted", epoch: 0 as Epoch, vertex: vertexAt(one, 1), proofs };
    expect(codeOf(plain, proof)).toBe("proved");
    expect(codeOf(plain, { ...proof, proofs: proofs.map((each) => ({ ...each, leafIndex: 2 })) })).toBe(
      "bad-signature",
    );
  });

  test("is none where any part of the vertex is another", async () => {
    const proof = await proofOf(one, 0);
    const [own, other] = proof.vertex.parents;
    if (own === undefined || other === undefined) throw new Error("two parents");
    const changes: readonly Partial<AcceptedProof["vertex"]>[] = [
      { payload: vertex("for Bob", "seat/17A", "row/17") },
      { payload: vertex("for Ada", "seat/17A") },
      { nonce: 6 as Nonce },
      { timestampMs: 1_235 },
      { creator: network.set.at(2 as ValidatorIndex).nodeId },
      { content: contentOf(rival.bundle.payloads) },
      { parents: [other, own] },
    ];
    for (const change of changes) {
      expect(codeOf(ada, { ...proof, vertex: { ...proof.vertex, ...change } })).toBe("wrong-vertex");
    }
    expect(codeOf(ada, { ...proof, vertex: { ...proof.vertex, parents: [own] } })).toBe("malformed");
  });

  test("of one vertex is none of its rival, nor of its neighbour", async () => {
    const proof = await proofOf(one, 0);
    expect(codeOf(bob, proof)).toBe("wrong-vertex");
    expect(codeOf(bob, { ...proof, vertex: vertexAt(rival, 0) })).toBe("bad-signature");
    expect(codeOf(plain, { ...proof, vertex: vertexAt(one, 1) })).toBe("bad-signature");
  });

  test("needs a quorum of distinct validators of the epoch", async () => {
    expect(codeOf(ada, await proofOf(one, 0, [0, 1]))).toBe("no-quorum");
    expect(codeOf(ada, await proofOf(one, 0, [0, 1, 1]))).toBe("no-quorum");
    expect(codeOf(ada, await proofOf(one, 0, [3, 1, 0, 2]))).toBe("proved");
    const proof = await proofOf(one, 0);
    expect(codeOf(ada, { ...proof, epoch: 1 as Epoch })).toBe("wrong-epoch");
  });

  test("counts no votes, and no word of another epoch or another network", async () => {
    const proof = await proofOf(one, 0);
    const entries: Votes["entries"] = [{ level: "commit", bundle: one.ref.digest, except: [] }];
    const votes = await sign([votesStatement({ kind: "votes", entries })], [0, 1, 2]);
    expect(codeOf(ada, { ...proof, proofs: votes })).toBe("bad-signature");
    const executed: Statement = { phase: "executed", view: 0, sequence: 0, digest: ada };
    expect(codeOf(ada, { ...proof, proofs: await sign([executed], [0, 1, 2]) })).toBe("bad-signature");
    const later = await sign([acceptedStatement(ada)], [0, 1, 2], { epoch: 1 });
    expect(codeOf(ada, { ...proof, proofs: later })).toBe("bad-signature");
    const other: NetworkContext = { genesis: hashOf("genesis", new Uint8Array([2])), set: network.set };
    const elsewhere = await sign([acceptedStatement(ada)], [0, 1, 2], { by: other });
    expect(codeOf(ada, { ...proof, proofs: elsewhere })).toBe("bad-signature");
    expect(codeOf(ada, proof, { ...trusted, genesis: other.genesis })).toBe("wrong-vertex");
  });

  test("needs both halves of every signature", async () => {
    const proof = await proofOf(one, 0);
    const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 9 ? byte ^ 1 : byte));
    const [first, ...rest] = proof.proofs;
    if (first === undefined) throw new Error("a proof");
    const { mlDsa, ed25519 } = first.seal.signature;
    if (ed25519 === null) throw new Error("both halves");
    const halves = [
      { mlDsa: flip(mlDsa), ed25519 },
      { mlDsa, ed25519: flip(ed25519) },
      { mlDsa, ed25519: null },
    ];
    for (const signature of halves) {
      const changed = { ...first, seal: { ...first.seal, signature } };
      expect(codeOf(ada, { ...proof, proofs: [changed, ...rest] })).toBe("bad-signature");
    }
  });

  test("whose bytes are cut anywhere is malformed", async () => {
    const bytes = encodeProof(await proofOf(one, 0));
    for (let size = 0; size < bytes.length; size += 97) {
      expect(() => decodeProof(bytes.slice(0, size))).toThrow(LightError);
    }
  });
});
