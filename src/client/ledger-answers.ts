import type { Consistency } from "./commands.ts";
import type { Fields } from "./fields.ts";
import type { CallOptions } from "./patience.ts";

/** As of which command a state was read that all nodes have alike; a leaderless network has no such place. */
export interface LedgerStanding {
  readonly position: number;
  readonly batch: number;
  readonly stateHash: string;
}

/** Where a command to the ledger took its place in the total order. */
export interface LedgerPlace extends LedgerStanding {
  /** The node that answered knew its effect before it was asked. One that did not answers with the same `position` and false. */
  readonly isReplay: boolean;
}

export interface LedgerAccount {
  /** `<owner>/<account>`; the owner is a validator's name, or 32 digits of a node id. */
  readonly name: string;
  /** Units, up to 2^64 - 1. */
  readonly balance: bigint;
  /** The lowest number that no transfer known to the node has. */
  readonly nextNumber: number;
  /** Whether the node that answered may debit it. */
  readonly isOwn: boolean;
  /** Final transfers that wait for a number before theirs, or for money; none where a total order refuses those. */
  readonly waiting: readonly { readonly to: string; readonly amount: bigint; readonly number: number }[];
  /** Null in a leaderless network. */
  readonly asOf: LedgerStanding | null;
}

export interface LedgerSummary {
  readonly total: bigint;
  readonly accounts: number;
  /** Equal at nodes that hold the same transfers to be final. */
  readonly digest: string;
  readonly sequence: number;
  /** False while the node rebuilds its ledger after a start. */
  readonly isCurrent: boolean;
  /** Null in a leaderless network. */
  readonly asOf: LedgerStanding | null;
}

export interface AccountBalance {
  readonly name: string;
  readonly balance: bigint;
  readonly nextNumber: number;
}

/** What a spender may still move of an account. */
export interface Allowance {
  readonly spender: string;
  readonly amount: bigint;
}

export interface TransferOrder {
  readonly from: string;
  readonly to: string;
  /** 1 to 2^64 - 1. */
  readonly amount: bigint;
  /** The transfer's number at its account. With one, a transfer whose answer was lost is sent again, and moves units once. */
  readonly number?: number;
}

export interface ApprovalOrder {
  readonly account: string;
  readonly spender: string;
  /** 0 to 2^64 - 1, in place of what was allowed before. */
  readonly amount: bigint;
  /** Only where this is what is left of the allowance: without it the old one may be spent just before, and the new one too. */
  readonly expected?: bigint;
}

export interface TransferFromOrder {
  /** Whose allowance it is spent from: an account that one of the client's nodes owns. */
  readonly spender: string;
  /** Whose units. */
  readonly from: string;
  readonly to: string;
  /** 1 to 2^64 - 1. */
  readonly amount: bigint;
}

export interface LedgerReadOptions extends CallOptions {
  /** `linearizable` unless given; a leaderless network has `local` alone. */
  readonly consistency?: Consistency;
}

export interface LedgerWriteOptions extends CallOptions {
  /** Sends the command of this number of the client's again, as after a crash; the next number unless given. */
  readonly commandNumber?: number;
}

export interface TransferOptions extends LedgerWriteOptions {
  /** `finalized` unless given, and always where there is a total order. */
  readonly wait?: "accepted" | "finalized";
}

export interface AccountsOptions extends LedgerReadOptions {
  readonly prefix?: string;
}

export interface TransferReceipt {
  readonly from: string;
  readonly to: string;
  readonly amount: bigint;
  readonly number: number;
  /** The vertex; null in a replay, where that is no longer known. */
  readonly hash: string | null;
  readonly sequence: number | null;
  /** `waiting`: final, but another number or money has to come first. Null where finality was not waited for. */
  readonly result: "applied" | "waiting" | "rejected" | null;
  readonly reason: string | null;
  /** Null in a leaderless network. */
  readonly place: LedgerPlace | null;
}

export interface ApprovalReceipt {
  readonly account: string;
  readonly spender: string;
  readonly amount: bigint;
  /** What was left of the allowance before. */
  readonly previous: bigint;
  readonly place: LedgerPlace;
}

export interface TransferFromReceipt {
  readonly spender: string;
  readonly from: string;
  readonly to: string;
  readonly amount: bigint;
  /** What is left of it. */
  readonly allowance: bigint;
  readonly place: LedgerPlace;
}

export function summaryOf(fields: Fields): LedgerSummary {
  return {
    total: fields.amount("total"),
    accounts: fields.count("accounts"),
    digest: fields.text("digest"),
    sequence: fields.count("sequence"),
    isCurrent: fields.flag("isCurrent"),
    asOf: fields.has("position") ? standingOf(fields) : null,
  };
}

export function accountOf(fields: Fields): LedgerAccount {
  return {
    ...balanceOf(fields),
    isOwn: fields.flag("isOwn"),
    waiting: fields.list("waiting", (item) => ({
      to: item.text("to"),
      amount: item.amount("amount"),
      number: item.count("number"),
    })),
    asOf: fields.has("position") ? standingOf(fields) : null,
  };
}

export function balanceOf(fields: Fields): AccountBalance {
  return { name: fields.text("name"), balance: fields.amount("balance"), nextNumber: fields.count("nextNumber") };
}

export function allowanceOf(fields: Fields): Allowance {
  return { spender: fields.text("spender"), amount: fields.amount("amount") };
}

export function transferReceiptOf(fields: Fields): TransferReceipt {
  return {
    from: fields.text("from"),
    to: fields.text("to"),
    amount: fields.amount("amount"),
    number: fields.count("number"),
    hash: fields.maybe("hash", fields.text),
    sequence: fields.maybe("sequence", fields.count),
    result: fields.has("result") ? fields.word("result", ["applied", "waiting", "rejected"]) : null,
    reason: fields.maybe("reason", fields.text),
    place: fields.has("position") ? placeOf(fields) : null,
  };
}

export function approvalReceiptOf(fields: Fields): ApprovalReceipt {
  return {
    account: fields.text("account"),
    spender: fields.text("spender"),
    amount: fields.amount("amount"),
    previous: fields.amount("previous"),
    place: placeOf(fields),
  };
}

export function transferFromReceiptOf(fields: Fields): TransferFromReceipt {
  return {
    spender: fields.text("spender"),
    from: fields.text("from"),
    to: fields.text("to"),
    amount: fields.amount("amount"),
    allowance: fields.amount("allowance"),
    place: placeOf(fields),
  };
}

function standingOf(fields: Fields): LedgerStanding {
  return { position: fields.count("position"), batch: fields.count("batch"), stateHash: fields.text("stateHash") };
}

function placeOf(fields: Fields): LedgerPlace {
  return { ...standingOf(fields), isReplay: fields.flag("isReplay") };
}
