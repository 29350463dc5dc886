import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DecodeError } from "../../codec/reader.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import {
  type AvalancheMessage,
  decodeMessage,
  encodeMessage,
  isAvalancheBytes,
  isAvalancheMessage,
  statementOf,
} from "./messages.ts";

const [A, B, C] = ["a", "b", "c"].map((digit) => digit.repeat(64) as Hash) as [Hash, Hash, Hash];

const MESSAGES: Readonly<Record<AvalancheMessage["kind"], AvalancheMessage>> = {
  query: { kind: "query", poll: 7, lanes: [[A, B], [C]] },
  answer: {
    kind: "answer",
    to: 2 as ValidatorIndex,
    poll: 7,
    heads: [0, 1],
    dissents: [{ bundle: C, vertices: [1, 300] }],
  },
  votes: {
    kind: "votes",
    entries: [
      { level: "accept", bundle: A, except: [] },
      { level: "commit", bundle: B, except: [0, 9] },
    ],
  },
};

const GOLDEN: Readonly<Record<AvalancheMessage["kind"], string>> = {
  query: `4007000000000000000200000000000000${"0200000000000000"}${A}${B}${"0100000000000000"}${C}`,
  answer: `41020007000000000000000200000000000000${"0001"}0100000000000000${C}020000000000000001002c01`,
  votes: `42020000000000000000${A}000000000000000001${B}020000000000000000000900`,
};

describe("golden bytes", () => {
  for (const [kind, hex] of Object.entries(GOLDEN)) {
    test(`a ${kind}`, () => {
      expect(encodeMessage(MESSAGES[kind as AvalancheMessage["kind"]]).toHex()).toBe(hex);
    });
  }
});

describe("every encoding is the only one of its value, and nothing else is taken", () => {
  for (const [kind, message] of Object.entries(MESSAGES)) {
    const bytes = encodeMessage(message);

    test(`a ${kind} comes back as it was, and is told from what the ordered engine says`, () => {
      expect(decodeMessage(bytes)).toEqual(message);
      expect(isAvalancheBytes(bytes) && isAvalancheMessage(decodeMessage(bytes))).toBe(true);
    });

    test(`a ${kind} that is cut short or runs on is refused`, () => {
      for (let length = 1; length < bytes.length; length++) {
        expect(() => decodeMessage(bytes.subarray(0, length))).toThrow(DecodeError);
      }
      expect(() => decodeMessage(new Uint8Array([...bytes, 0]))).toThrow(DecodeError);
    });

    test(`a ${kind} with any bytes changed is refused, or is the one encoding of another value`, () => {
      const change = fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }));
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (edits) => {
          const changed = Uint8Array.from(bytes);
          for (const [at, by] of edits) changed[at] = (changed[at] ?? 0) ^ by;
          try {
            expect(encodeMessage(decodeMessage(changed))).toEqual(changed);
          } catch (error) {
            if (!(error instanceof DecodeError)) throw error;
          }
        }),
        { seed: 7 },
      );
    });
  }

  test("a tag that nobody uses is refused, and so is nothing at all", () => {
    expect(() => decodeMessage(new Uint8Array([67, 0, 0]))).toThrow(DecodeError);
    expect(() => decodeMessage(new Uint8Array(0))).toThrow(DecodeError);
  });
});

describe("what is signed", () => {
  test("changes with everything that a message says", () => {
    const { query, answer, votes } = MESSAGES;
    const others: readonly AvalancheMessage[] = [
      ...Object.values(MESSAGES),
      { ...query, poll: 8 } as AvalancheMessage,
      { ...query, lanes: [[A], [B, C]] } as AvalancheMessage,
      { ...answer, to: 3 } as AvalancheMessage,
      { ...answer, heads: [0, 2] } as AvalancheMessage,
      { ...answer, dissents: [] } as AvalancheMessage,
      { ...votes, entries: [{ level: "commit", bundle: A, except: [] }] } as AvalancheMessage,
      { ...votes, entries: [{ level: "accept", bundle: A, except: [] }] } as AvalancheMessage,
    ];
    const said = others.map((message) => JSON.stringify(statementOf(message)));
    expect(new Set(said).size).toBe(others.length);
  });

  test("an answer names whom it answers and what: it cannot be shown to another, or for another poll", () => {
    expect(statementOf(MESSAGES.answer)).toMatchObject({ phase: "answer", view: 2, sequence: 7 });
  });
});
