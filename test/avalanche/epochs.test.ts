import { describe, expect, test } from "bun:test";
import { lane, made, NETWORK, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import type { CoreOptions } from "../../src/consensus/avalanche/core.ts";
import { OPEN_OF_CREATOR_MAX } from "../../src/consensus/avalanche/limits.ts";
import type { DagCertificate, DagClaim, DagOpen } from "../../src/consensus/dag-engine.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../src/crypto/signature.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import type { Votes } from "../../src/dag/votes.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Signed } from "../../src/membership/seal.ts";
import { VALIDATORS_MAX, ValidatorSet } from "../../src/membership/validator-set.ts";
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

/** Validator 0 of the first epoch with what it heard, as it was when its process ended, and again from its disk. */
function crashed(before: Seat, open: readonly HeldBundle[]): Seat {
  const rows = new Map<string, Uint8Array>();
  for (const effect of before.effects) {
    if (effect.kind !== "persist") continue;
    for (const { key, value } of effect.writes) {
      if (value === null) rows.delete(key);
      else rows.set(key, value);
    }
  }
  return new Seat({
    rows: [...rows].map(([key, value]) => ({ key, value })),
    restored: {
      lanes: NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis })),
      open: open.map((held): DagOpen => ({ held, place: "open", accepted: [], rejected: [], certified: [] })),
    },
  });
}

/** What it says of a bundle to who asks it in the second epoch. */
function wordOf(witness: Seat, held: HeldBundle): DagClaim {
  const restored = witness.core.handOver();
  const network = networkOf(4, { epoch: 1 });
  const later = new Seat({ network, previous: NETWORK.set, restored, remembersPrevious: true });
  const word = later.core.claimOf(held.ref.digest, true);
  expect(word).not.toBeNull();
  return word ?? isFinal(held);
}

describe("a witness that committed where nobody contests, and crashed", () => {
  test("proves it with the votes on its disk: one silent liar beside it stops no epoch", () => {
    const plain = made({ creator: 1 });
    const before = new Seat();
    before.bundles(plain);
    before.votes("accept", plain, [0, 1, 2]);
    expect(before.votedFor("commit", plain, 0)).toBe(true);
    const word = wordOf(crashed(before, [plain]), plain);
    const seat = newcomer([plain]);
    for (const from of [2, 3]) tell(seat, from, []);
    expect(mayVote(seat)).toBe(false);
    tell(seat, 1, [word]);
    expect(mayVote(seat)).toBe(true);
    expect(seat.core.claimOf(plain.ref.digest, true)?.certified).toMatchObject([{ epoch: 0, place: true }]);
  });
});

describe("a witness that knows of a certificate by a descendant's voters alone", () => {
  test("says nothing of it, since it can show nobody, and is heard", () => {
    const [parent, child] = lane(1, 2) as [HeldBundle, HeldBundle];
    const before = new Seat();
    before.bundles(parent, child);
    before.votes("accept", child, [1, 2, 3]);
    expect(before.core.claimOf(parent.ref.digest)?.state).toBe("certified");
    expect(before.votedFor("commit", parent, 0)).toBe(false);
    const seat = newcomer([parent, child]);
    for (const from of [2, 3]) tell(seat, from, []);
    tell(seat, 1, [wordOf(before, parent), wordOf(before, child)]);
    expect(mayVote(seat)).toBe(true);
    expect(seat.core.claimOf(parent.ref.digest, true)?.certified).toEqual([]);
    expect(seat.core.claimOf(child.ref.digest, true)?.certified).toMatchObject([{ epoch: 0, place: true }]);
  });
});

describe("a liar that filled its lane with forks before the epoch ended", () => {
  const forks = Array.from({ length: OPEN_OF_CREATOR_MAX }, (_, at) =>
    made({ creator: 1, payloads: [vertex(`fork ${at}`)] }),
  );
  const committed = made({ creator: 1, payloads: [vertex("the one that the others saw")] });

  test("does not keep out the branch that a witness proves, and so the witness is heard", () => {
    const before = new Seat();
    before.bundles(committed);
    before.votes("accept", committed, [1, 2, 3]);
    const word = wordOf(before, committed);
    const seat = newcomer(forks);
    for (const from of [0, 3]) tell(seat, from, []);
    for (const isHeard of [false, true]) {
      seat.bundles(committed);
      tell(seat, 2, [word]);
      expect(mayVote(seat)).toBe(isHeard);
    }
  });

  test("gets no room for another fork by naming it again and again: a name is one word, as those that it said of the others", () => {
    const more = made({ creator: 1, payloads: [vertex("one more")] });
    const seat = newcomer(forks);
    // It names as many others first: each of them has its word, too.
    tell(seat, 1, forks.map(isFinal));
    for (let time = 0; time < 3; time++) {
      tell(seat, 1, [isCertified(more)]);
      seat.bundles(more);
    }
    expect(seat.core.claimOf(more.ref.digest)).toBeNull();
  });
});

describe("a validator that left the set and came back", () => {
  // The first epoch's four, the second one's three, of whom none came to vote; in the third, 3 is silent.
  const without = new ValidatorSet(1 as Epoch, NETWORK.set.roster, [1, 2, 3] as ValidatorIndex[]);

  test("is its own witness of the epoch in which it was one", () => {
    for (const remembersPrevious of [false, true]) {
      const network = networkOf(4, { epoch: 2 });
      const seat = newcomer([X], { network, previous: without, earlier: [NETWORK.set], remembersPrevious });
      for (const from of [1, 2]) tell(seat, from, [], { epoch: 2, passed: [0] });
      expect(mayVote(seat)).toBe(remembersPrevious);
    }
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
