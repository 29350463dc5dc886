import { describe, expect, test } from "bun:test";
import { made, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import { Seat } from "./seat.ts";

const PARAMS = deriveParams(4, { concurrentPolls: 1, patienceMs: 600_000, resolveAfterMs: 600_001 });
const { beta, earlyBeta } = PARAMS;

const held = made({ creator: 1, payloads: [vertex("mine", "seat")] });
const rival = made({ creator: 2, payloads: [vertex("theirs", "seat")] });
const liar = 3;

function isVoted({ rounds, hasRival }: { readonly rounds: number; readonly hasRival: boolean }): boolean {
  const seat = new Seat({ params: PARAMS });
  seat.bundles(held, ...(hasRival ? [rival] : []));
  seat.poll(rounds, held, { liar, dissents: 0 });
  return [held, rival].some((each) => seat.votedFor("accept", each, 0));
}

describe("safe early commitment", () => {
  test("earlyBeta successes in a row are enough where no rival is known, and not one less", () => {
    expect(earlyBeta).toBeLessThan(beta);
    expect(isVoted({ rounds: earlyBeta - 1, hasRival: false })).toBe(false);
    expect(isVoted({ rounds: earlyBeta, hasRival: false })).toBe(true);
  });

  test("where one is known it takes beta of them", () => {
    expect(isVoted({ rounds: beta - 1, hasRival: true })).toBe(false);
    expect(isVoted({ rounds: beta, hasRival: true })).toBe(true);
  });

  test("a rival that comes in between ends the hurry", () => {
    const seat = new Seat({ params: PARAMS });
    seat.bundles(held);
    seat.poll(earlyBeta - 1, held, { liar, dissents: 0 });
    seat.bundles(rival);
    seat.poll(beta - earlyBeta, held, { liar, dissents: 0 });
    expect(seat.votedFor("accept", held, 0)).toBe(false);
    seat.poll(1, held, { liar, dissents: 0 });
    expect(seat.votedFor("accept", held, 0)).toBe(true);
  });
});
