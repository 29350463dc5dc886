import type { NodeId } from "../../crypto/identity.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Applied, Claim, CommutativeApplication } from "../application.ts";
import { type AccountLine, balanceSheetDigest } from "./balance-sheet.ts";
import type { Owners } from "./owners.ts";
import { decodeTransfer, type Transfer, type TransferPlace, transferFault, transferKey } from "./transfer.ts";

/**
 * Transfers of one account that are held while they wait. A node takes no more of its clients; only an owner that lies
 * comes above it, with transfers that its own account cannot pay. 1,024 of them are 200 kB.
 */
export const WAITING_MAX = 1_024;

/** What there is of one account. */
export interface AccountState {
  readonly balance: bigint;
  /** How many of its transfers took effect: the next one has this number plus one. */
  readonly applied: number;
  /** Final transfers that did not take effect yet, in ascending order of their numbers. */
  readonly waiting: readonly Transfer[];
}

interface Account {
  balance: bigint;
  applied: number;
  /** By number. */
  readonly waiting: Map<number, Transfer>;
  /** The lowest number that found no room; null where none. */
  droppedFrom: number | null;
}

export interface LedgerOptions {
  /** Opening balances, 2^64 - 1 together at most. */
  readonly accounts: ReadonlyMap<string, bigint>;
  readonly owners: Owners;
  /** For tests: less than `WAITING_MAX`. */
  readonly waitingMax?: number;
}

/**
 * Accounts and transfers between them, where no engine orders all of them. A transfer takes effect when all of its account with lower numbers have and the
 * balance suffices; until then it waits. Only the account's next transfer can debit it, and no other transfer can make
 * its balance smaller, so whatever can take effect still can after another did: in any order of arrival the same set ends
 * in the same state (Guerraoui et al., The consensus number of a cryptocurrency, PODC 2019; Astro, DSN 2020). That a set has
 * one transfer of a number at most is what the conflict key is for.
 */
export class Ledger implements CommutativeApplication {
  readonly name = "ledger";
  /** All units that there are. */
  readonly total: bigint;
  readonly #accounts = new Map<string, Account>();
  readonly #owners: Owners;
  readonly #waitingMax: number;
  /** Accounts of which the transfer that is next was dropped. */
  readonly #missing = new Set<string>();
  #digest: Hash | null = null;

  constructor({ accounts, owners, waitingMax = WAITING_MAX }: LedgerOptions) {
    for (const [name, balance] of accounts) this.#accountOf(name).balance = balance;
    this.total = [...accounts.values()].reduce((sum, balance) => sum + balance, 0n);
    this.#owners = owners;
    this.#waitingMax = waitingMax;
  }

  claimOf(payload: Uint8Array, creator: NodeId): Claim {
    const transfer = decodeTransfer(payload);
    if (transfer === null) return { fault: "the payload is no transfer" };
    const fault = transferFault(transfer, creator, this.#owners);
    return fault === null ? { keys: [transferKey(transfer)] } : { fault };
  }

  apply(payload: Uint8Array, creator: NodeId): Applied {
    const transfer = decodeTransfer(payload);
    if (transfer === null) return { kind: "rejected", reason: "the payload is no transfer" };
    const fault = transferFault(transfer, creator, this.#owners);
    if (fault !== null) return { kind: "rejected", reason: fault };
    const { from, amount, number } = transfer;
    const account = this.#accountOf(from);
    if (number <= account.applied || account.waiting.has(number)) {
      return { kind: "rejected", reason: `${from} has another transfer of number ${number}` };
    }
    const isNext = number === account.applied + 1;
    if (isNext && account.balance >= amount) {
      this.#settle(transfer);
      return { kind: "applied" };
    }
    this.#hold(account, transfer);
    const reason = isNext
      ? `${from} has ${account.balance} of ${amount}`
      : `number ${account.applied + 1} of ${from} comes first`;
    return { kind: "waiting", reason };
  }

  account(name: string): AccountState | null {
    const account = this.#accounts.get(name);
    if (account === undefined) return null;
    const waiting = [...account.waiting.values()].sort((left, right) => left.number - right.number);
    return { balance: account.balance, applied: account.applied, waiting };
  }

  /** Whether a final transfer of this number waits for its effect. */
  isWaiting({ from, number }: TransferPlace): boolean {
    return this.#accounts.get(from)?.waiting.has(number) ?? false;
  }

  /** Accounts that ever held a unit. */
  count(): number {
    let count = 0;
    for (const account of this.#accounts.values()) if (isOpen(account)) count++;
    return count;
  }

  /** Of the balances and numbers, not of what waits: what an order of arrival can change is not in it. */
  stateDigest(): Hash {
    this.#digest ??= balanceSheetDigest(this.#lines());
    return this.#digest;
  }

  /**
   * Whether the node must apply its final payloads once more, from the first one on: a transfer that was dropped while too
   * many of its account waited is next now. Those that are known already are rejected and change nothing.
   */
  wantsReplay(): boolean {
    return this.#missing.size > 0;
  }

  /** The replay that `wantsReplay` asks for begins now. */
  onReplay(): void {
    for (const name of this.#missing) this.#accountOf(name).droppedFrom = null;
    this.#missing.clear();
  }

  /** Takes effect, and with it whatever waited for it: the sender's next, the receiver's that had too little. */
  #settle(transfer: Transfer): void {
    const due: Transfer[] = [transfer];
    this.#digest = null;
    for (let next = due.pop(); next !== undefined; next = due.pop()) {
      const account = this.#accountOf(next.from);
      // It was woken twice, or what woke it was spent since.
      if (next.number !== account.applied + 1 || account.balance < next.amount) continue;
      account.balance -= next.amount;
      account.applied = next.number;
      account.waiting.delete(next.number);
      const receiver = this.#accountOf(next.to);
      receiver.balance += next.amount;
      if (account.droppedFrom === account.applied + 1) this.#missing.add(next.from);
      for (const { waiting, applied } of [account, receiver]) {
        const woken = waiting.get(applied + 1);
        if (woken !== undefined) due.push(woken);
      }
    }
  }

  #hold(account: Account, transfer: Transfer): void {
    const { waiting } = account;
    if (waiting.size >= this.#waitingMax) {
      // The lowest numbers take effect first: they stay.
      const highest = Math.max(transfer.number, ...waiting.keys());
      account.droppedFrom = Math.min(highest, account.droppedFrom ?? highest);
      if (highest === transfer.number) return;
      waiting.delete(highest);
    }
    waiting.set(transfer.number, transfer);
  }

  #accountOf(name: string): Account {
    const known = this.#accounts.get(name);
    if (known !== undefined) return known;
    const account: Account = { balance: 0n, applied: 0, waiting: new Map(), droppedFrom: null };
    this.#accounts.set(name, account);
    return account;
  }

  #lines(): readonly AccountLine[] {
    return [...this.#accounts]
      .filter(([, account]) => isOpen(account))
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([name, { balance, applied }]) => ({ name, balance, applied }));
  }
}

/** One that nobody ever paid is none, whatever waits there. */
function isOpen({ balance, applied }: Account): boolean {
  return balance > 0n || applied > 0;
}
