import { describe, expect, test } from "bun:test";
import { made, NETWORK, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import type { CoreOptions } from "../../src/consensus/avalanche/core.ts";
import { CERTIFICATES_SYNC_MS } from "../../src/consensus/avalanche/limits.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import { Participant } from "../../src/consensus/avalanche/participant.ts";
import type { DagCertificate, DagClaim, DagOpen } from "../../src/consensus/dag-engine.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../src/crypto/signature.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import type { Votes } from "../../src/dag/votes.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import type { Signed } from "../../src/membership/seal.ts";
import { networkOf } from "../cluster/signing.ts";
import { Seat } from "./seat.ts";

/**
 * Four validators in their fourth epoch, 3 is silent. 1 and 2 hold X, certified in the third one; 0 holds Y, certified in the
 * second one, and did not hear of X at its passage, for X was not final.
 */

const PARAMS = deriveParams(4);
const [X, Y] = [1, 2].map((creator) => made({ creator, payloads: [vertex(`v${creator}`), vertex("w", "k")] })) as [
  HeldBundle,
  HeldBundle,
];

function accept(from: number, held: HeldBundle, except: readonly number[] = [], count = 1): Signed<Votes> {
  const signature = { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null };
  const others = made({ creator: 3, payloads: Array.from({ length: count }, () => vertex("another")) });
  return {
    message: {
      kind: "votes",
      entries: [
        { level: "accept", bundle: held.ref.digest, except },
        { level: "accept", bundle: others.ref.digest, except: [] },
      ],
    },
    proof: {
      seal: { signer: from as ValidatorIndex, leafCount: 1, signature },
      leafIndex: 0,
      path: [],
    },
  };
}

function certificate(held: HeldBundle, epoch: number, from: readonly number[]): DagCertificate {
  return { epoch: epoch as Epoch, place: true, vertices: [0, 1], votes: from.map((signer) => accept(signer, held)) };
}

function claimOf(held: HeldBundle, certified: readonly DagCertificate[]): DagClaim {
  return { bundle: held.ref.digest, state: "open", undecided: [0, 1], rejected: [], certified };
}

function say(seat: Seat, from: number, claims: readonly DagClaim[]): void {
  const [sender, epoch] = [from as ValidatorIndex, 3 as Epoch];
  seat.event({ kind: "dag-claims", from: sender, epoch, passed: [0, 1, 2] as Epoch[], claims, isLast: true });
}

/** Validator 0 as it came to vote in the fourth epoch, with what it held then. */
function passed(
  held: HeldBundle,
  certified: readonly DagCertificate[],
  changes: Partial<CoreOptions> = {},
  bundles = [X, Y],
): Seat {
  const [before, ...earlier] = [2, 1, 0].map((epoch) => networkOf(4, { epoch }).set);
  const open = bundles.map(
    (each): DagOpen => ({
      held: each,
      place: "open",
      accepted: [],
      rejected: [],
      certified: each === held ? certified : [],
    }),
  );
  const lanes = NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis }));
  const seat = new Seat({
    network: networkOf(4, { epoch: 3 }),
    previous: before ?? null,
    earlier,
    restored: { lanes, open, passed: [0, 1, 2] as Epoch[] },
    remembersPrevious: true,
    ...changes,
  });
  for (const from of [2, 3]) say(seat, from, []);
  expect(seat.core.status().mayVote).toBe(true);
  return seat;
}

/** What it reports when the log was told by the two others that X is open. */
function reportedOf(seat: Seat): readonly string[] {
  const subject = { bundle: X.ref.digest, vertex: 1 };
  seat.event({ kind: "resolutions", reported: [{ subject, reports: 2 }], decided: [] });
  return seat
    .reported()
    .map(({ bundle, vertex: index }) => `${bundle === X.ref.digest ? "X" : "Y"} ${index ?? "place"}`);
}

const OLDER = certificate(Y, 1, [0, 1, 2]);
const NEWER = certificate(X, 2, [1, 2, 3]);

function holds(seat: Seat, held: HeldBundle): readonly number[] {
  return seat.core.claimOf(held.ref.digest, true)?.certified?.map(({ epoch }) => epoch as number) ?? [];
}

describe("a certificate of an earlier epoch that was not heard at the passage", () => {
  test("is asked for when what this node holds of such an epoch stays open too long, and not before", () => {
    const seat = passed(Y, [OLDER]);
    const asked = (): readonly boolean[] =>
      seat.effects.flatMap((effect) => (effect.kind === "dag-sync" ? [effect.isForEpoch] : []));
    const atFirst = asked().length;
    const before = asked().filter((isForEpoch) => isForEpoch).length;
    seat.wait(PARAMS.patienceMs - 100);
    expect(asked().slice(atFirst)).not.toContain(true);
    seat.wait(CERTIFICATES_SYNC_MS);
    expect(asked().slice(atFirst)).toContain(true);
    seat.wait(CERTIFICATES_SYNC_MS);
    expect(asked().filter((isForEpoch) => isForEpoch).length).toBeLessThanOrEqual(before + 3);
  });

  test("is not asked for where nothing was certified before, or nobody contests it: it costs its teller all that it can show", () => {
    for (const [certified, isContested] of [
      [[], true],
      [[OLDER], false],
    ] as const) {
      const seat = passed(Y, certified, {}, isContested ? [X, Y] : [Y]);
      const atFirst = seat.effects.length;
      seat.wait(2 * PARAMS.patienceMs);
      const asked = seat.effects.slice(atFirst).filter((effect) => effect.kind === "dag-sync");
      expect(asked).not.toBeEmpty();
      expect(asked.every((effect) => effect.kind === "dag-sync" && !effect.isForEpoch)).toBe(true);
    }
  });

  test("counts with its votes, if it is newer: without it a quorum would never report one subject", () => {
    expect(reportedOf(passed(Y, [OLDER]))).toEqual([]);
    const seat = passed(Y, [OLDER]);
    say(seat, 1, [claimOf(X, [NEWER])]);
    expect(holds(seat, X)).toEqual([2]);
    expect(reportedOf(seat)).toEqual(["X 1"]);
  });

  test("is durable in the step in which it is taken over, and told on with its votes", () => {
    const seat = passed(Y, [OLDER]);
    const atFirst = seat.effects.length;
    say(seat, 1, [claimOf(X, [NEWER])]);
    const keys = seat.effects
      .slice(atFirst)
      .flatMap((effect) => (effect.kind === "persist" ? effect.writes.map(({ key }) => key) : []));
    expect(keys).toContain(`dag/vote/${X.ref.digest}`);
    const [told] = seat.core.claimOf(X.ref.digest, true)?.certified ?? [];
    expect(told?.votes.map(({ proof }) => proof.seal.signer as number)).toEqual([1, 2, 3]);
  });

  test("counts for nothing on a word alone, of fewer than a quorum, or of this epoch", () => {
    const seat = passed(Y, [OLDER]);
    for (const each of [{ ...NEWER, votes: [] }, certificate(X, 2, [1, 2]), certificate(X, 3, [1, 2, 3])])
      for (const from of [1, 2, 3]) say(seat, from, [claimOf(X, [each])]);
    expect(holds(seat, X)).toEqual([]);
    expect(reportedOf(seat)).toEqual([]);
  });

  test("does not move who holds a newer one, or another one of the same epoch", () => {
    for (const epoch of [1, 2]) {
      const seat = passed(Y, [certificate(Y, 2, [0, 1, 2])]);
      say(seat, 1, [claimOf(X, [certificate(X, epoch, [1, 2, 3])])]);
      expect(reportedOf(seat)).toEqual([]);
      expect(seat.core.claimOf(Y.ref.digest, true)?.certified).toHaveLength(1);
    }
  });

  test("does not undo a vote of this epoch: one accept of each set, and no report of a certificate that is none", () => {
    const seat = passed(Y, [OLDER], { params: deriveParams(4, { patienceMs: 200, resolveAfterMs: 60_000 }) });
    seat.wait(400);
    expect(seat.votedFor("accept", Y, 1)).toBe(true);
    say(seat, 1, [claimOf(X, [NEWER])]);
    seat.wait(1_000);
    expect(seat.votedFor("accept", X, 1)).toBe(false);
    expect(reportedOf(seat)).toEqual(["X 1"]);
  });
});

/** Validator 0 at the begin of the second epoch, of whom the first one knows nothing. */
function newcomer(changes: Partial<CoreOptions> = {}): Seat {
  const lanes = NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis }));
  const open: DagOpen = { held: X, place: "open", accepted: [], rejected: [], certified: [] };
  const restored = { lanes, open: [open] };
  return new Seat({ network: networkOf(4, { epoch: 1 }), previous: NETWORK.set, restored, ...changes });
}

function tell(seat: Seat, from: number, claims: readonly DagClaim[]): void {
  const [sender, epoch] = [from as ValidatorIndex, 1 as Epoch];
  seat.event({ kind: "dag-claims", from: sender, epoch, passed: [0] as Epoch[], claims, isLast: true });
}

describe("votes that prove a part of a bundle", () => {
  test("do not keep out those that prove more of it, whoever shows them first", () => {
    const seat = newcomer();
    const some = [1, 2].flatMap((count) => [0, 1, 2].map((from) => accept(from, X, [1], count)));
    tell(seat, 3, [claimOf(X, [{ epoch: 0 as Epoch, place: true, vertices: [0], votes: some }])]);
    tell(seat, 1, [claimOf(X, [certificate(X, 0, [0, 1, 2])])]);
    expect(seat.core.status().mayVote).toBe(false);
    tell(seat, 2, []);
    expect(seat.core.status().mayVote).toBe(true);
    const [told] = seat.core.claimOf(X.ref.digest, true)?.certified ?? [];
    expect(told?.vertices).toEqual([0, 1]);
    const whole = told?.votes.filter(({ message }) => message.entries[0]?.except.length === 0) ?? [];
    expect(new Set(whole.map(({ proof }) => proof.seal.signer as number))).toEqual(new Set([0, 1, 2]));
  });
});

describe("a witness whose word is not backed, and that is asked again every second", () => {
  test("takes no more memory by its twentieth word than by its first", () => {
    const made: Participant[] = [];
    const seat = newcomer({
      makeParticipant: (options) => {
        made.push(new Participant(options));
        return made[0] ?? new Participant(options);
      },
    });
    for (let time = 0; time < 20; time++) tell(seat, 3, [claimOf(X, [certificate(X, 0, [3])])]);
    expect(seat.core.status().mayVote).toBe(false);
    const shown = made.flatMap((each) => [...each.shown.values()].flatMap((words) => [...words.values()].flat()));
    expect(shown).toHaveLength(1);
  });
});
