import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { networkOf } from "../../test/cluster/signing.ts";
import { decode, encode } from "../codec/codec.ts";
import { PENDING_PER_APPROVER_MAX } from "./approvals.ts";
import { batch, candidateOf, formerly, idOf, lieOf, seen, stateOf } from "./membership.cases.ts";
import type { MembershipCommand } from "./membership-command.ts";
import { isConvicted } from "./membership-entry.ts";
import {
  membershipDigest,
  type MembershipOutcome,
  type MembershipState,
  membershipStateCodec,
  validatorSetOf,
} from "./membership-state.ts";
import { faultTolerance } from "./quorum.ts";

const network = networkOf(12);

/** A command that is made for the state it meets: about this node of the roster, or a new one. */
interface Plan {
  readonly kind: MembershipCommand["kind"];
  readonly subject: number;
  readonly level: number;
}

const plan = fc.record<Plan>({
  kind: fc.constantFrom<MembershipCommand["kind"][]>(
    "evidence",
    "admit",
    "admit",
    "dismiss",
    "leave",
    "report",
    "report",
  ),
  subject: fc.nat(11),
  level: fc.nat(10),
});

/** A plan, carried out by the validators of the mask's bits, one command each. */
const batches = fc.array(fc.array(fc.record({ plan, mask: fc.nat(0xfff) }), { maxLength: 3 }), { maxLength: 14 });
const policies = fc.record({ size: fc.integer({ min: 1, max: 10 }), spare: fc.nat(3), room: fc.nat(2) });

function commandOf(state: MembershipState, { kind, subject, level }: Plan): MembershipCommand {
  const known = state.entries[subject];
  switch (kind) {
    case "evidence":
      return {
        kind,
        evidence: lieOf(network, subject, { epoch: Math.max(0, state.epoch - (level % 3)), view: level }),
      };
    case "admit":
      return { kind, candidate: known === undefined ? candidateOf(subject) : formerly(state, subject) };
    case "dismiss":
      return { kind, validator: known?.nodeId ?? candidateOf(subject).nodeId };
    case "leave":
      return { kind };
    case "report": {
      const changes = { validPpm: 100_000 * level, uptimePpm: 100_000 * level, inactiveMs: level === 10 ? 400_000 : 0 };
      const low = Array.from({ length: 12 }, (_, index) => seen(index, index % 4 === subject % 4 ? changes : {}));
      return { kind, observations: low };
    }
  }
}

/** Every step of a run, before and after. */
function run(
  start: MembershipState,
  plans: readonly (readonly { readonly plan: Plan; readonly mask: number }[])[],
  check: (before: MembershipState, outcome: MembershipOutcome) => void,
): void {
  let state = start;
  plans.forEach((steps, at) => {
    const commands = steps.flatMap(({ plan: step, mask }) => {
      const command = commandOf(state, step);
      const creators = Array.from({ length: 12 }, (_, index) => index).filter((index) => (mask >> index) % 2 === 1);
      return creators.map((creator) => [creator, command] as const);
    });
    const outcome = batch(state, commands, at + 1);
    check(state, outcome);
    state = outcome.state;
  });
}

/** Holds after every batch of every run. */
function always(check: (before: MembershipState, outcome: MembershipOutcome) => void): void {
  fc.assert(
    fc.property(policies, batches, ({ size, spare, room }, plans) => {
      run(stateOf(size, { min: Math.max(1, size - spare), max: size + room }), plans, check);
    }),
    { numRuns: 150 },
  );
}

const activeOf = (state: MembershipState): readonly number[] => validatorSetOf(state).indices();
const toleranceOf = (state: MembershipState): number => faultTolerance(validatorSetOf(state).size);

describe("in every run", () => {
  test("the set is never below the minimum nor above the maximum, and its quorum is that of its size", () => {
    always((_, { state, changed }) => {
      const { size, quorum } = validatorSetOf(state);
      expect(size).toBeGreaterThanOrEqual(state.policy.min);
      expect(size).toBeLessThanOrEqual(state.policy.max);
      if (changed !== null) expect([changed.size, changed.quorum]).toEqual([size, quorum]);
    });
  });

  test("a convicted validator never counts as sound again, and without a place never has one", () => {
    always((before, { state }) => {
      before.entries.forEach((entry, index) => {
        const after = state.entries[index];
        if (isConvicted(entry)) expect(after !== undefined && isConvicted(after)).toBe(true);
        if (entry.standing === "convicted") expect(after?.standing).toBe("convicted");
      });
    });
  });

  test("an index is one node's for ever", () => {
    always((before, { state }) => {
      expect(state.entries.slice(0, before.entries.length).map(({ nodeId }) => nodeId)).toEqual(
        before.entries.map(({ nodeId }) => nodeId),
      );
      const set = validatorSetOf(before);
      if (state.epoch === before.epoch) expect(validatorSetOf(state)).toEqual(set);
      expect(validatorSetOf(state).roster.slice(0, set.roster.length)).toEqual([...set.roster]);
    });
  });

  test("the epoch grows by one exactly when the active set changes, and the change is told in full", () => {
    always((before, { state, changed }) => {
      const [old, now] = [activeOf(before), activeOf(state)];
      const isSame = old.join() === now.join();
      expect(state.epoch - before.epoch).toBe(isSame ? 0 : 1);
      expect(changed === null).toBe(isSame);
      const ids = (indices: readonly number[]) => indices.map((index) => idOf(state, index));
      expect(changed?.added ?? []).toEqual(ids(now.filter((index) => !old.includes(index))));
      expect((changed?.removed ?? []).map(({ nodeId }) => nodeId)).toEqual(
        ids(old.filter((index) => !now.includes(index))),
      );
    });
  });

  test("what observers think never lowers how many liars the set tolerates", () => {
    always((before, { state, changed }) => {
      const isByOpinion = (changed?.removed ?? []).some(({ why }) => !["evidence", "dismissed", "left"].includes(why));
      if (isByOpinion) expect(toleranceOf(state)).toBeGreaterThanOrEqual(toleranceOf(before));
    });
  });

  test("those who remain of a set are a quorum of it, or all but one where it tolerates no lie", () => {
    always((before, { state, changed }) => {
      expect(changed?.removed.length ?? 0).toBeLessThanOrEqual(Math.max(1, toleranceOf(before)));
      const old = validatorSetOf(before);
      const remaining = old.indices().filter((index) => validatorSetOf(state).has(index)).length;
      if (old.size >= 3) expect(remaining).toBeGreaterThanOrEqual(old.quorum);
    });
  });

  test("whoever is condemned goes with later batches without a command, as far as the rules allow", () => {
    always((_, { state }) => {
      let last = state;
      const condemned = state.entries.filter((entry) => entry.condemned !== null).length;
      for (let at = 0; at <= condemned + state.queue.length; at++) last = batch(last, [], 100 + at).state;
      expect(batch(last, [], 999).changed).toBeNull();
      const size = activeOf(last).length;
      const causes = last.entries.flatMap((entry) => (entry.condemned === null ? [] : [entry.condemned]));
      if (causes.length > 0) expect(last.queue).toEqual([]);
      if (causes.length === 0 || size === last.policy.min) return;
      expect(causes.filter((cause) => cause !== "inactivity" && cause !== "reputation")).toEqual([]);
      expect(faultTolerance(size - 1)).toBeLessThan(faultTolerance(size));
    });
  });

  test("a state comes back from its bytes, and another state has another digest", () => {
    always((before, { state }) => {
      const bytes = encode(membershipStateCodec, state);
      const decoded = decode(membershipStateCodec, bytes);
      expect(decoded).toEqual(state);
      expect(membershipDigest(decoded)).toBe(membershipDigest(state));
      const isSame = Buffer.compare(encode(membershipStateCodec, before), bytes) === 0;
      expect(membershipDigest(before) === membershipDigest(state)).toBe(isSame);
      if (before === state) expect(isSame).toBe(true);
    });
  });

  test("every list is in its one order and within its bound", () => {
    always((_, { state }) => {
      const ascends = <T extends number | string>(values: readonly T[]): boolean =>
        values.every((value, at) => at === 0 || value > (values[at - 1] ?? value));
      expect(ascends(state.approvals.map(({ id }) => id))).toBe(true);
      expect(ascends(state.reports.map(({ reporter }) => reporter))).toBe(true);
      const active = activeOf(state);
      const waits = new Map<number, number>();
      for (const { approvals } of state.approvals) {
        expect(ascends(approvals.map(({ validator }) => validator))).toBe(true);
        for (const { validator } of approvals) {
          expect(active).toContain(validator);
          waits.set(validator, (waits.get(validator) ?? 0) + 1);
        }
      }
      for (const count of waits.values()) expect(count).toBeLessThanOrEqual(PENDING_PER_APPROVER_MAX);
      const standby = state.entries.flatMap(({ standing }, index) => (standing === "standby" ? [index] : []));
      expect([...state.queue].sort((left, right) => left - right) as number[]).toEqual(standby);
      for (const { standing, condemned } of state.entries) if (standing !== "active") expect(condemned).toBeNull();
    });
  });
});

describe("application", () => {
  test("gives the same for the same", () => {
    fc.assert(
      fc.property(batches, (plans) => {
        const outcomes: MembershipOutcome[][] = [[], []];
        for (const told of outcomes) {
          run(stateOf(5, { min: 3, max: 6 }), plans, (_, outcome) => told.push(outcome));
        }
        expect(outcomes[0]).toEqual(outcomes[1] ?? []);
      }),
      { numRuns: 50 },
    );
  });

  test("leaves its input as it was: a frozen state does", () => {
    always((before) => {
      const frozen = deepFreeze(decode(membershipStateCodec, encode(membershipStateCodec, before)));
      const everything = (["evidence", "admit", "dismiss", "leave", "report"] as const).flatMap((kind) =>
        [0, 1, 2].map((creator) => [creator, commandOf(frozen, { kind, subject: 1, level: 3 })] as const),
      );
      expect(() => batch(frozen, everything)).not.toThrow();
    });
  });

  test("is the same for a state from memory and one from its bytes", () => {
    always((before, outcome) => {
      const restored = decode(membershipStateCodec, encode(membershipStateCodec, before));
      const commands = [[0, commandOf(before, { kind: "leave", subject: 0, level: 0 })] as const];
      expect(batch(restored, commands, 99)).toEqual(batch(before, commands, 99));
      expect(outcome.notes.every(({ reason }) => reason !== "")).toBe(true);
    });
  });
});

describe("liars", () => {
  test("f of them cannot deactivate anyone whom honest reports hold above 0.7, in any order of reports", () => {
    const shares = fc.record({ validPpm: fc.integer({ min: 700_001, max: 1_000_000 }), uptimePpm: fc.nat(1_000_000) });
    const honestShare = shares.filter(({ validPpm, uptimePpm }) => 7 * validPpm + 3 * uptimePpm >= 7_000_000);
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 12 }),
        fc.array(honestShare, { minLength: 12, maxLength: 12 }),
        fc.infiniteStream(fc.nat(11)),
        (count, honest, order) => {
          const liars = new Set<number>();
          while (liars.size < faultTolerance(count)) liars.add(present(order.next().value) % count);
          const reports = Array.from({ length: count }, (_, reporter) => {
            const lie = { validPpm: 0, uptimePpm: 0, inactiveMs: 10_000_000 };
            const changes = liars.has(reporter) ? lie : (honest[reporter] ?? lie);
            const observations = Array.from({ length: count }, (_unused, index) => seen(index, changes));
            return [reporter, { kind: "report", observations }] as const;
          });
          const first = present(order.next().value) % count;
          let state = stateOf(count);
          [...reports.slice(first), ...reports.slice(0, first)].forEach((report, at) => {
            const outcome = batch(state, [report], at + 1);
            expect(outcome.changed).toBeNull();
            state = outcome.state;
          });
        },
      ),
      { numRuns: 100 },
    );
  });

  test("f of them cannot admit or dismiss anybody", () => {
    for (const count of [4, 7, 10]) {
      const state = stateOf(count, { max: count + 1 });
      const liars = Array.from({ length: faultTolerance(count) }, (_, index) => index);
      const commands = liars.flatMap((liar) =>
        (["admit", "dismiss"] as const).map(
          (kind) => [liar, commandOf(state, { kind, subject: 3, level: 0 })] as const,
        ),
      );
      expect(batch(state, commands).changed).toBeNull();
    }
  });
});

function present(value: number | undefined): number {
  if (value === undefined) throw new Error("an endless stream ended");
  return value;
}

function deepFreeze<T>(value: T): T {
  if (ArrayBuffer.isView(value) || typeof value !== "object" || value === null) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
