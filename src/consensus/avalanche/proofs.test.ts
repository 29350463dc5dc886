import { describe, expect, test } from "bun:test";
import type { VoteEntry } from "../../dag/votes.ts";
import { votesFor } from "../../dag/votes.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { Random } from "../../sim/random.ts";
import type { DagCertificate } from "../dag-engine.ts";
import { NETWORK, noHash } from "./avalanche.cases.ts";
import { proofsOf, withoutRest } from "./proofs.ts";

const [BUNDLE, OTHER] = [noHash("1"), noHash("2")];
const VERTICES = 5;

function entry(random: Random): VoteEntry {
  return {
    level: random.below(4) === 0 ? "commit" : "accept",
    bundle: random.below(4) === 0 ? OTHER : BUNDLE,
    except: Array.from({ length: VERTICES }, (_, vertex) => vertex).filter(() => random.below(3) === 0),
  };
}

function votesOf(random: Random): DagCertificate["votes"] {
  return Array.from({ length: random.below(12) }, () => ({
    message: { kind: "votes", entries: Array.from({ length: 1 + random.below(3) }, () => entry(random)) },
    proof: {
      // Of six, two are no validators of that epoch.
      seal: { signer: random.below(6) as ValidatorIndex, leafCount: 1, signature: { mlDsa: NO_BYTES, ed25519: null } },
      leafIndex: 0,
      path: [],
    },
  }));
}

const NO_BYTES = new Uint8Array(0);

describe("proofs of a certificate", () => {
  test("are those that one finds by looking through all votes for each unit", () => {
    const random = Random.of(7, 7);
    let proven = 0;
    for (let time = 0; time < 2_000; time++) {
      const votes = votesOf(random);
      const isProven = proofsOf(NETWORK.set, BUNDLE, votes);
      for (const vertex of [null, ...Array.from({ length: VERTICES }, (_, at) => at)]) {
        const signers = votes
          .filter(({ message }) => votesFor(message, "accept", BUNDLE, vertex))
          .map(({ proof }) => proof.seal.signer)
          .filter((signer) => NETWORK.set.has(signer));
        const expected = new Set(signers).size >= NETWORK.set.quorum;
        expect(isProven(vertex)).toBe(expected);
        if (expected) proven += 1;
      }
    }
    expect(proven).toBeGreaterThan(1_000);
  });

  test("of an epoch whose validators are not known are none", () => {
    expect(proofsOf(undefined, BUNDLE, votesOf(Random.of(1, 1)))(null)).toBe(false);
  });
});

describe("what is kept of votes", () => {
  test("is of each signer the two messages that leave out least, and nothing about other bundles", () => {
    const [one] = votesOf(Random.of(3, 3));
    if (one === undefined) throw new Error("these votes are not empty");
    const vote = (signer: number, bundle: typeof BUNDLE, except: readonly number[]): typeof one => ({
      message: { kind: "votes", entries: [{ level: "accept", bundle, except }] },
      proof: { ...one.proof, seal: { ...one.proof.seal, signer: signer as ValidatorIndex } },
    });
    const said = [[0, 1, 2], [0, 1], [0], []].map((except) => vote(1, BUNDLE, except));
    const kept = withoutRest(BUNDLE, [...said, ...said, vote(1, OTHER, []), vote(2, BUNDLE, [0, 1, 2])]);
    expect(kept.map(({ message }) => message.entries[0]?.except.length)).toEqual([0, 1, 3]);
  });
});
