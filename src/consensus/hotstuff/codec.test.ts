import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { networkOf, prove } from "../../../test/cluster/signing.ts";
import { decode, encode } from "../../codec/codec.ts";
import { DecodeError } from "../../codec/reader.ts";
import { batchDigest, NULL_BATCH } from "../../dag/batch.ts";
import { toHash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import { statementDigest } from "../../membership/statement.ts";
import { messageCodec } from "./codec.ts";
import type { Absence, Block, HotStuffMessage, Proposal, Qc, Tc } from "./messages.ts";
import { blockHash, genesisBlock, innerObligations, statementOf } from "./statements.ts";

const network = networkOf(4);
const BASE = 0 as Sequence;
const genesis = { view: 0 as View, block: genesisBlock(network, BASE).digest };
const bounds = { genesis, quorum: network.set.quorum };
const DIGEST = toHash(new Uint8Array(32).fill(0xd1));

const empty = { sequence: BASE, digest: batchDigest(NULL_BATCH), absences: [] };
const parent: Block = { view: 4 as View, justify: genesis, ...empty };
const parentRef = { view: parent.view, block: blockHash(parent) };

/** The vote of each of these with its commit, of one turn. */
function qcOf(signers: readonly number[]): Qc {
  const votes: Proof[] = [];
  const proofs: Proof[] = [];
  for (const signer of signers) {
    const leaves = [
      statementOf({ kind: "vote", ...parentRef }),
      statementOf({ kind: "commit", view: parent.view, sequence: 1 as Sequence, digest: DIGEST }),
    ].map((statement) => statementDigest(network, statement));
    const [vote, commit] = prove(network, signer as ValidatorIndex, leaves);
    if (vote !== undefined) votes.push(vote);
    if (commit !== undefined) proofs.push(commit);
  }
  return { ...parentRef, votes, commits: [{ sequence: 1 as Sequence, digest: DIGEST, proofs }] };
}

function tcOf(view: number, signers: readonly number[]): Tc {
  const high = parentRef;
  const leaf = statementDigest(network, statementOf({ kind: "timeout", view: view as View, high }));
  const timeouts = signers.flatMap((signer) => {
    return prove(network, signer as ValidatorIndex, [leaf]).map((proof) => ({ high, proof }));
  });
  return { view: view as View, timeouts };
}

function proposalOf(changes: Partial<Proposal> = {}, block: Partial<Block> = {}): Proposal {
  const whole = { view: 6 as View, justify: parentRef, ...empty, ...block };
  return { kind: "proposal", block: whole, batch: NULL_BATCH, qc: qcOf([0, 1, 3]), tc: tcOf(5, [0, 2, 3]), ...changes };
}

const ABSENCES: readonly Absence[] = [
  { validator: 1 as ValidatorIndex, failures: 2, until: 38 as View },
  { validator: 3 as ValidatorIndex, failures: 1, until: 21 as View },
];

const MESSAGES: readonly HotStuffMessage[] = [
  proposalOf({}, { absences: ABSENCES }),
  { kind: "vote", ...parentRef },
  { kind: "commit", view: 4 as View, sequence: 1 as Sequence, digest: DIGEST },
  { kind: "timeout", view: 9 as View, high: parentRef },
  { kind: "checkpoint", sequence: 32 as Sequence, stateDigest: DIGEST },
  { kind: "ask", block: DIGEST, above: 3 as View },
  { kind: "certificates", qc: qcOf([1, 2, 3]), tc: null },
];

describe("the wire", () => {
  test("carries every message as it is, and its kind is its first byte", () => {
    MESSAGES.forEach((message, kind) => {
      const bytes = encode(messageCodec, message);
      expect(bytes[0]).toBe(kind);
      expect(decode(messageCodec, bytes)).toEqual(message);
    });
  });

  test("writes the seal of a vote and of its commits once", () => {
    const qc = qcOf([0, 1, 3]);
    const both = encode(messageCodec, { kind: "certificates", qc, tc: null }).length;
    const votes = encode(messageCodec, { kind: "certificates", qc: { ...qc, commits: [] }, tc: null }).length;
    expect(votes).toBeGreaterThan(3 * 4_627);
    expect(both - votes).toBeLessThan(400);
  });

  test("throws nothing but a DecodeError at hostile bytes", () => {
    const bytes = MESSAGES.map((message) => encode(messageCodec, message));
    fc.assert(
      fc.property(fc.nat(MESSAGES.length - 1), fc.nat(), fc.nat(255), fc.nat(), (which, place, value, cut) => {
        const hostile = Uint8Array.from(bytes[which] ?? []);
        hostile[place % Math.min(hostile.length, 256)] = value;
        try {
          decode(messageCodec, hostile.subarray(0, hostile.length - (cut % 3)));
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("what is checked before signatures", () => {
  test("a whole proposal asks for each vote, commit and time-out", () => {
    expect(innerObligations(network, bounds, proposalOf())?.length).toBe(9);
  });

  test("no correct replica sends these", () => {
    const wrong: readonly Proposal[] = [
      proposalOf({ qc: qcOf([0, 1]) }),
      proposalOf({ qc: qcOf([0, 1, 1]) }),
      proposalOf({ qc: { ...qcOf([0, 1, 3]), view: 3 as View } }),
      proposalOf({ qc: { ...qcOf([0, 1, 3]), block: DIGEST } }),
      proposalOf({ tc: tcOf(5, [0, 2]) }),
      proposalOf({ tc: tcOf(4, [0, 2, 3]) }),
      proposalOf({ batch: { timestampMs: 1, bundles: [] } }),
      proposalOf({ tc: null }, { view: 4 as View }),
      proposalOf({ qc: null, tc: null }, { view: 1 as View, justify: { view: 0 as View, block: DIGEST } }),
    ];
    for (const message of wrong) expect(innerObligations(network, bounds, message)).toBeNull();
  });
});
