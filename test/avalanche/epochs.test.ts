import { describe, expect, test } from "bun:test";
import { made, NETWORK, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import type { CoreOptions } from "../../src/consensus/avalanche/core.ts";
import type { DagCertificate, DagClaim, DagOpen } from "../../src/consensus/dag-engine.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../src/crypto/signature.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import type { Votes } from "../../src/dag/votes.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Signed } from "../../src/membership/seal.ts";
import { VALIDATORS_MAX } from "../../src/membership/validator-set.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import { networkOf } from "../cluster/signing.ts";
import { Seat } from "./seat.ts";

/** Validator 0 in the second epoch of four, or as a newcomer to it; the first one's four are 0 to 3. */
function newcomer(open: readonly HeldBundle[], changes: Partial<CoreOptions> = {}): Seat {
  const restored = {
    lanes: NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis })),
    open: open.map((held): DagOpen => ({ held, place: "open", accepted: [], rejected: [], certified: [] })),
  };
  return new Seat({ network: networkOf(4, { epoch: 1 }), previous: NETWORK.set, restored, ...changes });
}

function certificate(epoch: number, changes: Partial<DagCertificate> = {}): DagCertificate {
  return { epoch: epoch as Epoch, place: true, vertices: [0], votes: [], ...changes };
}

interface Word {
  readonly epoch?: number;
  readonly isLast?: boolean;
  readonly passed?: readonly number[];
}

function tell(seat: Seat, from: number, claims: readonly DagClaim[], word: Word = {}): void {
  const { epoch = 1, isLast = true, passed = [0] } = word;
  seat.event({
    kind: "dag-claims",
    from: from as ValidatorIndex,
    epoch: epoch as Epoch,
    passed: passed as readonly Epoch[],
    claims,
    isLast,
  });
}

function isFinal(held: HeldBundle): DagClaim {
  return { bundle: held.ref.digest, state: "accepted", undecided: [], rejected: [], certified: [] };
}

function isCertified(held: HeldBundle, epoch = 0): DagClaim {
  const certified = [certificate(epoch)];
  return { bundle: held.ref.digest, state: "certified", undecided: [], rejected: [], certified };
}

function mayVote(seat: Seat): boolean {
  return seat.core.status().mayVote;
}

const [X, Y] = [1, 2].map((creator) => made({ creator, payloads: [vertex(`v${creator}`, "k")] })) as [
  HeldBundle,
  HeldBundle,
];

describe("a witness that settled a bundle and crashed", () => {
  test("is heard as one that knows it to be certified, though it has no row and no vote of it any more", () => {
    // X is final at 1, which crashed; 2 committed and crashed as well: neither can show the votes.
    const seat = newcomer([X, Y]);
    tell(seat, 1, [isFinal(X)]);
    tell(seat, 3, []);
    tell(seat, 0, []);
    expect(mayVote(seat)).toBe(false);
    tell(seat, 2, [isCertified(X)]);
    expect(mayVote(seat)).toBe(true);
    expect(seat.core.claimOf(X.ref.digest, true)?.certified).toMatchObject([certificate(0)]);
  });

  test("is not heard while its bundle is not here", () => {
    const seat = newcomer([Y]);
    tell(seat, 1, [isFinal(X)]);
    tell(seat, 2, []);
    tell(seat, 3, []);
    expect(mayVote(seat)).toBe(false);
  });

  test("needs no witness for what became final here meanwhile", () => {
    const seat = newcomer([X, Y]);
    tell(seat, 0, []);
    tell(seat, 1, [isFinal(X)]);
    tell(seat, 3, []);
    expect(mayVote(seat)).toBe(false);
    seat.votes("commit", X, [1, 2, 3]);
    seat.wait(100);
    expect(mayVote(seat)).toBe(true);
  });
});

describe("a word in several pages", () => {
  test("counts only where its first page was said after the epoch's end, too", () => {
    const seat = newcomer([X, Y]);
    for (const from of [0, 3]) tell(seat, from, []);
    tell(seat, 1, [isCertified(X)], { epoch: 0, isLast: false });
    tell(seat, 1, [], { epoch: 1 });
    expect(mayVote(seat)).toBe(false);
    tell(seat, 1, [], { epoch: 1, isLast: false });
    tell(seat, 1, [], { epoch: 1 });
    expect(mayVote(seat)).toBe(true);
  });
});

describe("votes that a liar shows", () => {
  test("do not make a certificate larger than one that can be written", () => {
    const seat = newcomer([X, Y]);
    const votes = (from: number, count: number, digest = X.ref.digest): readonly Signed<Votes>[] =>
      Array.from({ length: count }, (_, at) => ({
        message: {
          kind: "votes",
          entries: [
            { level: "accept", bundle: digest, except: [] },
            { level: "accept", bundle: at.toString(16).padStart(64, "0") as Hash, except: [] },
          ],
        },
        proof: {
          seal: {
            signer: from as ValidatorIndex,
            leafCount: 1,
            signature: { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null },
          },
          leafIndex: 0,
          path: [],
        },
      }));
    const claim = (shown: readonly Signed<Votes>[]): DagClaim => ({
      bundle: X.ref.digest,
      state: "certified",
      undecided: [],
      rejected: [],
      certified: [certificate(0, { votes: shown })],
    });
    tell(seat, 3, [claim(votes(3, 2 * VALIDATORS_MAX))]);
    tell(seat, 1, [claim([1, 2, 3].flatMap((from) => votes(from, 1)))]);
    tell(seat, 0, []);
    expect(mayVote(seat)).toBe(true);
    const [kept] = seat.core.claimOf(X.ref.digest, true)?.certified ?? [];
    const signers = new Set(kept?.votes.map(({ proof }) => proof.seal.signer as number));
    expect(signers).toEqual(new Set([1, 2, 3]));
  });
});
