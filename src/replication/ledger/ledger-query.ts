import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, struct, union, variant, vec } from "../../codec/composites.ts";
import { hash, string, u32, u64 } from "../../codec/primitives.ts";
import type { Hash } from "../../lib/hash.ts";
import { amountCodec } from "./amount.ts";
import type { AccountLine } from "./balance-sheet.ts";
import { ACCOUNT_NAME_CHARS_MAX } from "./owners.ts";

/** The most lines of one answer; the next question goes on behind them. 1,000 of them are 200 kB. */
export const LEDGER_LINES_MAX = 1_000;

/** What a spender may move of an account. */
export interface AllowanceLine {
  readonly account: string;
  readonly spender: string;
  readonly amount: bigint;
}

export type LedgerQuestion =
  | { readonly kind: "account"; readonly name: string }
  | { readonly kind: "allowance"; readonly account: string; readonly spender: string }
  /** Accounts whose names begin with `prefix`, in ascending order. */
  | {
      readonly kind: "accounts";
      readonly prefix: string;
      /** Null for the first of them. */
      readonly from: string | null;
      /** 1 to LEDGER_LINES_MAX. */
      readonly limit: number;
    }
  /** What is left of the allowances of one account, in ascending order of the spenders. */
  | {
      readonly kind: "allowances";
      readonly account: string;
      /** The first spender; null for the first there is. */
      readonly from: string | null;
      /** 1 to LEDGER_LINES_MAX. */
      readonly limit: number;
    }
  | { readonly kind: "summary" };

export type LedgerAnswer =
  /** One that nobody paid yet is empty. */
  | { readonly kind: "account"; readonly account: AccountLine }
  | { readonly kind: "allowance"; readonly amount: bigint }
  | {
      readonly kind: "accounts";
      readonly accounts: readonly AccountLine[];
      /** `from` of the next question; null where there is no rest. */
      readonly next: string | null;
    }
  | {
      readonly kind: "allowances";
      readonly allowances: readonly AllowanceLine[];
      /** `from` of the next question; null where there is no rest. */
      readonly next: string | null;
    }
  | {
      readonly kind: "summary";
      /** All units that there are: those of genesis, for ever. */
      readonly total: bigint;
      readonly accounts: number;
      readonly allowances: number;
      /** Of all accounts and allowances. */
      readonly digest: Hash;
    };

const name: Codec<string> = string(ACCOUNT_NAME_CHARS_MAX);

export const accountLineCodec: Codec<AccountLine> = struct<AccountLine>({ name, balance: amountCodec, applied: u64 });

export const allowanceLineCodec: Codec<AllowanceLine> = struct<AllowanceLine>({
  account: name,
  spender: name,
  amount: amountCodec,
});

export const ledgerQuestionCodec: Codec<LedgerQuestion> = union<LedgerQuestion>({
  account: variant("account", { name }),
  allowance: variant("allowance", { account: name, spender: name }),
  accounts: variant("accounts", { prefix: name, from: option(name), limit: u32 }),
  allowances: variant("allowances", { account: name, from: option(name), limit: u32 }),
  summary: variant("summary", {}),
});

export const ledgerAnswerCodec: Codec<LedgerAnswer> = union<LedgerAnswer>({
  account: variant("account", { account: accountLineCodec }),
  allowance: variant("allowance", { amount: amountCodec }),
  accounts: variant("accounts", { accounts: vec(accountLineCodec, LEDGER_LINES_MAX), next: option(name) }),
  allowances: variant("allowances", { allowances: vec(allowanceLineCodec, LEDGER_LINES_MAX), next: option(name) }),
  summary: variant("summary", { total: amountCodec, accounts: u64, allowances: u64, digest: hash }),
});

export function encodeLedgerQuestion(question: LedgerQuestion): Uint8Array {
  return encode(ledgerQuestionCodec, question);
}

/** @throws DecodeError */
export function decodeLedgerQuestion(bytes: Uint8Array): LedgerQuestion {
  return decode(ledgerQuestionCodec, bytes);
}

export function encodeLedgerAnswer(answer: LedgerAnswer): Uint8Array {
  return encode(ledgerAnswerCodec, answer);
}

/** @throws DecodeError */
export function decodeLedgerAnswer(bytes: Uint8Array): LedgerAnswer {
  return decode(ledgerAnswerCodec, bytes);
}
