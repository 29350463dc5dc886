import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import { present } from "../lib/assert.ts";
import { batch, candidateOf, from, idOf, lieOf, stateOf } from "./membership.cases.ts";
import type { MembershipCommand } from "./membership-command.ts";
import { type MembershipState, validatorSetOf } from "./membership-state.ts";
import { quorumSize } from "./quorum.ts";
import { removalsMax } from "./rotation.ts";

const LEAVE: MembershipCommand = { kind: "leave" };
const activeOf = (state: MembershipState): readonly number[] => validatorSetOf(state).indices();

describe("one change", () => {
  test("leaves a quorum of the old set, whatever its size from three on", () => {
    for (let size = 3; size <= 200; size++) {
      expect(size - removalsMax(size)).toBeGreaterThanOrEqual(quorumSize(size));
    }
    expect([1, 3, 4, 6, 7, 10].map(removalsMax)).toEqual([1, 1, 1, 1, 2, 3]);
  });

  test("removes at most f; the rest goes after the next batches, also without commands, by the f of then", () => {
    const first = batch(stateOf(10), from([2, 4, 5, 7, 8, 9], LEAVE));
    expect(first.notes.map(({ result }) => result)).toEqual(Array.from({ length: 6 }, () => "applied" as const));
    expect([first.changed?.size, activeOf(first.state)]).toEqual([7, [0, 1, 3, 6, 7, 8, 9]]);
    const second = batch(first.state, [], 2);
    expect(second.changed).toMatchObject({ epoch: 2, added: [], removed: [{ why: "left" }, { why: "left" }], size: 5 });
    const third = batch(second.state, [], 3);
    expect([third.changed?.epoch as number | undefined, activeOf(third.state)]).toEqual([3, [0, 1, 3, 6]]);
    expect(batch(third.state, [], 4)).toEqual({ state: third.state, changed: null, notes: [] });
  });

  test("removes the convicted first, and whoever has to wait counts for the next set", () => {
    const before = stateOf(4);
    const lie: MembershipCommand = { kind: "evidence", evidence: lieOf(networkOf(4), 3) };
    const { state, changed } = batch(before, [...from([0], LEAVE), [1, lie]]);
    expect(changed).toMatchObject({ removed: [{ nodeId: idOf(before, 3), why: "evidence" }], size: 3, quorum: 2 });
    expect(present(state.entries[0], "the leaver")).toMatchObject({ standing: "active", condemned: "left" });
    expect(activeOf(batch(state, [], 2).state)).toEqual([1, 2]);
  });

  test("adds without a bound but the maximum, which those who have to wait still count for", () => {
    const joiners = [1, 2, 3, 4].flatMap((seed) =>
      from([0, 1, 2], { kind: "admit", candidate: candidateOf(seed) } satisfies MembershipCommand),
    );
    const wide = batch(stateOf(4, { max: 8 }), joiners);
    expect(wide.changed).toMatchObject({ removed: [], size: 8 });
    const { state: waiting } = batch(stateOf(4), joiners);
    const first = batch(waiting, from([0, 1, 2], LEAVE), 2);
    expect([activeOf(first.state), first.state.queue as readonly number[]]).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7],
    ]);
    const third = batch(batch(first.state, [], 3).state, [], 4);
    expect([activeOf(third.state), third.state.queue as readonly number[]]).toEqual([[3, 4, 5, 6], [7]]);
  });
});
