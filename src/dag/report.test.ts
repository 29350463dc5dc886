import { describe, expect, test } from "bun:test";
import { allHold, networkOf, prove } from "../../test/cluster/signing.ts";
import { decode, encode } from "../codec/codec.ts";
import { present } from "../lib/assert.ts";
import { toHash } from "../lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { Signed } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { type HeldBundle, holdBundle } from "./bundle.ts";
import { conflictSetOf, forkSetOf, sealEnvelope } from "./conflict-keys.ts";
import { countsIn, obligationsOfReport, type Report, reportCodec, reportFault } from "./report.ts";
import { applyReports } from "./resolution.ts";
import { NO_RESOLUTIONS, resolutionDigest, resolutionStateCodec, withoutReports } from "./resolution-state.ts";
import { openUnit, proveUnit, type UnitProof, unitProofCodec } from "./unit-proof.ts";
import { type Votes, votesStatement } from "./votes.ts";

const network = networkOf(4);
const KEYS = ["coin-1", "coin-2"].map((text) => new TextEncoder().encode(text));

/** A bundle of three vertices: one that conflicts with nothing, one on the first key, one on both. */
function dagBundle(creator: number, keys: readonly Uint8Array[] = KEYS): HeldBundle {
  return holdBundle(network, {
    creator: creator as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "dag",
    firstNonce: 5 as Nonce,
    timestampMs: 1_000,
    parents: [network.genesis, toHash(new Uint8Array(32).fill(7))],
    payloads: [[], keys.slice(0, 1), keys].map((conflictKeys) =>
      sealEnvelope({ conflictKeys, payload: new Uint8Array([creator]) }),
    ),
  });
}

const bundle = dagBundle(1);
const rival = dagBundle(2);

function accepts(of: HeldBundle, signers: readonly number[], context: NetworkContext = network): Signed<Votes>[] {
  const message: Votes = { kind: "votes", entries: [{ level: "accept", bundle: of.ref.digest, except: [0] }] };
  return signers.map((signer) => {
    const leaf = statementDigest(context, votesStatement(message));
    return { message, proof: present(prove(context, signer as ValidatorIndex, [leaf])[0], "a proof") };
  });
}

function report(changes: Partial<Report> = {}): Report {
  return { epoch: 0 as Epoch, subject: proveUnit(bundle, 1), certified: null, ...changes };
}

function certifiedBy(signers: readonly number[], unit: UnitProof = proveUnit(rival, 1)): Report {
  return report({ certified: { unit, votes: accepts(rival, signers) } });
}

describe("a unit's proof", () => {
  test("opens to the bundle's digest and to the sets of the vertex's own keys", () => {
    for (const [vertex, keys] of [
      [0, []],
      [1, KEYS.slice(0, 1)],
      [2, KEYS],
    ] as const) {
      expect(openUnit(network, proveUnit(bundle, vertex))).toEqual({
        unit: { bundle: bundle.ref.digest, vertex },
        sets: keys.map(conflictSetOf),
        place: forkSetOf(bundle.ref),
      });
    }
  });

  test("of a place opens to its fork set", () => {
    const place = forkSetOf(bundle.ref);
    const unit = { bundle: bundle.ref.digest, vertex: null };
    expect(openUnit(network, proveUnit(bundle, null))).toEqual({ unit, sets: [place], place });
  });

  test("with anything changed opens to another bundle, or to nothing", () => {
    const proof = proveUnit(bundle, 1);
    if (proof.kind !== "vertex") throw new Error("a vertex's proof");
    const changed: UnitProof[] = [
      { ...proof, creator: 0 as ValidatorIndex },
      { ...proof, creator: 9 as ValidatorIndex },
      { ...proof, term: 1 as Epoch },
      { ...proof, firstNonce: 6 as Nonce },
      { ...proof, firstNonce: 0 as Nonce },
      { ...proof, count: 4 },
      { ...proof, count: 0 },
      { ...proof, index: 0 },
      { ...proof, index: 3 },
      { ...proof, timestampMs: 1_001 },
      { ...proof, parents: proof.parents.slice(1) },
      { ...proof, payload: sealEnvelope({ conflictKeys: [], payload: new Uint8Array(1) }) },
      { ...proof, path: proof.path.slice(1) },
    ];
    for (const one of changed) expect(openUnit(network, one)?.unit.bundle).not.toBe(bundle.ref.digest);
  });

  test("has one encoding", () => {
    for (const vertex of [null, 0, 2]) {
      const proof = proveUnit(bundle, vertex);
      expect(decode(unitProofCodec, encode(unitProofCodec, proof))).toEqual(proof);
    }
  });
});

describe("a report", () => {
  test("that its maker can prove is well formed, and its signatures hold in its own epoch only", () => {
    const honest = certifiedBy([0, 1, 2]);
    expect(reportFault(network, honest)).toBeNull();
    expect(decode(reportCodec, encode(reportCodec, honest))).toEqual(honest);
    expect(obligationsOfReport(network, honest)).toHaveLength(3);
    expect(allHold(network, obligationsOfReport(network, honest))).toBe(true);
    const other = networkOf(4, { epoch: 1 });
    expect(allHold(other, obligationsOfReport(other, honest))).toBe(true);
    expect(allHold(other, obligationsOfReport(other, { ...honest, epoch: 1 as Epoch }))).toBe(false);
    expect([countsIn(network.set, honest), countsIn(other.set, honest)]).toEqual([true, false]);
  });

  const faults: readonly (readonly [what: string, report: Report, fault: string])[] = [
    ["of an epoch to come", report({ epoch: 1 as Epoch }), "has not begun"],
    ["about a vertex without keys", report({ subject: proveUnit(bundle, 0) }), "conflicts with nothing"],
    [
      "about a stranger's bundle",
      report({ subject: { ...proveUnit(bundle, 1), creator: 9 as ValidatorIndex } }),
      "opens to nothing",
    ],
    ["with a certificate for something else", certifiedBy([0, 1, 2], proveUnit(rival, null)), "nothing to do"],
    ["with a vote twice", certifiedBy([0, 1, 1]), "two votes"],
    ["with a certificate without votes", certifiedBy([]), "without votes"],
    [
      "with votes for another bundle",
      report({ certified: { unit: proveUnit(rival, 1), votes: accepts(bundle, [0, 1, 2]) } }),
      "does not accept",
    ],
  ];
  for (const [what, faulty, fault] of faults) {
    test(`${what} is at fault`, () => expect(reportFault(network, faulty)).toContain(fault));
  }

  test("whose certificate is of fewer than a quorum counts for nothing", () => {
    expect(countsIn(network.set, certifiedBy([0, 1]))).toBe(false);
  });
});

describe("the ordered log", () => {
  const from = (creator: number, said: Report) => ({ creator: creator as ValidatorIndex, report: said });
  const subject = { bundle: bundle.ref.digest, vertex: 1 };
  const [set] = KEYS.map(conflictSetOf);

  test("gives the subject its sets when a quorum has reported it, and answers who reports its rivals later", () => {
    const two = applyReports(network, NO_RESOLUTIONS, [from(0, report()), from(1, report()), from(1, report())]);
    expect(two).toMatchObject({ decided: [], reported: [{ subject, reports: 2 }] });
    const three = applyReports(network, two.state, [from(3, report())]);
    expect(three).toMatchObject({ decided: [{ winner: subject, sets: [set] }], reported: [] });
    const late = applyReports(network, three.state, [from(2, report({ subject: proveUnit(rival, 2) }))]);
    expect(late.decided).toEqual(three.decided);
    expect(late.state).toBe(three.state);
  });

  test("gives them to the rival that one of the reports shows to be certified", () => {
    const said = [from(0, report()), from(1, certifiedBy([0, 1, 2])), from(2, report())];
    const winner = { bundle: rival.ref.digest, vertex: 1 };
    expect(applyReports(network, NO_RESOLUTIONS, said).decided).toEqual([{ winner, sets: [present(set, "a set")] }]);
  });

  test("hears neither strangers nor reports of another epoch, nor certificates of too few", () => {
    const later = networkOf(4, { epoch: 1 });
    const said = [0, 1, 2].map((creator) => from(creator, report()));
    expect(applyReports(later, NO_RESOLUTIONS, said).state).toBe(NO_RESOLUTIONS);
    expect(applyReports(network, NO_RESOLUTIONS, [from(4, report())]).state).toBe(NO_RESOLUTIONS);
    expect(applyReports(network, NO_RESOLUTIONS, [from(0, certifiedBy([0, 1]))]).state).toBe(NO_RESOLUTIONS);
  });

  test("takes a vertex for lost whose bundle's place it gave to another", () => {
    const fork = dagBundle(1, [new TextEncoder().encode("coin-3")]);
    const place = report({ subject: proveUnit(fork, null) });
    const placed = applyReports(
      network,
      NO_RESOLUTIONS,
      [0, 1, 2].map((creator) => from(creator, place)),
    );
    const answered = applyReports(network, placed.state, [from(0, report())]);
    expect(answered.decided).toEqual([
      { winner: { bundle: fork.ref.digest, vertex: null }, sets: [forkSetOf(fork.ref)] },
    ]);
    expect(answered.state.open).toEqual([]);
  });

  test("keeps what it decided and drops what is open when an epoch ends; its state has one encoding", () => {
    const open = applyReports(network, NO_RESOLUTIONS, [from(0, certifiedBy([0, 1, 2]))]).state;
    expect(decode(resolutionStateCodec, encode(resolutionStateCodec, open))).toEqual(open);
    expect(resolutionDigest(open)).not.toBeNull();
    expect(resolutionDigest(withoutReports(open))).toBeNull();
    const said = [0, 1, 2].map((creator) => from(creator, report()));
    const { state } = applyReports(network, open, said);
    expect(withoutReports(state).rulings).toHaveLength(1);
    expect(decode(resolutionStateCodec, encode(resolutionStateCodec, state))).toEqual(state);
  });
});
