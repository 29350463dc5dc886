import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import type { ValidatorIndex } from "./ids.ts";
import { batch, candidateOf, formerly, from, idOf, lieOf, seen, stateOf } from "./membership.cases.ts";
import type { MembershipCommand } from "./membership-command.ts";
import { validatorSetOf } from "./membership-state.ts";

const LEAVE: MembershipCommand = { kind: "leave" };

describe("reports", () => {
  const report = (...observed: readonly ReturnType<typeof seen>[]): MembershipCommand => ({
    kind: "report",
    observations: observed,
  });
  const LOW = { validPpm: 600_000, uptimePpm: 600_000 };

  test("of a quorum deactivate whom they hold below 0.7", () => {
    const before = stateOf(5);
    const three = batch(before, from([0, 1, 4], report(seen(3, LOW))));
    expect([three.changed, three.notes.map(({ result }) => result)]).toEqual([null, ["noted", "noted", "noted"]]);
    const { state, changed } = batch(three.state, from([2], report(seen(3, LOW))), 2);
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
    const silent = (inactiveMs: number) =>
      batch(stateOf(5), from([0, 1, 2, 4], report(seen(3, { inactiveMs })))).changed;
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
    const out = batch(stateOf(5), from([0, 1, 2, 4], report(seen(3, LOW))));
    const back: MembershipCommand = { kind: "admit", candidate: formerly(out.state, 3) };
    const { state } = batch(out.state, from([0, 1, 2], back), 2);
    expect(state.entries[3]).toMatchObject({ standing: "active", reputationPpm: 1_000_000 });
  });

  describe("never lower how many liars the set tolerates", () => {
    const silent = (...validators: number[]) =>
      report(...validators.map((index) => seen(index, { inactiveMs: 300_001 })));

    test("though a quorum reports two correct validators that were cut off, both stay, and vote on", () => {
      const before = stateOf(7, { min: 3 });
      const { state, changed } = batch(before, from([0, 1, 2, 3, 4], silent(5, 6)));
      expect(changed).toBeNull();
      expect(state.entries.slice(5).map(({ condemned }) => condemned)).toEqual(["inactivity", "inactivity"]);
      expect(validatorSetOf(state)).toEqual(validatorSetOf(before));
      expect(batch(state, [], 2).state).toBe(state);
    });

    test("and remove as many as f can spare", () => {
      const one = batch(stateOf(9, { min: 3 }), from([0, 1, 2, 3, 4, 5], silent(6, 7, 8)));
      expect(one.changed).toMatchObject({ removed: [{ why: "inactivity" }, { why: "inactivity" }], size: 7 });
      expect(one.state.entries[8]).toMatchObject({ standing: "active", condemned: "inactivity" });
      expect(batch(one.state, [], 2).changed).toBeNull();
    });

    test("but whom a newcomer replaces in the same change goes", () => {
      const { state } = batch(stateOf(7, { min: 3 }), from([0, 1, 2, 3, 4], silent(5, 6)));
      const { changed } = batch(state, from([0, 1, 2, 3, 4], { kind: "admit", candidate: candidateOf(1) }), 2);
      expect(changed).toMatchObject({ added: [candidateOf(1).nodeId], removed: [{ why: "rotation" }], size: 7 });
    });

    test("also where evidence lowers it in the same batch: who is badly thought of is weighed again after it", () => {
      const before = stateOf(7, { min: 3 });
      const lie: MembershipCommand = { kind: "evidence", evidence: lieOf(networkOf(7), 4) };
      const { state, changed } = batch(before, [...from([0, 1, 2, 3, 6], silent(5)), [0, lie]]);
      expect(changed).toMatchObject({ removed: [{ nodeId: idOf(before, 4), why: "evidence" }], size: 6 });
      const rest = batch(state, [], 2);
      expect(rest.changed).toMatchObject({ removed: [{ nodeId: idOf(before, 5), why: "inactivity" }], size: 5 });
    });
  });
});
