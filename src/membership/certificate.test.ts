import { describe, expect, test } from "bun:test";
import { allHold, networkOf, prove } from "../../test/cluster/signing.ts";
import { decode, encode } from "../codec/codec.ts";
import { vec } from "../codec/composites.ts";
import { DecodeError } from "../codec/reader.ts";
import { present } from "../lib/assert.ts";
import { toHash } from "../lib/hash.ts";
import { hasDistinctSigners, obligationsOf } from "./certificate.ts";
import { contradicts, type Equivocation, obligationsOfEquivocation } from "./equivocation.ts";
import type { ValidatorIndex } from "./ids.ts";
import { type Proof, proofRoot, SEAL_LEAVES_MAX } from "./seal.ts";
import { withSealTable } from "./seal-table.ts";
import { type Statement, statementDigest } from "./statement.ts";

const network = networkOf(4);
const STATEMENT: Statement = { phase: "commit", view: 1, sequence: 2, digest: toHash(new Uint8Array(32).fill(3)) };

function proofBy(signer: number, statement: Statement = STATEMENT): Proof {
  return present(prove(network, signer as ValidatorIndex, [statementDigest(network, statement)])[0], "a proof");
}

describe("a certificate", () => {
  test("counts validators, not messages: one twice, or a stranger, makes it none", () => {
    const { set } = network;
    expect(
      hasDistinctSigners(
        set,
        [0, 1, 2].map((signer) => proofBy(signer)),
        3,
      ),
    ).toBe(true);
    expect(
      hasDistinctSigners(
        set,
        [0, 1, 2, 3].map((signer) => proofBy(signer)),
        3,
      ),
    ).toBe(true);
    expect(
      hasDistinctSigners(
        set,
        [0, 1, 1].map((signer) => proofBy(signer)),
        2,
      ),
    ).toBe(false);
    expect(
      hasDistinctSigners(
        set,
        [0, 1].map((signer) => proofBy(signer)),
        3,
      ),
    ).toBe(false);
    const [proof] = [proofBy(2)];
    const stranger = { ...proof, seal: { ...proof.seal, signer: 4 as ValidatorIndex } };
    expect(hasDistinctSigners(set, [proofBy(0), proofBy(1), stranger], 2)).toBe(false);
  });

  test("rests on every one of its signatures", () => {
    const proofs = [0, 1, 2].map((signer) => proofBy(signer));
    expect(allHold(network, obligationsOf(network, { statement: STATEMENT, proofs }))).toBe(true);
    for (const changed of [{ view: 2 }, { sequence: 3 }, { phase: "prepare" as const }]) {
      expect(allHold(network, obligationsOf(network, { statement: { ...STATEMENT, ...changed }, proofs }))).toBe(false);
    }
    const other = [...proofs.slice(1), proofBy(0, { ...STATEMENT, view: 9 })];
    expect(allHold(network, obligationsOf(network, { statement: STATEMENT, proofs: other }))).toBe(false);
  });
});

describe("a statement", () => {
  test("has another digest for another phase, view, sequence, digest, network or epoch", () => {
    const digests = [
      statementDigest(network, STATEMENT),
      ...(["bundle", "pre-prepare", "prepare", "checkpoint", "view-change", "new-view"] as const).map((phase) => {
        return statementDigest(network, { ...STATEMENT, phase });
      }),
      statementDigest(network, { ...STATEMENT, view: 2 }),
      statementDigest(network, { ...STATEMENT, sequence: 1 }),
      statementDigest(network, { ...STATEMENT, digest: toHash(new Uint8Array(32)) }),
      statementDigest(networkOf(4, { name: "other" }), STATEMENT),
      statementDigest(networkOf(4, { epoch: 1 }), STATEMENT),
    ];
    expect(new Set(digests).size).toBe(digests.length);
  });

  test("is proved in its own place among those of its turn, and in no other", () => {
    const leaves = [1, 2, 3, 4, 5].map((view) => statementDigest(network, { ...STATEMENT, view }));
    const proofs = prove(network, 1 as ValidatorIndex, leaves);
    leaves.forEach((leaf, at) => {
      proofs.forEach((proof, other) => {
        expect(allHold(network, [{ leaf, proof }])).toBe(at === other);
      });
    });
  });

  test("cannot be proved by a seal of no leaves or of more than there may be", () => {
    const proof = proofBy(1);
    const leaf = statementDigest(network, STATEMENT);
    for (const leafCount of [0, SEAL_LEAVES_MAX + 1]) {
      expect(proofRoot(leaf, { ...proof, seal: { ...proof.seal, leafCount } })).toBeNull();
    }
  });
});

describe("evidence", () => {
  const evidence = (changes: Partial<Statement>, signer = 1): Equivocation => {
    const statement = { ...STATEMENT, ...changes };
    return {
      first: { statement: STATEMENT, proof: proofBy(1) },
      second: { statement, proof: proofBy(signer, statement) },
    };
  };
  const digest = toHash(new Uint8Array(32));

  test("is one validator saying two things for one place in one phase", () => {
    expect(contradicts(evidence({ digest }))).toBe(true);
    expect(allHold(network, obligationsOfEquivocation(network, evidence({ digest })))).toBe(true);
  });

  test("is nothing less", () => {
    expect(contradicts(evidence({}))).toBe(false);
    expect(contradicts(evidence({ digest }, 2))).toBe(false);
    for (const changed of [{ view: 2 }, { sequence: 9 }, { phase: "prepare" as const }]) {
      expect(contradicts(evidence({ digest, ...changed }))).toBe(false);
    }
  });
});

describe("a table of seals", () => {
  const codec = withSealTable((proof) => vec(proof, 16), 16);

  test("writes a seal once, however many proofs it has", () => {
    const leaves = [1, 2, 3].map((view) => statementDigest(network, { ...STATEMENT, view }));
    const proofs = prove(network, 1 as ValidatorIndex, leaves);
    const bytes = encode(codec, proofs);
    expect(bytes.length).toBeLessThan(5_000);
    expect(decode(codec, bytes)).toEqual(proofs);
    expect(encode(codec, decode(codec, bytes))).toEqual(bytes);
  });

  test("has no other order than that of use, and nothing unused", () => {
    const two = encode(codec, [proofBy(1), proofBy(2)]);
    const swapped = Uint8Array.from(two);
    const at = two.length - 2 * (4 + 4 + 8);
    new DataView(swapped.buffer).setUint32(at, 1, true);
    new DataView(swapped.buffer).setUint32(at + 16, 0, true);
    expect(() => decode(codec, swapped)).toThrow(DecodeError);
    const unused = Uint8Array.from(two);
    new DataView(unused.buffer).setUint32(at + 16, 0, true);
    expect(() => decode(codec, unused)).toThrow(DecodeError);
    const missing = Uint8Array.from(two);
    new DataView(missing.buffer).setUint32(at + 16, 2, true);
    expect(() => decode(codec, missing)).toThrow(DecodeError);
  });
});
