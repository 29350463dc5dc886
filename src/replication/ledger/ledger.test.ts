import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../../crypto/identity.ts";
import { Ledger } from "./ledger.ts";
import { Owners } from "./owners.ts";
import { encodeTransfer, type Transfer } from "./transfer.ts";

const nodeOf = (digit: string): NodeId => digit.repeat(64) as NodeId;
const NAMES = ["a", "b", "c"] as const;
const OWNERS = new Owners(NAMES.map((name) => ({ name, nodeId: nodeOf(name) })));
const ACCOUNTS = ["a/x", "a/y", "b/x", "c/x"] as const;
const OPENING = new Map([
  ["a/x", 100n],
  ["b/x", 50n],
]);

function ledger(waitingMax?: number): Ledger {
  const limit = waitingMax === undefined ? {} : { waitingMax };
  return new Ledger({ accounts: OPENING, owners: OWNERS, ...limit });
}

function offer(to: Ledger, transfer: Transfer): ReturnType<Ledger["apply"]> {
  return to.apply(encodeTransfer(transfer), nodeOf(transfer.from.charAt(0)));
}

const transferOf = (from: string, number: number, to: string, amount: bigint): Transfer => ({
  from,
  to,
  amount,
  number,
});

/** A run of numbers for each account, now and then with a gap or more than there is: at most one transfer of a number. */
const acceptedSet: fc.Arbitrary<readonly Transfer[]> = fc
  .tuple(
    ...ACCOUNTS.map((from) => {
      const others = ACCOUNTS.filter((name) => name !== from);
      const entry = fc.record({
        to: fc.constantFrom(...others),
        amount: fc.oneof({ weight: 4, arbitrary: fc.bigInt(1n, 20n) }, { weight: 1, arbitrary: fc.bigInt(1n, 120n) }),
        isLeftOut: fc.nat(19).map((value) => value === 0),
      });
      return fc
        .array(entry, { maxLength: 10 })
        .map((entries) =>
          entries.flatMap(({ to, amount, isLeftOut }, index) =>
            isLeftOut ? [] : [transferOf(from, index + 1, to, amount)],
          ),
        );
    }),
  )
  .map((lists) => lists.flat());

/** The same state found in the slowest way: go round until nothing moves. */
function naive(transfers: readonly Transfer[]): Record<string, readonly [balance: bigint, applied: number]> {
  const state: Record<string, [bigint, number]> = {};
  for (const name of ACCOUNTS) state[name] = [OPENING.get(name) ?? 0n, 0];
  for (let moved = true; moved; ) {
    moved = false;
    for (const { from, to, amount, number } of transfers) {
      const sender = state[from];
      const receiver = state[to];
      if (sender === undefined || receiver === undefined) throw new Error("an account of the test");
      if (number !== sender[1] + 1 || sender[0] < amount) continue;
      sender[0] -= amount;
      sender[1] = number;
      receiver[0] += amount;
      moved = true;
    }
  }
  return state;
}

function stateOf(of: Ledger): Record<string, readonly [balance: bigint, applied: number]> {
  return Object.fromEntries(
    ACCOUNTS.map((name) => {
      const account = of.account(name);
      return [name, [account?.balance ?? 0n, account?.applied ?? 0]];
    }),
  );
}

/** What a node does when a dropped transfer is due. */
function replayWhileWanted(of: Ledger, transfers: readonly Transfer[]): number {
  let rounds = 0;
  for (; of.wantsReplay(); rounds++) {
    if (rounds > transfers.length) throw new Error("a replay that gets nowhere");
    of.onReplay();
    for (const transfer of transfers) offer(of, transfer);
  }
  return rounds;
}

describe("a ledger", () => {
  test("ends in one state whatever the order of arrival, the one that a naive search finds", () => {
    const orders = acceptedSet.chain((set) =>
      fc.tuple(fc.constant(set), fc.shuffledSubarray([...set], { minLength: set.length })),
    );
    fc.assert(
      fc.property(orders, ([set, shuffled]) => {
        const [one, other] = [ledger(), ledger()];
        for (const transfer of set) offer(one, transfer);
        for (const transfer of shuffled) offer(other, transfer);
        expect(stateOf(one)).toEqual(naive(set));
        expect(stateOf(other)).toEqual(stateOf(one));
        expect(other.stateDigest()).toBe(one.stateDigest());
      }),
      { numRuns: 2_000 },
    );
  });

  test("with room for two that wait comes to the same state by applying all once more", () => {
    const orders = acceptedSet.chain((set) =>
      fc.tuple(fc.constant(set), fc.shuffledSubarray([...set], { minLength: set.length })),
    );
    let replays = 0;
    fc.assert(
      fc.property(orders, ([set, shuffled]) => {
        const small = ledger(2);
        for (const [at, transfer] of shuffled.entries()) {
          offer(small, transfer);
          replays += replayWhileWanted(small, shuffled.slice(0, at + 1));
        }
        expect(stateOf(small)).toEqual(naive(set));
        for (const name of ACCOUNTS) expect(small.account(name)?.waiting.length ?? 0).toBeLessThanOrEqual(2);
      }),
      { numRuns: 2_000 },
    );
    expect(replays).toBeGreaterThan(0);
  });

  test("makes and loses no unit, and no balance goes below zero", () => {
    fc.assert(
      fc.property(acceptedSet, (set) => {
        const of = ledger();
        for (const transfer of set) {
          offer(of, transfer);
          const balances = ACCOUNTS.map((name) => of.account(name)?.balance ?? 0n);
          expect(balances.every((balance) => balance >= 0n)).toBe(true);
          expect(balances.reduce((sum, balance) => sum + balance, 0n)).toBe(of.total);
        }
      }),
    );
  });

  test("tells sets that end differently apart by their digests", () => {
    fc.assert(
      fc.property(acceptedSet, acceptedSet, (left, right) => {
        const [one, other] = [ledger(), ledger()];
        for (const transfer of left) offer(one, transfer);
        for (const transfer of right) offer(other, transfer);
        const isSame = Bun.deepEquals(stateOf(one), stateOf(other));
        expect(one.stateDigest() === other.stateDigest()).toBe(isSame);
      }),
    );
  });

  test("lets the first of two with one number win, which only an accomplice of its owner could make final", () => {
    const of = ledger();
    expect(offer(of, transferOf("a/x", 1, "b/x", 60n))).toEqual({ kind: "applied" });
    expect(offer(of, transferOf("a/x", 1, "c/x", 60n))).toMatchObject({ kind: "rejected" });
    expect(offer(of, transferOf("a/x", 3, "c/x", 1n))).toMatchObject({ kind: "waiting" });
    expect(offer(of, transferOf("a/x", 3, "b/x", 1n))).toMatchObject({ kind: "rejected" });
    expect(stateOf(of)["a/x"]).toEqual([40n, 1]);
  });

  test("says what a transfer waits for, and lets all that waited go in one step", () => {
    const of = ledger();
    expect(offer(of, transferOf("c/x", 1, "a/y", 30n))).toEqual({ kind: "waiting", reason: "c/x has 0 of 30" });
    expect(offer(of, transferOf("a/y", 1, "b/x", 30n)).kind).toBe("waiting");
    expect(offer(of, transferOf("a/x", 2, "c/x", 10n))).toEqual({
      kind: "waiting",
      reason: "number 1 of a/x comes first",
    });
    expect(of.account("c/x")?.waiting.map(({ number }) => number)).toEqual([1]);
    expect(of.count()).toBe(2);
    expect(offer(of, transferOf("a/x", 1, "c/x", 20n)).kind).toBe("applied");
    expect(stateOf(of)).toEqual({ "a/x": [70n, 2], "a/y": [0n, 1], "b/x": [80n, 0], "c/x": [0n, 1] });
    expect(of.count()).toBe(4);
  });

  test("knows nothing of an account that was never named", () => {
    expect(ledger().account("a/z")).toBeNull();
  });

  test("rejects what another node than the owner says, and what is no transfer", () => {
    const of = ledger();
    const payload = encodeTransfer(transferOf("a/x", 1, "b/x", 1n));
    expect(of.apply(payload, nodeOf("b"))).toMatchObject({ kind: "rejected", reason: expect.stringContaining("owns") });
    expect(of.apply(payload.subarray(1), nodeOf("a")).kind).toBe("rejected");
    expect(stateOf(of)).toEqual(naive([]));
  });

  test("of a thousand and more accounts has a digest over all of them", () => {
    const accounts = new Map(Array.from({ length: 1_001 }, (_, index) => [`a/n${index}`, 1n]));
    const digestOf = (of: ReadonlyMap<string, bigint>): string =>
      new Ledger({ accounts: of, owners: OWNERS }).stateDigest();
    const digest = digestOf(accounts);
    expect(digestOf(new Map([...accounts].reverse()))).toBe(digest);
    for (const name of ["a/n0", "a/n1000"]) expect(digestOf(new Map([...accounts, [name, 2n]]))).not.toBe(digest);
  });
});
