import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import type { ValidatorIndex } from "./ids.ts";
import { batch, candidateOf, formerly, from, idOf, lieOf, seen, stateOf } from "./membership.cases.ts";
import type { MembershipCommand } from "./membership-command.ts";

const LEAVE: MembershipCommand = { kind: "leave" };

describe("reports", () => {
  const report = (...observed: readonly ReturnType<typeof seen>[]): MembershipCommand => ({
    kind: "report",
    observations: observed,
  });
  const LOW = { validPpm: 600_000, uptimePpm: 600_000 };

  test("of a quorum deactivate whom they hold below 0.7", () => {
    const before = stateOf(4);
    const two = batch(before, from([0, 1], report(seen(3, LOW))));
    expect([two.changed, two.notes.map(({ result }) => result)]).toEqual([null, ["noted", "noted"]]);
    const { state, changed } = batch(two.state, from([2], report(seen(3, LOW))), 2);
    expect(changed?.removed).toEqual([{ nodeId: idOf(before, 3), why: "reputation" }]);
    expect(state.entries[3]).toMatchObject({ standing: "inactive", reputationPpm: 600_000 });
    expect(state.reports).toEqual([]);
  });

  test("keep whom they hold at 0.7 exactly, and say what they hold", () => {
    const { state, changed } = batch(stateOf(4), from([0, 1, 2], report(seen(3, { uptimePpm: 0 }))));
    expect(changed).toBeNull();
    expect(state.entries[3]).toMatchObject({ condemned: null, reputationPpm: 700_000 });
  });

  test("deactivate who was silent for more than five minutes", () => {
    const silent = (inactiveMs: number) => batch(stateOf(4), from([0, 1, 2], report(seen(3, { inactiveMs })))).changed;
    expect(silent(300_000)).toBeNull();
    expect(silent(300_001)?.removed).toMatchObject([{ why: "inactivity" }]);
  });

  test("of a convicted validator that stays for want of another do not count", () => {
    const { state } = batch(stateOf(5, { min: 5 }), [
      ...from([4], report(seen(3, LOW))),
      [0, { kind: "evidence", evidence: lieOf(networkOf(5), 4) }],
    ]);
    const low = batch(state, from([0, 1, 2], report(seen(3, LOW))), 2);
    expect(low.state.entries[3]).toMatchObject({ condemned: null, reputationPpm: 1_000_000 });
    expect(low.notes.map(({ result }) => result)).toEqual(["noted", "noted", "noted"]);
  });

  test("about oneself, or from one without a place, do not count", () => {
    const { state: left } = batch(stateOf(5), [[4, LEAVE]]);
    const { changed, notes } = batch(left, from([3, 4, 0, 1], report(seen(3, LOW))), 2);
    expect(changed).toBeNull();
    expect(notes.map(({ result }) => result)).toEqual(["ignored", "ignored", "noted", "noted"]);
  });

  test("replace each validator's former one", () => {
    const first = batch(stateOf(4), from([0, 1], report(seen(3, LOW))));
    const better = batch(first.state, from([0], report(seen(2), seen(3))), 2);
    expect(better.state.reports.map(({ reporter, observations }) => [reporter, observations.length])).toEqual([
      [0 as ValidatorIndex, 2],
      [1 as ValidatorIndex, 1],
    ]);
    expect(batch(better.state, from([2], report(seen(3))), 3).changed).toBeNull();
  });

  test("of a former epoch are dropped", () => {
    const low = batch(stateOf(5), from([0, 1, 2], report(seen(3, LOW))));
    const { state } = batch(low.state, [[4, LEAVE]], 2);
    expect(state.reports).toEqual([]);
    expect(batch(state, from([0], report(seen(3, LOW))), 3).changed).toBeNull();
  });

  test("that improve before anybody took the place let a validator stay", () => {
    const low = batch(stateOf(4, { min: 4 }), from([0, 1, 2], report(seen(3, LOW))));
    expect(low.state.entries[3]).toMatchObject({ standing: "active", condemned: "reputation" });
    const well = batch(low.state, from([0, 1], report(seen(3))), 2);
    expect(well.state.entries[3]).toMatchObject({ standing: "active", condemned: null });
  });

  test("send who was kept for want of another away by rotation", () => {
    const low = batch(stateOf(4, { min: 4 }), from([0, 1, 2], report(seen(3, LOW))));
    const { state, changed } = batch(low.state, from([0, 1, 2], { kind: "admit", candidate: candidateOf(1) }), 2);
    expect(changed?.removed).toMatchObject([{ why: "rotation" }]);
    expect(state.entries[3]?.standing).toBe("inactive");
  });

  test("of a former term say nothing of one who was admitted again", () => {
    const out = batch(stateOf(4), from([0, 1, 2], report(seen(3, LOW))));
    const back: MembershipCommand = { kind: "admit", candidate: formerly(out.state, 3) };
    const { state } = batch(out.state, from([0, 1], back), 2);
    expect(state.entries[3]).toMatchObject({ standing: "active", reputationPpm: 1_000_000 });
  });
});
