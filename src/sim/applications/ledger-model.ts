import type { NodeId } from "../../crypto/identity.ts";
import { equalBytes } from "../../lib/bytes.ts";
import type { AccountLine } from "../../replication/ledger/balance-sheet.ts";
import {
  decodeLedgerCommand,
  encodeLedgerReceipt,
  type LedgerCommand,
  type LedgerReceipt,
  ledgerRefused,
} from "../../replication/ledger/ledger-command.ts";
import {
  type AllowanceLine,
  decodeLedgerAnswer,
  decodeLedgerQuestion,
  encodeLedgerAnswer,
  encodeLedgerQuestion,
  LEDGER_LINES_MAX,
  type LedgerAnswer,
  type LedgerQuestion,
} from "../../replication/ledger/ledger-query.ts";
import { isAccountName, type Owners, ownerOf } from "../../replication/ledger/owners.ts";
import { CommandRejected } from "../../replication/replicated.ts";
import type { ApplicationModel, CommandPlace, Finding, ModelAnswer, Query } from "./tested-application.ts";

/** A book that is never changed: the next one is another. */
interface Book {
  readonly accounts: ReadonlyMap<string, AccountLine>;
  /** By account and spender; none is of nothing. */
  readonly allowances: ReadonlyMap<string, AllowanceLine>;
}

interface Done {
  readonly book: Book;
  readonly receipt: LedgerReceipt;
}

type Of<K extends LedgerCommand["kind"]> = Extract<LedgerCommand, { kind: K }>;

const EVERYTHING: LedgerQuestion = { kind: "accounts", prefix: "", from: null, limit: LEDGER_LINES_MAX };

/** The ledger as two plain maps, by what its commands and their refusals are said to be. */
export class LedgerModel implements ApplicationModel {
  readonly #owners: Owners;
  readonly #total: bigint;
  #book: Book;

  constructor(opening: ReadonlyMap<string, bigint>, owners: Owners) {
    this.#owners = owners;
    this.#total = sumOf([...opening.values()]);
    const accounts = new Map([...opening].map(([name, balance]) => [name, { name, balance, applied: 0 }]));
    this.#book = { accounts, allowances: new Map() };
  }

  apply(body: Uint8Array, { creator }: CommandPlace): ModelAnswer {
    try {
      const command = decodeLedgerCommand(body);
      if (command === null) throw ledgerRefused("malformed");
      const { book, receipt } = this.#done(command, creator);
      this.#book = book;
      return { status: "applied", result: encodeLedgerReceipt(receipt), reason: null };
    } catch (error) {
      if (!(error instanceof CommandRejected)) throw error;
      return { status: "rejected", result: error.detail, reason: error.message };
    }
  }

  /** The total first, and by nothing but what the replica lists: whatever else is wrong, money is neither made nor lost. */
  audit(query: Query): Finding | null {
    const listed = decodeLedgerAnswer(query(encodeLedgerQuestion(EVERYTHING)));
    const lines = listed.kind === "accounts" ? listed.accounts : [];
    const found = sumOf(lines.map(({ balance }) => balance));
    if (found !== this.#total || lines.some(({ balance }) => balance < 0n))
      return { invariant: "ledger-total", what: `has balances of ${found}, and the genesis of ${this.#total}` };
    const questions = [...this.#book.accounts.keys()].map(allowancesOf);
    for (const question of [EVERYTHING, ...questions]) {
      const answer = query(encodeLedgerQuestion(question));
      const wanted = answerFrom(this.#book, question);
      if (!equalBytes(answer, encodeLedgerAnswer(wanted)))
        return {
          invariant: "application-answer",
          what: `has ${shown(decodeLedgerAnswer(answer))}, not ${shown(wanted)}`,
        };
    }
    return null;
  }

  freeze(): Query {
    const book = this.#book;
    return (question) => encodeLedgerAnswer(answerFrom(book, decodeLedgerQuestion(question)));
  }

  #done(command: LedgerCommand, creator: NodeId): Done {
    const book = this.#book;
    const names = command.kind === "approve" ? [command.account, command.spender] : [command.from, command.to];
    const debited = command.kind === "approve" ? command.account : command.from;
    const speaks = command.kind === "transfer-from" ? command.spender : debited;
    if (![...names, speaks].every(isAccountName)) throw ledgerRefused("malformed-account");
    if (!this.#owners.mayDebit(creator, speaks)) throw ledgerRefused("not-owner");
    if (command.kind === "approve") return this.#approve(book, command);
    if (command.amount === 0n) throw ledgerRefused("zero-amount");
    if (command.from === command.to) throw ledgerRefused("self-transfer");
    if (!this.#owners.isKnown(ownerOf(command.to))) throw ledgerRefused("unknown-owner");
    return command.kind === "transfer" ? transfer(book, command) : transferFrom(book, command);
  }

  #approve(book: Book, { account, spender, amount, expected }: Of<"approve">): Done {
    if (account === spender) throw ledgerRefused("self-approval");
    if (!this.#owners.isKnown(ownerOf(spender))) throw ledgerRefused("unknown-owner");
    const previous = allowed(book, account, spender);
    if (expected !== null && expected !== previous) throw ledgerRefused("allowance-changed", previous);
    const receipt: LedgerReceipt = { kind: "approve", account, spender, amount, previous };
    return { book: withAllowance(book, { account, spender, amount }), receipt };
  }
}

function transfer(book: Book, { from, to, amount, number }: Of<"transfer">): Done {
  const { applied, balance } = lineOf(book, from);
  const next = applied + 1;
  if (number !== null && number < next) throw ledgerRefused("number-used", BigInt(applied));
  if (number !== null && number > next) throw ledgerRefused("number-ahead", BigInt(applied));
  if (balance < amount) throw ledgerRefused("insufficient-balance", balance);
  const moved = withMoved(book, { from, to, amount, applied: next });
  return { book: moved, receipt: { kind: "transfer", from, to, amount, number: next, ...balancesOf(moved, from, to) } };
}

function transferFrom(book: Book, { spender, from, to, amount }: Of<"transfer-from">): Done {
  const limit = allowed(book, from, spender);
  if (limit < amount) throw ledgerRefused("insufficient-allowance", limit);
  const { balance, applied } = lineOf(book, from);
  if (balance < amount) throw ledgerRefused("insufficient-balance", balance);
  const allowance = limit - amount;
  const spent = withAllowance(book, { account: from, spender, amount: allowance });
  const moved = withMoved(spent, { from, to, amount, applied });
  const receipt: LedgerReceipt = {
    kind: "transfer-from",
    spender,
    from,
    to,
    amount,
    allowance,
    ...balancesOf(moved, from, to),
  };
  return { book: moved, receipt };
}

function balancesOf(
  book: Book,
  from: string,
  to: string,
): { readonly fromBalance: bigint; readonly toBalance: bigint } {
  return { fromBalance: lineOf(book, from).balance, toBalance: lineOf(book, to).balance };
}

function lineOf({ accounts }: Book, name: string): AccountLine {
  return accounts.get(name) ?? { name, balance: 0n, applied: 0 };
}

function allowed({ allowances }: Book, account: string, spender: string): bigint {
  return allowances.get(`${account} ${spender}`)?.amount ?? 0n;
}

function withMoved(
  book: Book,
  { from, to, amount, applied }: { from: string; to: string; amount: bigint; applied: number },
): Book {
  const accounts = new Map(book.accounts);
  accounts.set(from, { name: from, balance: lineOf(book, from).balance - amount, applied });
  const payee = lineOf(book, to);
  accounts.set(to, { ...payee, balance: payee.balance + amount });
  return { ...book, accounts };
}

function withAllowance(book: Book, line: AllowanceLine): Book {
  const allowances = new Map(book.allowances);
  const key = `${line.account} ${line.spender}`;
  if (line.amount === 0n) allowances.delete(key);
  else allowances.set(key, line);
  return { ...book, allowances };
}

function allowancesOf(account: string): LedgerQuestion {
  return { kind: "allowances", account, from: null, limit: LEDGER_LINES_MAX };
}

/** To whatever this world asks: single lines, all accounts, all allowances of one. */
function answerFrom(book: Book, question: LedgerQuestion): LedgerAnswer {
  switch (question.kind) {
    case "account":
      return { kind: "account", account: lineOf(book, question.name) };
    case "allowance":
      return { kind: "allowance", amount: allowed(book, question.account, question.spender) };
    case "allowances": {
      const lines = [...book.allowances.values()].filter(({ account }) => account === question.account);
      return { kind: "allowances", allowances: lines.sort(bySpender), next: null };
    }
    default:
      return { kind: "accounts", accounts: [...book.accounts.values()].sort(byName), next: null };
  }
}

function byName(left: AccountLine, right: AccountLine): number {
  return left.name < right.name ? -1 : 1;
}

function bySpender(left: AllowanceLine, right: AllowanceLine): number {
  return left.spender < right.spender ? -1 : 1;
}

function sumOf(amounts: readonly bigint[]): bigint {
  return amounts.reduce((sum, amount) => sum + amount, 0n);
}

function shown(answer: LedgerAnswer): string {
  return JSON.stringify(answer, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}
