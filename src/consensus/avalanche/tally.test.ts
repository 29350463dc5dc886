import { describe, expect, test } from "bun:test";
import type { VoteEntry, Votes } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import { Tally } from "./tally.ts";

const BUNDLE = "a".repeat(64) as Hash;
const OTHER = "b".repeat(64) as Hash;

function votes(signer: number, ...entries: readonly VoteEntry[]): Signed<Votes> {
  const signature = { mlDsa: new Uint8Array(0), ed25519: null };
  const seal = { signer: signer as ValidatorIndex, leafCount: 1, signature };
  return { message: { kind: "votes", entries }, proof: { seal, leafIndex: 0, path: [] } };
}

function accept(except: readonly number[] = [], bundle = BUNDLE): VoteEntry {
  return { level: "accept", bundle, except };
}

function add(tally: Tally, signer: number, except: readonly number[] = []): boolean {
  return tally.add(signer as ValidatorIndex, except, votes(signer, accept(except)));
}

describe("a tally", () => {
  test("counts validators, never messages", () => {
    const tally = new Tally("accept", BUNDLE);
    expect([add(tally, 1), add(tally, 1), add(tally, 2)]).toEqual([true, false, true]);
    expect([tally.size, tally.full]).toEqual([2, 2]);
  });

  test("counts for a vertex only who does not leave it out", () => {
    const tally = new Tally("accept", BUNDLE);
    add(tally, 1);
    add(tally, 2, [0, 3]);
    add(tally, 3, [3]);
    expect([tally.count(0), tally.count(1), tally.count(3), tally.size]).toEqual([2, 3, 1, 3]);
  });

  test("adds up what one validator covers bit by bit, and never takes back", () => {
    const tally = new Tally("accept", BUNDLE);
    expect([add(tally, 1, [0, 1]), add(tally, 1, [1, 2]), add(tally, 1, [0, 1])]).toEqual([true, true, false]);
    expect([tally.count(0), tally.count(1), tally.count(2), tally.full]).toEqual([1, 0, 1, 0]);
    add(tally, 1, [0]);
    expect(tally.full).toBe(1);
  });

  test("counts nothing of a signer that a certificate, two messages of each, could not show", () => {
    const tally = new Tally("accept", BUNDLE);
    expect([add(tally, 1, [1, 2]), add(tally, 1, [0, 2]), add(tally, 1, [0, 1])]).toEqual([true, true, false]);
    expect(tally.count(2)).toBe(0);
    const shown = tally.newest(2).flatMap(({ message }) => message.entries.map(({ except }) => except));
    for (const vertex of [0, 1, 2])
      expect(tally.count(vertex)).toBe(shown.some((each) => !each.includes(vertex)) ? 1 : 0);
  });

  test("shows of each signer a message that votes for the very unit at the very level", () => {
    const tally = new Tally("accept", BUNDLE);
    const first = votes(2, { level: "commit", bundle: BUNDLE, except: [] }, accept([5], OTHER), accept([0, 1]));
    const second = votes(2, accept([0]));
    tally.add(2 as ValidatorIndex, [0, 1], first);
    tally.add(2 as ValidatorIndex, [0], second);
    add(tally, 1);
    expect(tally.proofs(null).map(({ proof }) => proof.seal.signer as number)).toEqual([1, 2]);
    expect(tally.proofs(1).at(-1)).toBe(second);
    expect(tally.proofs(0).map(({ proof }) => proof.seal.signer as number)).toEqual([1]);
  });
});
