import { DecodeError } from "../../codec/reader.ts";
import { assert } from "../../lib/assert.ts";
import { toHash } from "../../lib/hash.ts";
import { type Application, type CommandContext, QueryRefused } from "../replicated.ts";
import { AMOUNT_MAX } from "./amount.ts";
import { commandFault } from "./command-fault.ts";
import {
  decodeLedgerCommand,
  encodeLedgerReceipt,
  type LedgerCommand,
  type LedgerReceipt,
  ledgerRefused,
} from "./ledger-command.ts";
import { LedgerBook } from "./ledger-book.ts";
import {
  decodeLedgerQuestion,
  encodeLedgerAnswer,
  LEDGER_LINES_MAX,
  type LedgerAnswer,
  type LedgerQuestion,
} from "./ledger-query.ts";
import { type Owners, ownerOf } from "./owners.ts";

/** Memory: 1.4 kB each with their tree, 340 MB together. Payments between those that are there go on. */
export const LEDGER_ACCOUNTS_MAX = 250_000;

/** Of all accounts of one owner, so that no owner takes another's room: those of a hundred owners are some 270 MB. */
export const OWNER_ALLOWANCES_MAX = 2_000;

export interface OrderedLedgerOptions {
  /** Opening balances, 2^64 - 1 together at most. */
  readonly accounts: ReadonlyMap<string, bigint>;
  readonly owners: Owners;
  /** Less than usual, for tests. */
  readonly limits?: { readonly accounts?: number; readonly allowances?: number };
}

/** What a check of the whole book finds: `total` is to be that of genesis, `lowest` never below zero. */
export interface LedgerAudit {
  /** The sum of all balances, added up account by account. */
  readonly total: bigint;
  /** The least balance; 0 where there is no account. */
  readonly lowest: bigint;
}

type Of<K extends LedgerCommand["kind"]> = Extract<LedgerCommand, { kind: K }>;

/**
 * Accounts, transfers and allowances where an engine orders all commands. Every command is judged by the state that it meets,
 * and takes effect or not, at once and for good: nothing waits. The state depends on the commands, their order and the lanes
 * that they came in.
 *
 * Invariants: the balances add up to `total`, no balance is below zero, and no allowance lets more be moved than was approved.
 */
export class OrderedLedger implements Application {
  readonly name = "ledger";
  /** All units that there are. */
  readonly total: bigint;
  readonly #owners: Owners;
  readonly #accountsMax: number;
  readonly #allowancesMax: number;
  #book = new LedgerBook();

  constructor({ accounts, owners, limits = {} }: OrderedLedgerOptions) {
    for (const [name, balance] of accounts) this.#book.setAccount({ name, balance, applied: 0 });
    this.total = [...accounts.values()].reduce((sum, balance) => sum + balance, 0n);
    assert(this.total <= AMOUNT_MAX, `opening balances of ${this.total} units`);
    this.#owners = owners;
    this.#accountsMax = limits.accounts ?? LEDGER_ACCOUNTS_MAX;
    this.#allowancesMax = limits.allowances ?? OWNER_ALLOWANCES_MAX;
  }

  /** The body is a `LedgerCommand`, the answer a `LedgerReceipt`, the reason of a refusal a `LedgerRefusal`. */
  apply(body: Uint8Array, { creator }: CommandContext): Uint8Array {
    const command = decodeLedgerCommand(body);
    if (command === null) throw ledgerRefused("malformed");
    const fault = commandFault(command, creator, this.#owners);
    if (fault !== null) throw ledgerRefused(fault);
    return encodeLedgerReceipt(this.#run(command));
  }

  /** The question is a `LedgerQuestion`, the answer a `LedgerAnswer` of the same kind. */
  query(question: Uint8Array): Uint8Array {
    return encodeLedgerAnswer(this.#answer(questionOf(question)));
  }

  snapshot(): Iterable<Uint8Array> {
    return this.#book.snapshot();
  }

  restore(chunks: Iterable<Uint8Array>): void {
    const book = LedgerBook.restored(chunks);
    const { total } = auditOf(book);
    if (total !== this.total) throw new Error(`accounts of ${total} units, not ${this.total}`);
    this.#book = book;
  }

  stateHash(): Uint8Array {
    return this.#book.stateHash();
  }

  /** Looks at every account: for tests, and for who wants to be sure. */
  audit(): LedgerAudit {
    return auditOf(this.#book);
  }

  #run(command: LedgerCommand): LedgerReceipt {
    if (command.kind === "transfer") return this.#transfer(command);
    return command.kind === "approve" ? this.#approve(command) : this.#transferFrom(command);
  }

  #transfer({ from, to, amount, number }: Of<"transfer">): LedgerReceipt {
    const { applied } = this.#book.account(from);
    if (number !== null && number <= applied) throw ledgerRefused("number-used", BigInt(applied));
    if (number !== null && number > applied + 1) throw ledgerRefused("number-ahead", BigInt(applied));
    this.#requireFunds({ from, to, amount });
    const balances = this.#move({ from, to, amount, applied: applied + 1 });
    return { kind: "transfer", from, to, amount, number: applied + 1, ...balances };
  }

  #approve({ account, spender, amount, expected }: Of<"approve">): LedgerReceipt {
    const previous = this.#book.allowance(account, spender);
    if (expected !== null && expected !== previous) throw ledgerRefused("allowance-changed", previous);
    const isNew = previous === 0n && amount > 0n;
    if (isNew && this.#book.givenBy(ownerOf(account)) >= this.#allowancesMax) throw ledgerRefused("allowances-full");
    this.#book.setAllowance({ account, spender, amount });
    return { kind: "approve", account, spender, amount, previous };
  }

  #transferFrom({ spender, from, to, amount }: Of<"transfer-from">): LedgerReceipt {
    const allowed = this.#book.allowance(from, spender);
    if (allowed < amount) throw ledgerRefused("insufficient-allowance", allowed);
    this.#requireFunds({ from, to, amount });
    const allowance = allowed - amount;
    this.#book.setAllowance({ account: from, spender, amount: allowance });
    const balances = this.#move({ from, to, amount, applied: this.#book.account(from).applied });
    return { kind: "transfer-from", spender, from, to, amount, allowance, ...balances };
  }

  #requireFunds({ from, to, amount }: Payment): void {
    const { balance } = this.#book.account(from);
    if (balance < amount) throw ledgerRefused("insufficient-balance", balance);
    const isFull = this.#book.accounts >= this.#accountsMax;
    if (isFull && !this.#book.hasAccount(to)) throw ledgerRefused("accounts-full");
  }

  /** After all that could refuse it. What one account loses the other gets; together they stay below the total. */
  #move({ from, to, amount, applied }: Payment & { readonly applied: number }): Balances {
    const payer = this.#book.account(from);
    const payee = this.#book.account(to);
    const fromBalance = payer.balance - amount;
    const toBalance = payee.balance + amount;
    assert(from !== to && fromBalance >= 0n, `${from} cannot pay ${amount}`);
    assert(fromBalance + toBalance <= this.total, `${from} and ${to} have more than all units`);
    this.#book.setAccount({ ...payer, balance: fromBalance, applied });
    this.#book.setAccount({ ...payee, balance: toBalance });
    return { fromBalance, toBalance };
  }

  #answer(question: LedgerQuestion): LedgerAnswer {
    const book = this.#book;
    switch (question.kind) {
      case "account":
        return { kind: "account", account: book.account(question.name) };
      case "allowance":
        return { kind: "allowance", amount: book.allowance(question.account, question.spender) };
      case "accounts": {
        const { prefix, from, limit } = question;
        const first = from !== null && from > prefix ? from : prefix;
        const { items, next } = pageOf(book.accountsFrom(first), limit, ({ name }) => name.startsWith(prefix));
        return { kind: "accounts", accounts: items, next: next?.name ?? null };
      }
      case "allowances": {
        const { account, from, limit } = question;
        const { items, next } = pageOf(book.allowancesFrom(account, from ?? ""), limit, () => true);
        return { kind: "allowances", allowances: items, next: next?.spender ?? null };
      }
      case "summary": {
        const { accounts, allowances } = book;
        return { kind: "summary", total: this.total, accounts, allowances, digest: toHash(book.stateHash()) };
      }
    }
  }
}

interface Payment {
  readonly from: string;
  readonly to: string;
  readonly amount: bigint;
}

interface Balances {
  readonly fromBalance: bigint;
  readonly toBalance: bigint;
}

/** As many as are wanted, as long as the condition holds; `next` is the one after them. */
function pageOf<T>(
  lines: Iterable<T>,
  limit: number,
  isIn: (line: T) => boolean,
): { readonly items: readonly T[]; readonly next: T | null } {
  const items: T[] = [];
  for (const line of lines) {
    if (!isIn(line)) break;
    if (items.length === limit) return { items, next: line };
    items.push(line);
  }
  return { items, next: null };
}

function auditOf(book: LedgerBook): LedgerAudit {
  let total = 0n;
  let lowest: bigint | null = null;
  for (const { balance } of book.accountsFrom("")) {
    total += balance;
    if (lowest === null || balance < lowest) lowest = balance;
  }
  return { total, lowest: lowest ?? 0n };
}

function questionOf(bytes: Uint8Array): LedgerQuestion {
  try {
    const question = decodeLedgerQuestion(bytes);
    if ("limit" in question && (question.limit < 1 || question.limit > LEDGER_LINES_MAX)) {
      throw new QueryRefused("malformed", `a limit of ${question.limit}: ask for 1 to ${LEDGER_LINES_MAX} lines`);
    }
    return question;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new QueryRefused("malformed", `no question to the ledger: ${error.message}`, { cause: error });
  }
}
