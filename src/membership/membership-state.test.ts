import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import { Bug, present } from "../lib/assert.ts";
import { APPROVAL_SEQUENCES_MAX, PENDING_PER_APPROVER_MAX } from "./approvals.ts";
import { type Evidence, evidenceOf } from "./evidence.ts";
import type { Epoch, ValidatorIndex } from "./ids.ts";
import { batch, candidateOf, formerly, from, idOf, lieOf, seen, stateOf } from "./membership.cases.ts";
import type { MembershipCommand } from "./membership-command.ts";
import { EVIDENCE_EPOCHS_MAX, type Standing } from "./membership-entry.ts";
import {
  earlierSetsOf,
  genesisMembership,
  type MembershipState,
  policyFault,
  validatorSetOf,
} from "./membership-state.ts";
import { VALIDATORS_MAX, type ValidatorSet } from "./validator-set.ts";

const network = networkOf(10);
const evidence = (signer: number, of: Evidence = lieOf(network, signer)): MembershipCommand => ({
  kind: "evidence",
  evidence: of,
});
const admit = (seed: number): MembershipCommand => ({ kind: "admit", candidate: candidateOf(seed) });
const LEAVE: MembershipCommand = { kind: "leave" };
const dismiss = (state: MembershipState, index: number): MembershipCommand => ({
  kind: "dismiss",
  validator: idOf(state, index),
});
const standingOf = (state: MembershipState, index: number): Standing | undefined => state.entries[index]?.standing;
const activeOf = (state: MembershipState): readonly number[] => validatorSetOf(state).indices();
const indices = (...values: number[]): ValidatorIndex[] => values as ValidatorIndex[];

/** The state so many epochs later, whatever else happened in them. */
const epochsLater = (state: MembershipState, epochs: number): MembershipState => ({
  ...state,
  epoch: (state.epoch + epochs) as Epoch,
});

describe("the first set", () => {
  test("is genesis' own", () => {
    const set = validatorSetOf(stateOf(4));
    expect([set.epoch, set.roster, set.indices()]).toEqual([0 as Epoch, networkOf(4).set.roster, indices(0, 1, 2, 3)]);
  });

  test("has from the minimum to the maximum of validators", () => {
    expect(policyFault({ min: 3, max: 10 }, 4)).toBeNull();
    for (const policy of [
      { min: 0, max: 4 },
      { min: 5, max: 10 },
      { min: 1, max: 3 },
      { min: 1, max: VALIDATORS_MAX + 1 },
    ]) {
      expect(policyFault(policy, 4)).toBeString();
      expect(() => genesisMembership(networkOf(4), policy, ["", "", "", ""])).toThrow(Bug);
    }
  });
});

describe("evidence", () => {
  test("removes its signer in the next epoch, and the quorum follows", () => {
    const before = stateOf(7);
    const { state, changed, notes } = batch(before, [[2, evidence(5)]]);
    expect(changed).toEqual({
      epoch: 1 as Epoch,
      added: [],
      removed: [{ nodeId: idOf(before, 5), why: "evidence" }],
      size: 6,
      quorum: 4,
    });
    expect(activeOf(state)).toEqual([0, 1, 2, 3, 4, 6]);
    expect(notes).toMatchObject([{ creator: 2 as ValidatorIndex, command: "evidence", result: "applied" }]);
  });

  test("convicts once: the same, or another against a convicted validator, is ignored", () => {
    const once = batch(stateOf(4), [
      [0, evidence(3)],
      [1, evidence(3)],
    ]);
    expect(once.notes.map(({ result }) => result)).toEqual(["applied", "ignored"]);
    const again = batch(once.state, [[1, evidence(3, lieOf(network, 3, { view: 9 }))]], 2);
    expect(again.notes).toMatchObject([{ result: "ignored" }]);
    expect(again.changed).toBeNull();
    expect(again.state).toBe(once.state);
  });

  test("convicts for ever: no approvals bring the key back", () => {
    const { state } = batch(stateOf(4), [[0, evidence(3)]]);
    const readmit: MembershipCommand = { kind: "admit", candidate: formerly(state, 3) };
    const { notes, changed } = batch(state, from([0, 1, 2], readmit), 2);
    expect(notes.map(({ result }) => result)).toEqual(["ignored", "ignored", "ignored"]);
    expect(changed).toBeNull();
  });

  test("may come from a validator without a place, and stops counting what the convict says in the same batch", () => {
    const { state: left } = batch(stateOf(5), [[4, LEAVE]]);
    expect(batch(left, [[4, evidence(3)]], 2).notes).toMatchObject([{ result: "applied" }]);
    const { notes } = batch(left, [[0, evidence(3)], ...from([3], admit(1))], 2);
    expect(notes).toMatchObject([{ result: "applied" }, { result: "ignored" }]);
  });

  test("against one who left convicts too, within its terms and no others", () => {
    const { state: left } = batch(stateOf(4), [[3, LEAVE]]);
    const none = batch(left, [[0, evidence(3, lieOf(network, 3, { epoch: 1 }))]], 2);
    expect(none.notes[0]?.reason).toContain("not active in epoch 1");
    const { state, changed } = batch(left, [[0, evidence(3)]], 2);
    expect(standingOf(state, 3)).toBe("convicted");
    expect(changed).toBeNull();
  });

  test("reaches a former term of one who came back", () => {
    const { state: left } = batch(stateOf(4), [[3, LEAVE]]);
    const readmit: MembershipCommand = { kind: "admit", candidate: formerly(left, 3) };
    const { state: back } = batch(left, from([0, 1], readmit), 2);
    expect(back.entries[3]).toMatchObject({ standing: "active", activeSinceEpoch: 2, lastActiveEpoch: null });
    const later = epochsLater(back, 1);
    const verdict = (epoch: number): string =>
      batch(later, [[0, evidence(3, lieOf(network, 3, { epoch }))]], 3).notes[0]?.result ?? "";
    expect([0, 1, 2, 3, 4].map(verdict)).toEqual(["applied", "ignored", "applied", "applied", "ignored"]);
  });

  test("reaches no gap between two terms", () => {
    let state = batch(stateOf(4, { max: 5 }), from([0, 1, 2], admit(1))).state;
    state = batch(state, [[4, LEAVE]], 2).state;
    state = batch(state, from([0, 1, 2], admit(1)), 3).state;
    expect(state.entries[4]).toMatchObject({ activeSinceEpoch: 3, formerTerms: [{ since: 1, until: 1 }] });
    const verdict = (epoch: number): string =>
      batch(state, [[0, evidence(4, lieOf(network, 4, { epoch }))]], 4).notes[0]?.result ?? "";
    expect([0, 1, 2, 3].map(verdict)).toEqual(["ignored", "applied", "ignored", "applied"]);
  });

  test("reaches no term that is forgotten, so that the terms are bounded", () => {
    const { state: left } = batch(stateOf(4), [[3, LEAVE]]);
    const back: MembershipCommand = { kind: "admit", candidate: formerly(left, 3) };
    const terms = (epochs: number) =>
      batch(epochsLater(left, epochs), from([0, 1], back), 2).state.entries[3]?.formerTerms;
    expect(terms(EVIDENCE_EPOCHS_MAX - 2)).toHaveLength(1);
    expect(terms(EVIDENCE_EPOCHS_MAX)).toEqual([]);
  });

  test("against one who waits ends its waiting and what waited about it", () => {
    const { state } = batch(stateOf(4), from([0, 1, 2], admit(1)));
    const fork = evidence(4, lieOf(network, 4, { phase: "bundle" }));
    const { state: after } = batch(state, [...from([0], dismiss(state, 4)), [0, fork]], 2);
    expect([after.queue, after.approvals, standingOf(after, 4)]).toEqual([[], [], "convicted"]);
  });

  test("expires", () => {
    const verdict = (epochs: number): string =>
      batch(epochsLater(stateOf(4), epochs), [[0, evidence(3)]]).notes[0]?.result ?? "";
    expect(verdict(EVIDENCE_EPOCHS_MAX)).toBe("applied");
    expect(verdict(EVIDENCE_EPOCHS_MAX + 1)).toBe("ignored");
  });

  test("of two bundles convicts whoever has a lane, in every epoch", () => {
    const { first, second } = lieOf(network, 3, { phase: "bundle" });
    const fork = evidenceOf(9 as Epoch, { first, second });
    const { notes } = batch(epochsLater(stateOf(4), 2 * EVIDENCE_EPOCHS_MAX), [[0, evidence(3, fork)]]);
    expect(notes).toMatchObject([{ result: "applied" }]);
  });

  test("against a stranger is ignored", () => {
    expect(batch(stateOf(4), [[0, evidence(8)]]).notes).toMatchObject([{ result: "ignored" }]);
  });
});

describe("a newcomer", () => {
  test("is admitted by a quorum, with the next index and in the next epoch", () => {
    const before = stateOf(4, { max: 5 });
    const two = batch(before, from([0, 1], admit(1)));
    expect(two.changed).toBeNull();
    expect(two.notes.map(({ result, reason }) => [result, reason])).toEqual([
      ["noted", "1 of 3 approvals"],
      ["noted", "2 of 3 approvals"],
    ]);
    const { state, changed, notes } = batch(two.state, from([3], admit(1)), 2);
    expect(notes).toMatchObject([{ result: "applied" }]);
    expect(changed).toEqual({ epoch: 1 as Epoch, added: [candidateOf(1).nodeId], removed: [], size: 5, quorum: 4 });
    expect(validatorSetOf(state).indexOf(candidateOf(1).nodeId)).toBe(4 as ValidatorIndex);
    expect(state.entries[4]).toMatchObject({ address: candidateOf(1).address, activeSinceEpoch: 1 });
    expect(state.approvals).toEqual([]);
  });

  test("is not admitted by one validator's approvals, however many", () => {
    const { state, changed } = batch(stateOf(4, { max: 5 }), from([0, 0, 0, 0], admit(1)));
    expect(changed).toBeNull();
    expect(state.approvals[0]?.approvals).toHaveLength(1);
  });

  test("is not admitted by who is not active, nor by approvals of who no longer is", () => {
    const approved = batch(stateOf(7, { max: 8 }), from([3, 4], admit(1)));
    const gone = batch(approved.state, from([3, 4], LEAVE), 2);
    expect(gone.state.approvals).toEqual([]);
    const { notes, changed } = batch(gone.state, [...from([3, 4], admit(1)), ...from([0], admit(1))], 3);
    expect(notes.map(({ result }) => result)).toEqual(["ignored", "ignored", "noted"]);
    expect(changed).toBeNull();
  });

  test("is admitted by approvals of one and the same candidate only", () => {
    const moved: MembershipCommand = { kind: "admit", candidate: { ...candidateOf(1), address: "elsewhere:1" } };
    const { changed } = batch(stateOf(4, { max: 5 }), [...from([0, 1], admit(1)), ...from([2, 3], moved)]);
    expect(changed).toBeNull();
  });

  test("waits for a free place in the order of admission, outside the roster of the epoch", () => {
    const full = stateOf(4);
    const { state, changed } = batch(full, [...from([0, 1, 2], admit(7)), ...from([0, 1, 2], admit(2))]);
    expect(changed).toBeNull();
    expect([4, 5].map((index) => standingOf(state, index))).toEqual(["standby", "standby"]);
    expect(validatorSetOf(state).roster).toEqual(validatorSetOf(full).roster);
    const freed = batch(state, [[1, LEAVE]], 2);
    expect(freed.changed).toMatchObject({ added: [candidateOf(7).nodeId], size: 4 });
    expect(activeOf(freed.state)).toEqual([0, 2, 3, 4]);
    expect(standingOf(freed.state, 5)).toBe("standby");
    expect(validatorSetOf(freed.state).roster).toHaveLength(6);
  });

  test("that waits for a place waits for no approvals", () => {
    const moved: MembershipCommand = { kind: "admit", candidate: { ...candidateOf(1), address: "elsewhere:1" } };
    const { state } = batch(stateOf(4), [...from([3], moved), ...from([0, 1, 2], admit(1))]);
    expect([state.approvals, state.queue]).toEqual([[], [4 as ValidatorIndex]]);
  });

  test("and its approvals keep no memory of the bundle that named it", () => {
    const within = new Uint8Array(100_000).fill(2);
    const candidate = { ...candidateOf(1), publicKeys: { mlDsa: within.subarray(0, 2592), ed25519: null } };
    const { state } = batch(stateOf(4), from([0, 1, 2], { kind: "admit", candidate }));
    expect(state.entries[4]?.publicKeys.mlDsa.buffer.byteLength).toBe(2592);
    const { state: waiting } = batch(stateOf(4), from([0], { kind: "admit", candidate }));
    const [pending] = waiting.approvals;
    if (pending?.change.kind !== "admit") throw new Error("an admission waits");
    expect(pending.change.candidate.publicKeys.mlDsa.buffer.byteLength).toBe(2592);
  });

  test("that waits, or is active, is not admitted twice", () => {
    const { state } = batch(stateOf(4), from([0, 1, 2], admit(1)));
    const known: MembershipCommand = { kind: "admit", candidate: formerly(state, 2) };
    const { notes } = batch(state, [...from([0], admit(1)), ...from([0], known)], 2);
    expect(notes.map(({ result }) => result)).toEqual(["ignored", "ignored"]);
  });

  test("finds no place in a full roster", () => {
    const state = stateOf(4);
    const one = present(state.entries[0], "a validator");
    const full = { ...state, entries: [...state.entries, ...Array.from({ length: VALIDATORS_MAX - 4 }, () => one)] };
    expect(batch(full, from([1], admit(1))).notes).toMatchObject([{ result: "ignored" }]);
  });
});

describe("approvals", () => {
  test("expire", () => {
    const { state } = batch(stateOf(4, { max: 5 }), from([0, 1], admit(1)), 10);
    const inTime = batch(state, from([2], admit(1)), 10 + APPROVAL_SEQUENCES_MAX);
    expect(inTime.changed).not.toBeNull();
    const late = batch(state, from([2], admit(1)), 11 + APPROVAL_SEQUENCES_MAX);
    expect(late.notes).toMatchObject([{ result: "noted", reason: "1 of 3 approvals" }]);
    expect(batch(state, [], 11 + APPROVAL_SEQUENCES_MAX).state.approvals).toEqual([]);
  });

  test("renewed count from then on", () => {
    const { state } = batch(stateOf(4, { max: 5 }), from([0, 1], admit(1)), 10);
    const renewed = batch(state, from([0, 1], admit(1)), 20);
    expect(batch(renewed.state, from([2], admit(1)), 20 + APPROVAL_SEQUENCES_MAX).changed).not.toBeNull();
  });

  test("that wait are few for each validator", () => {
    const many = Array.from({ length: PENDING_PER_APPROVER_MAX + 1 }, (_, seed) => [0, admit(seed)] as const);
    const { state, notes } = batch(stateOf(4), many);
    expect(notes.map(({ result }) => result)).toEqual([
      ...Array.from({ length: PENDING_PER_APPROVER_MAX }, () => "noted" as const),
      "ignored",
    ]);
    expect(batch(state, from([0], admit(0)), 2).notes).toMatchObject([{ result: "noted" }]);
    expect(batch(state, from([1], admit(PENDING_PER_APPROVER_MAX)), 2).notes).toMatchObject([{ result: "noted" }]);
  });

  test("suffice as soon as a smaller set makes them a quorum", () => {
    const { state } = batch(stateOf(5), from([0, 1, 2], admit(1)));
    const shrunk = batch(state, [[4, LEAVE]], 2);
    expect(shrunk.changed).toMatchObject({ added: [], size: 4, quorum: 3 });
    expect(batch(shrunk.state, [], 3).changed).toMatchObject({
      epoch: 2 as Epoch,
      added: [candidateOf(1).nodeId],
      size: 5,
    });
  });
});

describe("a validator", () => {
  test("is dismissed by a quorum, and comes back by one under its old index", () => {
    const before = stateOf(5);
    const out = batch(before, from([0, 1, 2, 4], dismiss(before, 3)));
    expect(out.changed).toMatchObject({ removed: [{ nodeId: idOf(before, 3), why: "dismissed" }], size: 4 });
    expect(standingOf(out.state, 3)).toBe("dismissed");
    const back: MembershipCommand = { kind: "admit", candidate: formerly(before, 3) };
    const { state, changed } = batch(out.state, from([0, 1, 2], back), 2);
    expect(changed).toMatchObject({ epoch: 2 as Epoch, added: [idOf(before, 3)] });
    expect(activeOf(state)).toEqual([0, 1, 2, 3, 4]);
    expect(state.entries).toHaveLength(5);
  });

  test("is not dismissed by fewer, and no stranger or absent one is dismissed at all", () => {
    const before = stateOf(5);
    expect(batch(before, from([0, 1, 2], dismiss(before, 3))).changed).toBeNull();
    const { state } = batch(before, [[3, LEAVE]]);
    const stranger: MembershipCommand = { kind: "dismiss", validator: candidateOf(1).nodeId };
    const { notes } = batch(state, [...from([0], dismiss(state, 3)), ...from([0], stranger)], 2);
    expect(notes.map(({ result }) => result)).toEqual(["ignored", "ignored"]);
  });

  test("that waits is dismissed from the queue", () => {
    const { state } = batch(stateOf(4), from([0, 1, 2], admit(1)));
    const out = batch(state, from([0, 1, 2], dismiss(state, 4)), 2);
    expect([out.state.queue, standingOf(out.state, 4), out.changed]).toEqual([[], "dismissed", null]);
  });

  test("leaves at once, and once", () => {
    const before = stateOf(4);
    const { state, changed, notes } = batch(before, from([2, 2], LEAVE));
    expect(changed?.removed).toEqual([{ nodeId: idOf(before, 2), why: "left" }]);
    expect(notes.map(({ result }) => result)).toEqual(["applied", "ignored"]);
    expect(standingOf(state, 2)).toBe("left");
    expect(batch(state, from([2], LEAVE), 2).notes).toMatchObject([{ result: "ignored" }]);
  });

  test("that leaves is not dismissed later by approvals from before", () => {
    const before = stateOf(5);
    const { state } = batch(before, [...from([0, 1], dismiss(before, 3)), [3, LEAVE]]);
    expect(state.approvals).toEqual([]);
  });
});

describe("several changes of one batch", () => {
  test("make one next epoch", () => {
    const before = stateOf(7);
    const { changed, state } = batch(before, [[0, evidence(5)], [6, LEAVE], ...from([0, 1, 2, 3, 4], admit(1))]);
    expect(changed).toEqual({
      epoch: 1 as Epoch,
      added: [candidateOf(1).nodeId],
      removed: [
        { nodeId: idOf(before, 5), why: "evidence" },
        { nodeId: idOf(before, 6), why: "left" },
      ],
      size: 6,
      quorum: 4,
    });
    expect(activeOf(state)).toEqual([0, 1, 2, 3, 4, 7]);
  });

  test("that undo each other make none", () => {
    const before = stateOf(4);
    const stay: MembershipCommand = { kind: "admit", candidate: formerly(before, 2) };
    const { changed, state } = batch(before, [[2, LEAVE], ...from([0, 1, 3], stay)]);
    expect(changed).toBeNull();
    expect(state.entries).toEqual(before.entries);
  });
});

describe("at the minimum", () => {
  test("a removal waits, its reason is kept, and happens when somebody takes the place", () => {
    const before = stateOf(4, { min: 4, max: 4 });
    const kept = batch(before, [[0, evidence(3)]]);
    expect(kept.changed).toBeNull();
    expect(kept.state.entries[3]).toMatchObject({ standing: "active", condemned: "evidence" });
    const { state, changed } = batch(kept.state, from([0, 1, 2], admit(1)), 2);
    expect(changed).toMatchObject({ added: [candidateOf(1).nodeId], removed: [{ why: "evidence" }], size: 4 });
    expect(standingOf(state, 3)).toBe("convicted");
  });

  test("a convicted validator that stays has no say in who comes", () => {
    const { state } = batch(stateOf(4, { min: 4 }), [[0, evidence(3)]]);
    expect(batch(state, from([3], admit(1)), 2).notes).toMatchObject([{ result: "ignored" }]);
  });

  test("the convicted leave first, though others were condemned before", () => {
    const { state: waiting } = batch(stateOf(4, { min: 4 }), [[1, LEAVE]]);
    const { state } = batch(waiting, [[0, evidence(3)]], 2);
    expect(state.entries.map(({ condemned }) => condemned)).toEqual([null, "left", null, "evidence"]);
    const { changed } = batch(state, from([0, 1, 2], admit(1)), 3);
    expect(changed?.removed).toEqual([{ nodeId: idOf(state, 3), why: "evidence" }]);
  });

  test("a more urgent reason takes the place of another, and none a less urgent one", () => {
    const low: MembershipCommand = { kind: "report", observations: [seen(3, { validPpm: 0 })] };
    const reasonAfter = (...commands: Parameters<typeof batch>[1]) =>
      batch(batch(stateOf(4, { min: 4 }), from([0, 1, 2], low)).state, commands, 2).state.entries[3]?.condemned;
    const out = from([0, 1, 2], dismiss(stateOf(4), 3));
    expect(reasonAfter()).toBe("reputation");
    expect(reasonAfter([3, LEAVE])).toBe("left");
    expect(reasonAfter([3, LEAVE], ...out)).toBe("dismissed");
    expect(reasonAfter(...out, [3, LEAVE])).toBe("dismissed");
    expect(reasonAfter(...out, [0, evidence(3)], [3, LEAVE], ...out)).toBe("evidence");
    expect(reasonAfter([3, LEAVE], ...from([0, 1, 2], low))).toBe("left");
  });

  test("who would have gone may be kept by a quorum, a convicted one not", () => {
    const { state } = batch(stateOf(4, { min: 4 }), [
      [1, LEAVE],
      [0, evidence(3)],
    ]);
    const keep = (index: number): MembershipCommand => ({ kind: "admit", candidate: formerly(state, index) });
    const kept = batch(state, [...from([0, 1, 2], keep(1)), ...from([0], keep(3))], 2);
    expect(kept.notes.map(({ result }) => result)).toEqual(["noted", "noted", "applied", "ignored"]);
    expect(kept.state.entries[1]).toMatchObject({ standing: "active", condemned: null });
  });
});

describe("the sets of the epochs before", () => {
  test("are those that there were, also of validators that left and came back", () => {
    let state = stateOf(4, { max: 5 });
    const sets: ValidatorSet[] = [];
    const step = (commands: Parameters<typeof batch>[1]): void => {
      sets.unshift(validatorSetOf(state));
      const { epoch } = state;
      state = batch(state, commands, epoch + 1).state;
      expect<number>(state.epoch).toBe(epoch + 1);
    };
    for (let round = 0; round < 20; round++) {
      step(from([0, 1, 2], round === 0 ? admit(1) : { kind: "admit", candidate: formerly(state, 4) }));
      step([[4, LEAVE]]);
    }
    const members = (all: readonly ValidatorSet[]) => all.map((set) => [set.epoch, set.quorum, set.indices()]);
    expect(members(earlierSetsOf(state))).toEqual(members(sets));
  });
});
