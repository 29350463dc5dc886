import { describe, expect, test } from "bun:test";
import { allHold, networkOf, prove } from "../../test/cluster/signing.ts";
import { decode, encode } from "../codec/codec.ts";
import { DecodeError } from "../codec/reader.ts";
import { Bug, present } from "../lib/assert.ts";
import { toHash } from "../lib/hash.ts";
import {
  type Evidence,
  evidenceCodec,
  evidenceFault,
  evidenceId,
  evidenceOf,
  obligationsOfEvidence,
} from "./evidence.ts";
import type { Epoch, ValidatorIndex } from "./ids.ts";
import { lieOf } from "./membership.cases.ts";
import { statementDigest } from "./statement.ts";

const network = networkOf(4);
const later = networkOf(4, { epoch: 7 });
const lie = lieOf(network, 1);

describe("evidence", () => {
  test("of a lie in this epoch is well formed, and its signatures hold", () => {
    expect(evidenceFault(network, lie)).toBeNull();
    expect(allHold(network, obligationsOfEvidence(network, lie))).toBe(true);
  });

  test("of an earlier epoch is verified in a later one", () => {
    const former = lieOf(network, 2, { epoch: 3 });
    expect(evidenceFault(later, former)).toBeNull();
    expect(allHold(later, obligationsOfEvidence(later, former))).toBe(true);
  });

  test("cannot be made to name another epoch than that of its statements", () => {
    const former = lieOf(network, 2, { epoch: 3 });
    for (const epoch of [0, 2, 4]) {
      const renamed: Evidence = { ...former, epoch: epoch as Epoch };
      expect(allHold(later, obligationsOfEvidence(later, renamed))).toBe(false);
    }
  });

  test("cannot be replayed in another network", () => {
    const other = networkOf(4, { name: "other" });
    expect(evidenceFault(other, lie)).toBeNull();
    expect(allHold(other, obligationsOfEvidence(other, lie))).toBe(false);
  });

  test("cannot be forged: a changed statement or signer has no proof", () => {
    const digest = toHash(new Uint8Array(32).fill(9));
    const forged: Evidence = { ...lie, second: { ...lie.second, statement: { ...lie.second.statement, digest } } };
    expect(allHold(network, obligationsOfEvidence(network, forged))).toBe(false);
    const blamed = (half: Evidence["first"]): Evidence["first"] => ({
      ...half,
      proof: { ...half.proof, seal: { ...half.proof.seal, signer: 2 as ValidatorIndex } },
    });
    const framed: Evidence = { ...lie, first: blamed(lie.first), second: blamed(lie.second) };
    expect(evidenceFault(network, framed)).toBeNull();
    expect(allHold(network, obligationsOfEvidence(network, framed))).toBe(false);
  });

  test("is one of two bundles in every epoch, and names epoch 0", () => {
    const fork = lieOf(network, 1, { epoch: 5, phase: "bundle", view: 0 });
    expect(fork.epoch).toBe(0 as Epoch);
    expect(allHold(later, obligationsOfEvidence(later, fork))).toBe(true);
    expect(evidenceFault(later, fork)).toBeNull();
    expect(evidenceFault(later, { ...fork, epoch: 5 as Epoch })).toContain("epoch 0");
  });

  test("is nothing where the statements agree, differ in place, or are of two signers", () => {
    expect(evidenceFault(network, { ...lie, second: lie.first })).toContain("contradict");
    expect(evidenceFault(network, { ...lie, second: lieOf(network, 1, { view: 2 }).second })).toContain("contradict");
    expect(evidenceFault(network, { ...lie, second: lieOf(network, 2).second })).toContain("contradict");
  });

  test("is not two checkpoints, which an application's bug makes too", () => {
    const statement = { ...lie.first.statement, phase: "checkpoint" as const };
    const diverged: Evidence = {
      ...lie,
      first: { ...lie.first, statement },
      second: { ...lie.second, statement: { ...lie.second.statement, phase: "checkpoint" } },
    };
    expect(evidenceFault(network, diverged)).toContain("checkpoint");
    expect(() => encode(evidenceCodec, diverged)).toThrow(Bug);
  });

  test("is not of an epoch to come, nor of a stranger", () => {
    expect(evidenceFault(network, { ...lie, epoch: 1 as Epoch })).toContain("not begun");
    expect(evidenceFault(networkOf(1), lie)).toContain("roster");
  });
});

describe("evidence has one form", () => {
  test("whichever statement was heard first", () => {
    const { first, second } = lie;
    expect(evidenceOf(0 as Epoch, { first: second, second: first })).toEqual(lie);
    expect(evidenceFault(network, { ...lie, first: second, second: first })).toContain("smaller digest");
  });

  test("and one name, whatever the signatures", () => {
    const leaves = [lie.first, lie.second].map(({ statement }) => statementDigest(network, statement));
    const [one, two] = prove(network, 1 as ValidatorIndex, leaves);
    const resigned: Evidence = {
      ...lie,
      first: { ...lie.first, proof: present(one, "a proof") },
      second: { ...lie.second, proof: present(two, "a proof") },
    };
    expect(allHold(network, obligationsOfEvidence(network, resigned))).toBe(true);
    expect(encode(evidenceCodec, resigned)).not.toEqual(encode(evidenceCodec, lie));
    expect(evidenceId(resigned)).toBe(evidenceId(lie));
  });

  test("and another name for another epoch, signer, phase or place", () => {
    const others = [
      lie,
      { ...lie, epoch: 1 as Epoch },
      lieOf(network, 2),
      lieOf(network, 1, { phase: "prepare" }),
      lieOf(network, 1, { view: 2 }),
    ];
    expect(new Set(others.map(evidenceId)).size).toBe(others.length);
  });

  test("and comes back from its bytes; a phase that convicts nobody does not", () => {
    const bytes = encode(evidenceCodec, lie);
    expect(bytes.length).toBeLessThan(12_000);
    expect(decode(evidenceCodec, bytes)).toEqual(lie);
    const unknown = Uint8Array.from(bytes);
    unknown[8] = 0xff;
    expect(() => decode(evidenceCodec, unknown)).toThrow(DecodeError);
  });
});
