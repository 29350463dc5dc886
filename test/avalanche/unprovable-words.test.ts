import { describe, expect, test } from "bun:test";
import { made, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import type { CoreOptions } from "../../src/consensus/avalanche/core.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import type { DagCertificate, DagClaim, DagOpen } from "../../src/consensus/dag-engine.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../src/crypto/signature.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import { networkOf } from "../cluster/signing.ts";
import { Seat } from "./seat.ts";

/**
 * Seven validators. Vertex 1 of X was certified in the first epoch, and final there; 1 learned of that in the second one by what
 * others told, with the third vertex still open, and committed to X again. 5 and 6 are silent from then on.
 */

const X = made({ creator: 1, payloads: [vertex("u"), vertex("v", "k"), vertex("w", "m")] });
const SETS = [1, 0].map((epoch) => networkOf(7, { epoch }).set);

function seatIn(epoch: number, self: number, changes: Partial<CoreOptions> = {}): Seat {
  const network = networkOf(7, { epoch });
  const earlier = SETS.filter((set) => set.epoch < epoch);
  const lanes = network.set.roster.map(() => ({ nonce: 0 as Nonce, tip: network.genesis }));
  const open: DagOpen = { held: X, place: "open", accepted: [], rejected: [], certified: [PROVED] };
  return new Seat({
    network,
    self: self as ValidatorIndex,
    params: deriveParams(7),
    previous: earlier[0] ?? null,
    earlier: earlier.slice(1),
    restored: { lanes, open: [open], passed: [0 as Epoch] },
    remembersPrevious: true,
    ...changes,
  });
}

function say(seat: Seat, from: number, epoch: number, claims: readonly DagClaim[]): void {
  const passed = Array.from({ length: epoch }, (_, at) => at as Epoch);
  const word = { from: from as ValidatorIndex, epoch: epoch as Epoch, passed, claims, isLast: true };
  seat.event({ kind: "dag-claims", ...word });
}

const PROVED: DagCertificate = {
  epoch: 0 as Epoch,
  place: true,
  vertices: [0, 1],
  votes: [2, 3, 4, 5, 6].map((from) => ({
    message: { kind: "votes", entries: [{ level: "accept", bundle: X.ref.digest, except: [2] }] },
    proof: {
      seal: {
        signer: from as ValidatorIndex,
        leafCount: 1,
        signature: { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null },
      },
      leafIndex: 0,
      path: [],
    },
  })),
};

function claim(state: DagClaim["state"], certified: readonly DagCertificate[]): DagClaim {
  const undecided = state === "accepted" ? [2] : [0, 1, 2];
  return { bundle: X.ref.digest, state, undecided, rejected: [], certified };
}

/** Validator 1 at the end of the second epoch. */
function told(): Seat {
  const seat = seatIn(1, 1);
  for (const from of [2, 3, 4, 0]) say(seat, from, 1, []);
  expect(seat.core.status().mayVote).toBe(true);
  for (const from of [2, 5, 6]) say(seat, from, 1, [claim("accepted", [])]);
  seat.votes("accept", X, [2, 3, 4, 5, 6], [1, 2]);
  expect(seat.votedFor("commit", X, 1)).toBe(true);
  return seat;
}

describe("a witness that committed to what others told to be final", () => {
  test("does not call it certified in this epoch, of which it can show no votes; that it is final it says", () => {
    const seat = told();
    expect(seat.core.claimOf(X.ref.digest, true)).toMatchObject({
      state: "accepted",
      undecided: [2],
      certified: [
        { epoch: 0, place: true, vertices: [0, 1] },
        { epoch: 1, place: true, vertices: [0] },
      ],
    });
  });

  test("is heard at the next passage, though fewer than f + 1 say the same", () => {
    const before = told().core.handOver();
    const witness = seatIn(2, 1, { restored: before });
    const word = witness.core.claimOf(X.ref.digest, true);
    if (word === null) throw new Error("it has a word of what is open");
    const seat = seatIn(2, 0);
    say(seat, 1, 2, [word]);
    say(seat, 2, 2, [claim("accepted", [])]);
    expect(seat.core.status().mayVote).toBe(false);
    for (const from of [3, 4]) say(seat, from, 2, [claim("open", [PROVED])]);
    expect(seat.core.status().mayVote).toBe(true);
  });
});
