import { describe, expect, test } from "bun:test";
import { toHash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { QcRef, Tc } from "./messages.ts";
import { type Ballot, rulesOf } from "./rules.ts";

const ref = (view: number): QcRef => ({ view: view as View, block: toHash(new Uint8Array(32).fill(view)) });

function ballot(view: number, justify: number, changes: Partial<Ballot> = {}): Ballot {
  const digest = toHash(new Uint8Array(32));
  const block = { view: view as View, justify: ref(justify), sequence: 1 as Sequence, digest, absences: [] };
  return { block, tc: null, lastView: (view - 1) as View, lock: ref(0), extendsLock: true, ...changes };
}

/** The highest certificate that each of a quorum named. */
function timeouts(view: number, ...highs: readonly number[]): Tc {
  const seal = { signer: 0 as ValidatorIndex, leafCount: 1, signature: { mlDsa: new Uint8Array(0), ed25519: null } };
  const proof = { seal, leafIndex: 0, path: [] };
  return { view: view as View, timeouts: highs.map((high) => ({ high: ref(high), proof })) };
}

describe("three phases (Algorithm 4, safeNode)", () => {
  const { mayVote } = rulesOf(3);

  test("no second vote in a view, nor one in a view that was given up", () => {
    expect(mayVote(ballot(5, 4))).toBe(true);
    expect(mayVote(ballot(5, 4, { lastView: 5 as View }))).toBe(false);
    expect(mayVote(ballot(5, 4, { lastView: 6 as View }))).toBe(false);
  });

  test("what extends the lock, or shows a certificate above it, and nothing else", () => {
    const lock = ref(3);
    expect(mayVote(ballot(9, 3, { lock, extendsLock: true }))).toBe(true);
    expect(mayVote(ballot(9, 4, { lock, extendsLock: false }))).toBe(true);
    expect(mayVote(ballot(9, 3, { lock, extendsLock: false }))).toBe(false);
    expect(mayVote(ballot(9, 2, { lock, extendsLock: false }))).toBe(false);
  });
});

describe("two phases (Jolteon)", () => {
  const { mayVote } = rulesOf(2);

  test("the view after the certificate's needs no more", () => {
    expect(mayVote(ballot(5, 4))).toBe(true);
    expect(mayVote(ballot(5, 4, { lastView: 5 as View }))).toBe(false);
  });

  test("any other needs a time-out certificate of the view before, and a certificate as high as all in it", () => {
    expect(mayVote(ballot(6, 4))).toBe(false);
    expect(mayVote(ballot(6, 4, { tc: timeouts(5, 4, 3, 3) }))).toBe(true);
    expect(mayVote(ballot(6, 3, { tc: timeouts(5, 3, 3, 4) }))).toBe(false);
    expect(mayVote(ballot(7, 4, { tc: timeouts(5, 3, 3, 3) }))).toBe(false);
  });
});

describe("a chain", () => {
  test("is of direct parents only: a gap breaks it", () => {
    for (const phases of [2, 3] as const) {
      expect(rulesOf(phases).isDirect(5 as View, 4 as View)).toBe(true);
      expect(rulesOf(phases).isDirect(6 as View, 4 as View)).toBe(false);
    }
  });
});
