import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../../crypto/identity.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import type { ClientId } from "../command.ts";
import { type CommandContext, CommandRejected, QueryRefused } from "../replicated.ts";
import { AMOUNT_MAX } from "./amount.ts";
import {
  decodeLedgerReceipt,
  encodeLedgerCommand,
  isLedgerRefusal,
  type LedgerCommand,
  refusedAt,
} from "./ledger-command.ts";
import { decodeLedgerAnswer, encodeLedgerQuestion, type LedgerAnswer, type LedgerQuestion } from "./ledger-query.ts";
import { OrderedLedger, type OrderedLedgerOptions } from "./ordered-ledger.ts";
import { Owners } from "./owners.ts";

const nodeOf = (owner: string): NodeId => owner.charCodeAt(0).toString(16).repeat(32) as NodeId;
const OWNERS = new Owners(["a", "b", "c"].map((name) => ({ name, nodeId: nodeOf(name) })));
const OPENING: ReadonlyMap<string, bigint> = new Map([
  ["a/x", 100n],
  ["b/x", 50n],
]);

function ledgerOf(options: Partial<OrderedLedgerOptions> = {}): OrderedLedger {
  return new OrderedLedger({ accounts: OPENING, owners: OWNERS, ...options });
}

function contextOf(creator: NodeId): CommandContext {
  return {
    position: 1 as Position,
    sequence: 1 as Sequence,
    timestampMs: 0,
    creator,
    client: "0".repeat(32) as ClientId,
    number: 1,
    seed: new Uint8Array(32),
  };
}

/** The receipt, or the reason with what the detail says. */
function run(ledger: OrderedLedger, command: LedgerCommand | Uint8Array, by: string): unknown {
  try {
    const body = command instanceof Uint8Array ? command : encodeLedgerCommand(command);
    return decodeLedgerReceipt(ledger.apply(body, contextOf(nodeOf(by))));
  } catch (error) {
    if (!(error instanceof CommandRejected)) throw error;
    expect(isLedgerRefusal(error.message)).toBe(true);
    const at = refusedAt(error.detail);
    return at === null ? error.message : [error.message, at];
  }
}

function ask<K extends LedgerQuestion["kind"]>(
  ledger: OrderedLedger,
  question: Extract<LedgerQuestion, { kind: K }>,
): Extract<LedgerAnswer, { kind: K }> {
  return decodeLedgerAnswer(ledger.query(encodeLedgerQuestion(question))) as Extract<LedgerAnswer, { kind: K }>;
}

const transfer = (from: string, to: string, amount: bigint, number: number | null = null): LedgerCommand => ({
  kind: "transfer",
  from,
  to,
  amount,
  number,
});
const approve = (account: string, spender: string, amount: bigint, expected: bigint | null = null): LedgerCommand => ({
  kind: "approve",
  account,
  spender,
  amount,
  expected,
});
const transferFrom = (spender: string, from: string, to: string, amount: bigint): LedgerCommand => ({
  kind: "transfer-from",
  spender,
  from,
  to,
  amount,
});

function copied(chunks: Iterable<Uint8Array>): readonly Uint8Array[] {
  return Array.from(chunks, (chunk) => chunk.slice());
}

function chunksOf(ledger: OrderedLedger): readonly Uint8Array[] {
  return copied(ledger.snapshot());
}

function balanceOf(ledger: OrderedLedger, name: string): bigint {
  return ask(ledger, { kind: "account", name }).account.balance;
}

/** The ledger as plain maps and one long list of questions, in the slowest way. */
class Model {
  readonly balances = new Map(OPENING);
  readonly made = new Map<string, number>();
  readonly allowed = new Map<string, bigint>();

  run(command: LedgerCommand, by: string): unknown {
    const balance = (name: string): bigint => this.balances.get(name) ?? 0n;
    const move = (from: string, to: string, amount: bigint): object => {
      this.balances.set(from, balance(from) - amount);
      this.balances.set(to, balance(to) + amount);
      return { fromBalance: balance(from), toBalance: balance(to) };
    };
    const owns = (name: string): boolean => name.split("/")[0] === by;
    const isKnown = (name: string): boolean => /^[abc]\//.test(name);
    if (command.kind === "approve") {
      const { account, spender, amount, expected } = command;
      const previous = this.allowed.get(`${account}>${spender}`) ?? 0n;
      if (!owns(account)) return "not-owner";
      if (account === spender) return "self-approval";
      if (!isKnown(spender)) return "unknown-owner";
      if (expected !== null && expected !== previous) return ["allowance-changed", previous];
      this.allowed.set(`${account}>${spender}`, amount);
      return { kind: "approve", account, spender, amount, previous };
    }
    const { from, to, amount } = command;
    if (!owns(command.kind === "transfer" ? from : command.spender)) return "not-owner";
    if (amount === 0n) return "zero-amount";
    if (from === to) return "self-transfer";
    if (!isKnown(to)) return "unknown-owner";
    if (command.kind === "transfer") {
      const made = this.made.get(from) ?? 0;
      if (command.number !== null && command.number <= made) return ["number-used", BigInt(made)];
      if (command.number !== null && command.number !== made + 1) return ["number-ahead", BigInt(made)];
      if (balance(from) < amount) return ["insufficient-balance", balance(from)];
      this.made.set(from, made + 1);
      return { kind: "transfer", from, to, amount, number: made + 1, ...move(from, to, amount) };
    }
    const key = `${from}>${command.spender}`;
    const allowance = this.allowed.get(key) ?? 0n;
    if (allowance < amount) return ["insufficient-allowance", allowance];
    if (balance(from) < amount) return ["insufficient-balance", balance(from)];
    this.allowed.set(key, allowance - amount);
    const receipt = { kind: "transfer-from", spender: command.spender, from, to, amount };
    return { ...receipt, allowance: allowance - amount, ...move(from, to, amount) };
  }
}

const account = fc.constantFrom("a/x", "a/y", "b/x", "c/x");
const anyAccount = fc.oneof({ weight: 12, arbitrary: account }, { weight: 1, arbitrary: fc.constant("z/x") });
const amount = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt(0n, 30n) },
  { weight: 1, arbitrary: fc.bigInt(0n, 160n) },
  { weight: 1, arbitrary: fc.constant(AMOUNT_MAX) },
);
const command: fc.Arbitrary<LedgerCommand> = fc.oneof(
  fc.record({
    kind: fc.constant("transfer" as const),
    from: account,
    to: anyAccount,
    amount,
    number: fc.option(fc.integer({ min: 0, max: 4 }), { freq: 2 }),
  }),
  fc.record({
    kind: fc.constant("approve" as const),
    account,
    spender: anyAccount,
    amount,
    expected: fc.option(fc.bigInt(0n, 2n), { freq: 2 }),
  }),
  fc.record({ kind: fc.constant("transfer-from" as const), spender: account, from: account, to: anyAccount, amount }),
);
/** Mostly by who may. */
const said = fc.tuple(command, fc.constantFrom(null, null, null, null, "a", "b")).map(([each, other]) => {
  const speaker = each.kind === "transfer" ? each.from : each.kind === "approve" ? each.account : each.spender;
  return { command: each, by: other ?? speaker.charAt(0) };
});
const history = fc.array(said, { maxLength: 60, size: "max" });

describe("an ordered ledger", () => {
  test("does and refuses what a plain one does, and no unit is made or lost on the way", () => {
    const seen = new Set<unknown>();
    fc.assert(
      fc.property(history, (list) => {
        const [ledger, model] = [ledgerOf(), new Model()];
        for (const { command: each, by } of list) {
          const before = ledger.stateHash().toHex();
          const answer = run(ledger, each, by);
          expect(answer).toEqual(model.run(each, by));
          const reason = typeof answer === "string" ? answer : Array.isArray(answer) ? answer[0] : null;
          seen.add(reason ?? each.kind);
          if (reason !== null) expect(ledger.stateHash().toHex()).toBe(before);
          expect(ledger.audit()).toEqual({ total: 150n, lowest: expect.any(BigInt) });
          expect(ledger.audit().lowest).toBeGreaterThanOrEqual(0n);
        }
        for (const [name, balance] of model.balances) expect(balanceOf(ledger, name)).toBe(balance);
        for (const [pair, left] of model.allowed) {
          const [owner = "", spender = ""] = pair.split(">");
          expect(ask(ledger, { kind: "allowance", account: owner, spender }).amount).toBe(left);
        }
      }),
      { numRuns: 500 },
    );
    const reasons = ["not-owner", "unknown-owner", "zero-amount", "self-transfer", "self-approval", "number-used"];
    const later = ["number-ahead", "insufficient-balance", "insufficient-allowance", "allowance-changed"];
    for (const each of [...reasons, ...later, "transfer", "approve", "transfer-from"]) expect(seen).toContain(each);
  });

  test("has the hash of what accounts have and may, whatever led there", () => {
    const way = (list: readonly (readonly [LedgerCommand, string])[]): string => {
      const ledger = ledgerOf();
      for (const [each, by] of list) expect(run(ledger, each, by)).toBeObject();
      return ledger.stateHash().toHex();
    };
    const one = way([
      [transfer("a/x", "c/x", 10n), "a"],
      [approve("b/x", "a/x", 5n), "b"],
    ]);
    const other = way([
      [approve("b/x", "a/x", 9n), "b"],
      [approve("b/x", "c/x", 9n), "b"],
      [transfer("a/x", "c/x", 10n), "a"],
      [approve("b/x", "c/x", 0n), "b"],
      [approve("b/x", "a/x", 5n, 9n), "b"],
    ]);
    expect(other).toBe(one);
    const hashes = [way([]), one, way([[transfer("a/x", "c/x", 10n), "a"]]), way([[approve("b/x", "a/x", 5n), "b"]])];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test("is the same after a snapshot, which stays as it was while commands go on", () => {
    fc.assert(
      fc.property(history, history, (list, more) => {
        const ledger = ledgerOf();
        for (const { command: each, by } of list) run(ledger, each, by);
        const hash = ledger.stateHash().toHex();
        const snapshot = ledger.snapshot();
        const early = chunksOf(ledger);
        const other = ledgerOf();
        for (const { command: each, by } of more) run(ledger, each, by);
        expect(copied(snapshot)).toEqual([...early]);
        for (const { command: each, by } of list.slice(0, 3)) run(other, each, by);
        other.restore(early);
        expect(other.stateHash().toHex()).toBe(hash);
        for (const { command: each, by } of more) run(other, each, by);
        expect(other.stateHash().toHex()).toBe(ledger.stateHash().toHex());
        expect(chunksOf(other)).toEqual([...chunksOf(ledger)]);
      }),
      { numRuns: 200 },
    );
  });

  test("takes no snapshot of other units, and none that is out of order or has empty lines", () => {
    const foreign = ledgerOf({ accounts: new Map([["a/x", 7n]]) });
    expect(() => ledgerOf().restore(chunksOf(foreign))).toThrow("7 units, not 150");
    const [chunk = new Uint8Array(0)] = chunksOf(ledgerOf());
    // Each line: variant, name, balance, transfers.
    const lines = [chunk.subarray(0, 31), chunk.subarray(31)];
    expect(chunk.length).toBe(62);
    expect(() => ledgerOf().restore(lines.toReversed())).toThrow("out of its place");
    expect(() => ledgerOf().restore([...lines, ...lines.slice(1)])).toThrow("out of its place");
    const empty = Uint8Array.from(lines[0] ?? [], (byte, at) => (at < 15 ? byte : 0));
    expect(() => ledgerOf().restore([empty])).toThrow("is empty");
    const unnamed = Uint8Array.from(lines[0] ?? [], (byte, at) => (at === 13 ? 0x21 : byte));
    expect(() => ledgerOf().restore([unnamed])).toThrow("is no name");
    expect(() => ledgerOf().restore([chunk.subarray(1)])).toThrow();
  });

  test("refuses with a reason what is no command and what has no name of an account", () => {
    const ledger = ledgerOf();
    expect(run(ledger, Uint8Array.of(9, 9), "a")).toBe("malformed");
    for (const name of ["main", "a/", "a/b/c", "a/é", `a/${"x".repeat(32)}`, "a b/c"]) {
      expect(run(ledger, transfer("a/x", name, 1n), "a")).toBe("malformed-account");
      expect(run(ledger, approve("a/x", name, 1n), "a")).toBe("malformed-account");
      expect(run(ledger, transferFrom("b/x", name, "b/x", 1n), "b")).toBe("malformed-account");
    }
  });

  test("closes the race of an allowance that is changed while it is spent", () => {
    const ledger = ledgerOf();
    run(ledger, approve("a/x", "b/x", 40n), "a");
    run(ledger, transferFrom("b/x", "a/x", "b/x", 40n), "b");
    expect(run(ledger, approve("a/x", "b/x", 25n, 40n), "a")).toEqual(["allowance-changed", 0n]);
    expect(run(ledger, transferFrom("b/x", "a/x", "b/x", 1n), "b")).toEqual(["insufficient-allowance", 0n]);
    expect(balanceOf(ledger, "a/x")).toBe(60n);
  });

  test("lets an allowance be spent by its spender alone, and not for more than the account has", () => {
    const ledger = ledgerOf();
    run(ledger, approve("a/x", "b/x", AMOUNT_MAX), "a");
    expect(run(ledger, transferFrom("b/x", "a/x", "b/x", 10n), "a")).toBe("not-owner");
    expect(run(ledger, transferFrom("b/y", "a/x", "b/x", 10n), "b")).toEqual(["insufficient-allowance", 0n]);
    expect(run(ledger, transferFrom("b/x", "a/x", "c/x", 101n), "b")).toEqual(["insufficient-balance", 100n]);
    expect(ask(ledger, { kind: "allowance", account: "a/x", spender: "b/x" }).amount).toBe(AMOUNT_MAX);
    expect(run(ledger, transferFrom("b/x", "a/x", "c/x", 100n), "b")).toMatchObject({ fromBalance: 0n });
    expect(ask(ledger, { kind: "allowance", account: "a/x", spender: "b/x" }).amount).toBe(AMOUNT_MAX - 100n);
  });

  test("moves a numbered transfer once, whatever else its account does", () => {
    const ledger = ledgerOf();
    expect(run(ledger, transfer("a/x", "b/x", 1n, 1), "a")).toMatchObject({ number: 1 });
    expect(run(ledger, transfer("a/x", "b/x", 1n, 1), "a")).toEqual(["number-used", 1n]);
    expect(run(ledger, transfer("a/x", "b/x", 1n), "a")).toMatchObject({ number: 2 });
    expect(run(ledger, transfer("a/x", "b/x", 1n, 4), "a")).toEqual(["number-ahead", 2n]);
    run(ledger, approve("a/x", "b/x", 9n), "a");
    run(ledger, transferFrom("b/x", "a/x", "b/x", 9n), "b");
    expect(run(ledger, transfer("a/x", "b/x", 1n, 3), "a")).toMatchObject({ number: 3 });
    run(ledger, transfer("a/x", "b/x", 88n), "a");
    expect(ask(ledger, { kind: "account", name: "a/x" }).account).toEqual({ name: "a/x", balance: 0n, applied: 4 });
  });

  test("holds all units that there can be, in one account", () => {
    const accounts = new Map([
      ["a/x", AMOUNT_MAX - 1n],
      ["b/x", 1n],
    ]);
    const ledger = ledgerOf({ accounts });
    expect(run(ledger, transfer("b/x", "a/x", 1n), "b")).toMatchObject({ toBalance: AMOUNT_MAX });
    expect(run(ledger, transfer("b/x", "a/x", AMOUNT_MAX), "b")).toEqual(["insufficient-balance", 0n]);
    expect(ledger.audit().total).toBe(AMOUNT_MAX);
  });

  test("pays and allows who was admitted later, under the digits of its node", () => {
    const ledger = ledgerOf();
    const later = `${nodeOf("e").slice(0, 32)}/main`;
    expect(run(ledger, transfer("a/x", later, 5n), "a")).toMatchObject({ toBalance: 5n });
    expect(run(ledger, approve("a/x", later, 3n), "a")).toBeObject();
    expect(run(ledger, transferFrom(later, "a/x", later, 3n), "e")).toMatchObject({ toBalance: 8n, allowance: 0n });
    expect(run(ledger, transfer(later, "a/x", 8n), "e")).toMatchObject({ fromBalance: 0n });
  });

  test("has room for so many accounts, and for so many allowances of an owner", () => {
    const ledger = ledgerOf({ limits: { accounts: 3, allowances: 2 } });
    expect(run(ledger, transfer("a/x", "a/y", 60n), "a")).toBeObject();
    expect(run(ledger, transfer("a/x", "c/x", 1n), "a")).toBe("accounts-full");
    expect(run(ledger, transfer("a/x", "b/x", 1n), "a")).toBeObject();
    for (const spender of ["b/x", "c/x"]) expect(run(ledger, approve("a/x", spender, 5n), "a")).toBeObject();
    expect(run(ledger, approve("a/y", "b/x", 5n), "a")).toBe("allowances-full");
    expect(run(ledger, approve("a/x", "b/x", 6n), "a")).toBeObject();
    expect(run(ledger, approve("b/x", "a/x", 5n), "b")).toBeObject();
    expect(run(ledger, transferFrom("c/x", "a/x", "b/x", 5n), "c")).toBeObject();
    const other = ledgerOf({ limits: { accounts: 3, allowances: 2 } });
    other.restore(chunksOf(ledger));
    for (const each of [ledger, other]) {
      expect(run(each, approve("a/y", "b/x", 5n), "a")).toBeObject();
      expect(run(each, approve("a/y", "c/x", 5n), "a")).toBe("allowances-full");
    }
  });
});

describe("who asks an ordered ledger", () => {
  const ledger = ledgerOf({ accounts: new Map(["a/a", "a/b", "a/b.c", "a/c", "b/a"].map((name) => [name, 10n])) });
  for (const spender of ["b/z", "b/x", "c/x", "a/b"]) run(ledger, approve("a/c", spender, 5n), "a");
  run(ledger, approve("a/b", "b/x", 7n), "a");

  test("is told the accounts of a prefix in pages", () => {
    const names = (prefix: string, limit: number): readonly (readonly string[])[] => {
      const pages: (readonly string[])[] = [];
      for (let from: string | null = null; pages.length < 10; ) {
        const answer: Extract<LedgerAnswer, { kind: "accounts" }> = ask(ledger, {
          kind: "accounts",
          prefix,
          from,
          limit,
        });
        pages.push(answer.accounts.map(({ name }) => name));
        if (answer.next === null) return pages;
        from = answer.next;
      }
      throw new Error("pages without an end");
    };
    expect(names("", 5)).toEqual([["a/a", "a/b", "a/b.c", "a/c", "b/a"]]);
    expect(names("a/", 3)).toEqual([["a/a", "a/b", "a/b.c"], ["a/c"]]);
    expect(names("a/b", 1)).toEqual([["a/b"], ["a/b.c"]]);
    expect(names("c", 1)).toEqual([[]]);
  });

  test("is told the allowances of one account in pages", () => {
    const first = ask(ledger, { kind: "allowances", account: "a/c", from: null, limit: 3 });
    expect(first.allowances.map(({ spender }) => spender)).toEqual(["a/b", "b/x", "b/z"]);
    const rest = ask(ledger, { kind: "allowances", account: "a/c", from: first.next, limit: 3 });
    expect(rest).toEqual({
      kind: "allowances",
      allowances: [{ account: "a/c", spender: "c/x", amount: 5n }],
      next: null,
    });
    expect(ask(ledger, { kind: "allowances", account: "a/a", from: null, limit: 3 }).allowances).toEqual([]);
  });

  test("is told what the whole is, and of an account that nobody paid that it is empty", () => {
    expect(ask(ledger, { kind: "summary" })).toEqual({
      kind: "summary",
      total: 50n,
      accounts: 5,
      allowances: 5,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(ask(ledger, { kind: "account", name: "c/x" }).account).toEqual({ name: "c/x", balance: 0n, applied: 0 });
  });

  test("is refused a page of none or too many lines, and what is no question", () => {
    for (const limit of [0, 1_001]) {
      const questions: readonly LedgerQuestion[] = [
        { kind: "accounts", prefix: "", from: null, limit },
        { kind: "allowances", account: "a/c", from: null, limit },
      ];
      for (const question of questions)
        expect(() => ledger.query(encodeLedgerQuestion(question))).toThrow(QueryRefused);
    }
    expect(() => ledger.query(Uint8Array.of(1))).toThrow("no question to the ledger");
  });
});
