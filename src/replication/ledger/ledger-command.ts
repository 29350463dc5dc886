import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, union, variant } from "../../codec/composites.ts";
import { string, u64 } from "../../codec/primitives.ts";
import { DecodeError } from "../../codec/reader.ts";
import { CommandRejected } from "../replicated.ts";
import { amountCodec } from "./amount.ts";
import { ACCOUNT_NAME_CHARS_MAX } from "./owners.ts";

/**
 * What a client may ask of an ordered ledger. Accounts are `<owner>/<account>`, amounts 0 to 2^64 - 1 units. The authority
 * is the lane that the command comes in: only a validator's own lane speaks for the accounts that it owns.
 */
export type LedgerCommand =
  /** Moves units. The owner of `from` says so. */
  | {
      readonly kind: "transfer";
      readonly from: string;
      readonly to: string;
      readonly amount: bigint;
      /** It takes effect only as this transfer of its account, counted from 1; null for whichever it is. */
      readonly number: number | null;
    }
  /** Lets `spender` move so many units of `account`, in place of what it was allowed before; 0 for none. `account`'s owner says so. */
  | {
      readonly kind: "approve";
      readonly account: string;
      readonly spender: string;
      readonly amount: bigint;
      /**
       * It takes effect only where this is what is left of the allowance now; null for whatever is left. Who changes an allowance
       * without it may see the old one spent just before, and the new one after that.
       */
      readonly expected: bigint | null;
    }
  /** Moves units of `from` as far as `spender` is allowed to, and takes them off the allowance. The owner of `spender` says so. */
  | {
      readonly kind: "transfer-from";
      readonly spender: string;
      readonly from: string;
      readonly to: string;
      readonly amount: bigint;
    };

/** What a command did that took effect: itself, and where it led. */
export type LedgerReceipt =
  | {
      readonly kind: "transfer";
      readonly from: string;
      readonly to: string;
      readonly amount: bigint;
      /** Which transfer of its account it was, from 1. */
      readonly number: number;
      readonly fromBalance: bigint;
      readonly toBalance: bigint;
    }
  | {
      readonly kind: "approve";
      readonly account: string;
      readonly spender: string;
      readonly amount: bigint;
      /** What was left of the allowance before. */
      readonly previous: bigint;
    }
  | {
      readonly kind: "transfer-from";
      readonly spender: string;
      readonly from: string;
      readonly to: string;
      readonly amount: bigint;
      /** What is left of the allowance. */
      readonly allowance: bigint;
      readonly fromBalance: bigint;
      readonly toBalance: bigint;
    };

/** Reasons of `CommandRejected`. */
export type LedgerRefusal =
  | "malformed"
  | "malformed-account"
  | "not-owner"
  | "unknown-owner"
  | "zero-amount"
  | "self-transfer"
  | "self-approval"
  | "number-used"
  | "number-ahead"
  | "insufficient-balance"
  | "insufficient-allowance"
  | "allowance-changed"
  | "accounts-full"
  | "allowances-full";

/** What each means. Where it ends in "is", the detail goes on with a number (`refusedAt`). */
export const LEDGER_REFUSALS: Readonly<Record<LedgerRefusal, string>> = {
  malformed: "the bytes are no command of the ledger",
  "malformed-account": "a name is not <owner>/<account>",
  "not-owner": "the command came in the lane of another validator than the one that owns the account, or the spender",
  "unknown-owner": "an account would be paid, or allowed to spend, that nobody can ever own",
  "zero-amount": "a transfer of nothing",
  "self-transfer": "a transfer from an account to itself",
  "self-approval": "an account needs no allowance of its own",
  "number-used": "the account has made a transfer of that number already: its last is",
  "number-ahead": "another number of the account comes first: its last is",
  "insufficient-balance": "the account has too little: its balance is",
  "insufficient-allowance": "the spender may move too little of the account: the allowance is",
  "allowance-changed": "the allowance is not what was expected: it is",
  "accounts-full": "the ledger has room for no more accounts: pay one that is there",
  "allowances-full": "the account's owner has room for no more allowances: withdraw one first",
};

const account: Codec<string> = string(ACCOUNT_NAME_CHARS_MAX);

const transferFromCodec: Codec<Extract<LedgerCommand, { kind: "transfer-from" }>> = variant("transfer-from", {
  spender: account,
  from: account,
  to: account,
  amount: amountCodec,
});

export const ledgerCommandCodec: Codec<LedgerCommand> = union<LedgerCommand>({
  transfer: variant("transfer", { from: account, to: account, amount: amountCodec, number: option(u64) }),
  approve: variant("approve", { account, spender: account, amount: amountCodec, expected: option(amountCodec) }),
  "transfer-from": transferFromCodec,
});

const balances = { fromBalance: amountCodec, toBalance: amountCodec };

export const ledgerReceiptCodec: Codec<LedgerReceipt> = union<LedgerReceipt>({
  transfer: variant("transfer", { from: account, to: account, amount: amountCodec, number: u64, ...balances }),
  approve: variant("approve", { account, spender: account, amount: amountCodec, previous: amountCodec }),
  "transfer-from": variant("transfer-from", {
    spender: account,
    from: account,
    to: account,
    amount: amountCodec,
    allowance: amountCodec,
    ...balances,
  }),
});

/** Amounts must be 0 to 2^64 - 1, names no longer than a name may be; whatever else is wrong the ledger refuses. */
export function encodeLedgerCommand(command: LedgerCommand): Uint8Array {
  return encode(ledgerCommandCodec, command);
}

/** Null where the bytes are no command in its canonical form. */
export function decodeLedgerCommand(body: Uint8Array): LedgerCommand | null {
  try {
    return decode(ledgerCommandCodec, body);
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

export function encodeLedgerReceipt(receipt: LedgerReceipt): Uint8Array {
  return encode(ledgerReceiptCodec, receipt);
}

/** @throws DecodeError */
export function decodeLedgerReceipt(result: Uint8Array): LedgerReceipt {
  return decode(ledgerReceiptCodec, result);
}

/** @param current what the refusal found instead; left out where the reason says all */
export function ledgerRefused(reason: LedgerRefusal, current?: bigint): CommandRejected {
  return new CommandRejected(reason, current === undefined ? undefined : encode(amountCodec, current, 8));
}

export function isLedgerRefusal(reason: string): reason is LedgerRefusal {
  return Object.hasOwn(LEDGER_REFUSALS, reason);
}

/** The number in a refusal's detail; null where it has none. */
export function refusedAt(detail: Uint8Array): bigint | null {
  return detail.length === 0 ? null : decode(amountCodec, detail);
}
