import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { networkOf } from "../../../test/cluster/signing.ts";
import { ZERO_HASH } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import { FAILURES_MAX, leadersOf, mayLead } from "./leaders.ts";
import type { Absence, Block } from "./messages.ts";

const { set } = networkOf(4);
const leaders = leadersOf("reputation");

function blockOf(view: number, absences: readonly Absence[] = []): Block {
  const justify = { view: (view - 1) as View, block: ZERO_HASH };
  return { view: view as View, justify, sequence: 1 as Sequence, digest: ZERO_HASH, absences };
}

const absence = (validator: number, failures: number, until: number): Absence => {
  return { validator: validator as ValidatorIndex, failures, until: until as View };
};

function next(parent: Block, view: number, author: number): readonly Absence[] {
  return leaders.absencesOf(set, parent, { view: view as View, author: author as ValidatorIndex });
}

/** The block of the next view that somebody among these leads; views of others pass by time-outs. */
function lead(
  parent: Block,
  isUp: (validator: ValidatorIndex) => boolean,
): { readonly block: Block; readonly timeouts: number } {
  const elected = leaders.electedOn(set, parent);
  if (isUp(elected)) return { block: blockOf(parent.view + 1, next(parent, parent.view + 1, elected)), timeouts: 0 };
  // Votes for the parent reached nobody who could make a certificate of them; its view is given up, and they come then.
  let view = parent.view + 1;
  while (!isUp(leaders.afterTimeout(set, view as View))) view += 1;
  const author = leaders.afterTimeout(set, view as View);
  return { block: blockOf(view, next(parent, view, author)), timeouts: view - parent.view };
}

describe("round robin", () => {
  test("is what it was, whatever a record says", () => {
    const parent = blockOf(6, [absence(3, 1, 99)]);
    expect(leadersOf("round-robin").electedOn(set, parent)).toBe(3 as ValidatorIndex);
    expect(leadersOf("round-robin").absencesOf(set, parent, { view: 9 as View, author: 1 as ValidatorIndex })).toEqual(
      [],
    );
  });
});

describe("reputation", () => {
  test("lets everybody lead in turn while nobody fails", () => {
    let block = blockOf(0);
    const led: number[] = [];
    for (let made = 0; made < 8; made++) {
      led.push(leaders.electedOn(set, block));
      block = lead(block, () => true).block;
      expect(block.absences).toEqual([]);
    }
    expect(led).toEqual([1, 2, 3, 0, 1, 2, 3, 0]);
  });

  test("leaves out for four rounds who failed, for twice as long each time, and forgives with successes", () => {
    expect(next(blockOf(6), 8, 0)).toEqual([absence(3, 1, 7 + 16)]);
    expect(next(blockOf(30, [absence(3, 1, 23)]), 32, 0)).toEqual([absence(3, 2, 31 + 32)]);
    expect(next(blockOf(30, [absence(3, 3, 23)]), 31, 3)).toEqual([absence(3, 2, 23)]);
    expect(next(blockOf(30, [absence(3, 1, 23)]), 31, 3)).toEqual([]);
  });

  test("blames the elected one whose votes a quorum waited for in vain, though the chain has no gap", () => {
    const parent = blockOf(7);
    const [elected, byTheRound] = [leaders.electedOn(set, parent), leaders.afterTimeout(set, 8 as View)];
    expect([Number(elected), Number(byTheRound)]).toEqual([0, 1]);
    expect(next(parent, 8, byTheRound)).toEqual([absence(0, 1, 8 + 16)]);
    expect(next(parent, 8, elected)).toEqual([]);
  });

  test("blames nobody for more failed views in a row than there can be faulty leaders", () => {
    expect(next(blockOf(6), 9, 2).map(({ validator }) => Number(validator))).toEqual([1, 3]);
    expect(next(blockOf(6), 10, 3)).toEqual([]);
  });

  test("who may lead is the elected one, and by the round whose turn it is after a time-out", () => {
    const parent = blockOf(7, [absence(3, 1, 40)]);
    const turn = (view: number, author: number): ReturnType<typeof mayLead> =>
      mayLead(leaders, set, parent, { view: view as View, author: author as ValidatorIndex });
    expect(Number(leaders.electedOn(set, parent))).toBe(2);
    expect([0, 1, 2, 3].map((author) => turn(8, author))).toEqual([null, "after-timeout", "elected", null]);
    expect([0, 1, 2, 3].map((author) => turn(9, author))).toEqual([null, null, "after-timeout", null]);
  });

  test("never leaves out more than f, and always elects one of the set", () => {
    const records = fc.uniqueArray(
      fc.record({ validator: fc.nat(6), failures: fc.integer({ min: 1, max: FAILURES_MAX }), until: fc.nat(400) }),
      { selector: ({ validator }) => validator },
    );
    const seven = networkOf(7).set;
    fc.assert(
      fc.property(records, fc.nat(200), (record, view) => {
        const absences = record
          .map(({ validator, failures, until }) => absence(validator, failures, until))
          .sort((left, right) => left.validator - right.validator);
        // 35 views: a multiple of whatever number of candidates there is.
        const elected = new Set(
          Array.from({ length: 35 }, (_, more) => {
            const fixed = absences.map((each) => ({ ...each, until: (each.until > view ? 1_000 : 0) as View }));
            return leaders.electedOn(seven, blockOf(view + more, fixed));
          }),
        );
        expect(elected.size).toBeGreaterThanOrEqual(7 - seven.faultTolerance);
        for (const each of elected) expect(seven.has(each)).toBe(true);
      }),
    );
  });

  test("a validator that is down costs a handful of time-outs in 200 views, and one in four by the round", () => {
    const timeouts = [0, 1, 2, 3].map((down) => {
      let block = blockOf(0);
      let count = 0;
      while (block.view < 200) {
        const led = lead(block, (validator) => validator !== down);
        block = led.block;
        count += led.timeouts;
      }
      return count;
    });
    expect(Math.max(...timeouts)).toBeLessThanOrEqual(12);
  });

  test("one that comes back leads again, after no more than four times as long as it was away", () => {
    let block = blockOf(0);
    while (block.view < 100) block = lead(block, (validator) => validator !== 2).block;
    while (leaders.electedOn(set, block) !== 2 && block.view < 400) block = lead(block, () => true).block;
    expect(block.view).toBeLessThan(400);
    for (let more = 0; more < 40; more++) block = lead(block, () => true).block;
    expect(block.absences).toEqual([]);
  });
});
