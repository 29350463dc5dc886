import { describe, expect, test } from "bun:test";
import { Solo } from "../../../test/cluster/solo.ts";
import { batchDigest } from "../../dag/batch.ts";
import type { Epoch, Sequence, View } from "../../membership/ids.ts";
import type { CheckpointCertificate } from "../engine.ts";
import { RECEIVE_WINDOW } from "./limits.ts";
import type { PreparedCertificate } from "./messages.ts";
import { statementOf } from "./statements.ts";

const DIGEST = batchDigest({ timestampMs: 1, bundles: [] });
const LIE = batchDigest({ timestampMs: 2, bundles: [] });

function stableOf(solo: Solo, sequence: number, signers: readonly number[]): CheckpointCertificate {
  const statement = { phase: "checkpoint", view: 0, sequence, digest: DIGEST } as const;
  return {
    sequence: sequence as Sequence,
    stateDigest: DIGEST,
    epoch: 0 as Epoch,
    proofs: signers.map((from) => solo.proof(from, statement)),
  };
}

describe("section 4.4: certificates inside a view change are believed for their signatures, never for their bearer", () => {
  const solo = new Solo();
  const good = solo.certificate(0, 1, DIGEST);

  const cases: readonly (readonly [string, "accepted" | "malformed" | "invalid", readonly PreparedCertificate[]])[] = [
    ["a right certificate is taken", "accepted", [good]],
    ["too few prepares", "malformed", [{ ...good, prepares: good.prepares.slice(1) }]],
    ["one prepare twice", "malformed", [solo.certificate(0, 1, DIGEST, [1, 1])]],
    ["a prepare of the leader itself", "malformed", [solo.certificate(0, 1, DIGEST, [0, 1])]],
    ["a proposal of one who does not lead the view", "malformed", [{ ...good, view: 1 as View }]],
    [
      "a validator that does not exist",
      "malformed",
      [
        {
          ...good,
          prepares: good.prepares.map((proof) => ({
            ...proof,
            seal: { ...proof.seal, signer: 9 as typeof proof.seal.signer },
          })),
        },
      ],
    ],
    ["the view that is only asked for", "malformed", [solo.certificate(5, 1, DIGEST)]],
    ["another digest than was signed", "invalid", [{ ...good, digest: LIE }]],
    ["another sequence than was signed", "invalid", [{ ...good, sequence: 2 as Sequence }]],
    ["prepares of another view", "invalid", [{ ...solo.certificate(4, 1, DIGEST), prepares: good.prepares }]],
    ["two certificates for one place", "malformed", [good, good]],
    ["places out of order", "malformed", [solo.certificate(0, 2, DIGEST), good]],
    ["a place outside the window", "malformed", [solo.certificate(0, RECEIVE_WINDOW + 1, DIGEST)]],
    ["sequence 0", "malformed", [solo.certificate(0, 0, DIGEST)]],
  ];
  for (const [what, outcome, prepared] of cases) {
    test(`${what}: ${outcome}`, () => {
      expect(new Solo().deliver(3, solo.viewChange(5, prepared))).toBe(outcome);
    });
  }

  for (const [what, outcome, signers] of [
    ["a quorum", "accepted", [0, 1, 2]],
    ["too few", "malformed", [0, 1]],
    ["one of them twice", "malformed", [0, 1, 1]],
  ] as const) {
    test(`a stable checkpoint with ${what}: ${outcome}`, () => {
      expect(new Solo().deliver(3, solo.viewChange(1, [], stableOf(solo, 32, signers)))).toBe(outcome);
    });
  }

  test("a stable checkpoint with another state than was signed: invalid", () => {
    const stable = { ...stableOf(solo, 32, [0, 1, 2]), stateDigest: LIE };
    expect(new Solo().deliver(3, solo.viewChange(1, [], stable))).toBe("invalid");
  });

  test("a place at or below the stable checkpoint that the message itself shows: malformed", () => {
    const stable = stableOf(solo, 32, [0, 1, 2]);
    expect(new Solo().deliver(3, solo.viewChange(1, [solo.certificate(0, 32, DIGEST)], stable))).toBe("malformed");
    expect(new Solo().deliver(3, solo.viewChange(1, [solo.certificate(0, 33, DIGEST)], stable))).toBe("accepted");
  });
});

describe("section 4.4: a new view rests on a quorum of view changes", () => {
  const solo = new Solo({ self: 2 });
  const parts = [0, 1, 3].map((from) => [from, solo.viewChange(1)] as const);

  test("a quorum is taken, and every replica computes the obligations itself", () => {
    expect(new Solo({ self: 2 }).deliver(1, solo.newView(1, parts))).toBe("accepted");
  });

  test("too few, or one of them twice: malformed", () => {
    expect(new Solo({ self: 2 }).deliver(1, solo.newView(1, parts.slice(1)))).toBe("malformed");
    expect(new Solo({ self: 2 }).deliver(1, solo.newView(1, [...parts.slice(1), ...parts.slice(2)]))).toBe("malformed");
  });

  test("requests for another view: malformed", () => {
    const other = [...parts.slice(1), [0, solo.viewChange(2)] as const];
    expect(new Solo({ self: 2 }).deliver(1, solo.newView(1, other))).toBe("malformed");
  });

  test("a view change that its signer did not sign: invalid", () => {
    const message = solo.newView(1, parts);
    const [first, ...rest] = message.viewChanges;
    if (first === undefined) throw new Error("a view change");
    const rewritten = { ...first, message: solo.viewChange(1, [solo.certificate(0, 1, DIGEST)]) };
    expect(new Solo({ self: 2 }).deliver(1, { ...message, viewChanges: [rewritten, ...rest] })).toBe("invalid");
  });

  test("a certificate without enough signers inside one of them: malformed", () => {
    const certificate = solo.certificate(0, 1, DIGEST, [1]);
    const message = solo.newView(1, [[0, solo.viewChange(1, [certificate])], ...parts.slice(1)]);
    expect(new Solo({ self: 2 }).deliver(1, message)).toBe("malformed");
  });

  test("another sender than the view's leader, or view 0, is not listened to", () => {
    expect(new Solo({ self: 2 }).deliver(3, solo.newView(1, parts))).toBe("screened");
    expect(new Solo({ self: 2 }).deliver(0, solo.newView(0, parts))).toBe("screened");
  });
});

describe("what a signature says", () => {
  test("changes with everything that a view change shows", () => {
    const solo = new Solo();
    const messages = [
      solo.viewChange(1),
      solo.viewChange(2),
      solo.viewChange(1, [solo.certificate(0, 1, DIGEST)]),
      solo.viewChange(1, [solo.certificate(0, 1, LIE)]),
      solo.viewChange(1, [solo.certificate(0, 2, DIGEST)]),
      solo.viewChange(1, [], stableOf(solo, 32, [0, 1, 2])),
      solo.viewChange(1, [], stableOf(solo, 64, [0, 1, 2])),
    ];
    expect(new Set(messages.map((message) => statementOf(message).digest)).size).toBe(messages.length);
  });

  test("does not cover signature bytes: the same certificate of other signers is the same statement", () => {
    const solo = new Solo();
    const one = solo.viewChange(1, [solo.certificate(0, 1, DIGEST, [1, 2])]);
    const two = solo.viewChange(1, [solo.certificate(0, 1, DIGEST, [2, 3])]);
    expect(statementOf(one)).toEqual(statementOf(two));
  });
});
