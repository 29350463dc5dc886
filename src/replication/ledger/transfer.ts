import { type Codec, decode, encode } from "../../codec/codec.ts";
import { struct } from "../../codec/composites.ts";
import { string, u32, u64 } from "../../codec/primitives.ts";
import { digestOf } from "../../crypto/hash.ts";
import type { NodeId } from "../../crypto/identity.ts";
import { amountCodec } from "./amount.ts";
import { ACCOUNT_NAME_CHARS_MAX, isAccountName, type Owners, ownerOf } from "./owners.ts";

/** The transfer's place among those of its account, from 1. At most one transfer has it: its conflict key. */
export interface TransferPlace {
  readonly from: string;
  readonly number: number;
}

/**
 * Moves units between two accounts. The authority is the vertex's signature: only a vertex of the validator that owns
 * `from` debits it. So clients trust their own organisation's node; keys of clients' own would be another command.
 */
export interface Transfer extends TransferPlace {
  readonly to: string;
  /** 1 to 2^64 - 1. */
  readonly amount: bigint;
}

/** Another command gets another number, and old payloads stay readable. */
const TRANSFER = 1;

const accountCodec: Codec<string> = string(ACCOUNT_NAME_CHARS_MAX);

const commandCodec: Codec<Transfer & { readonly command: number }> = struct<Transfer & { readonly command: number }>({
  command: u32,
  from: accountCodec,
  to: accountCodec,
  amount: amountCodec,
  number: u64,
});

const keyCodec = struct<TransferPlace>({ from: accountCodec, number: u64 });

/** The payload of a transfer without `transferFault`. */
export function encodeTransfer(transfer: Transfer): Uint8Array {
  return encode(commandCodec, { command: TRANSFER, ...transfer });
}

/** Null where the bytes are no transfer in its canonical form. */
export function decodeTransfer(payload: Uint8Array): Transfer | null {
  try {
    const { command, from, to, amount, number } = decode(commandCodec, payload);
    return command === TRANSFER ? { from, to, amount, number } : null;
  } catch {
    return null;
  }
}

/** What at most one accepted vertex may declare: this account's transfer of this number. */
export function transferKey({ from, number }: TransferPlace): Uint8Array {
  return digestOf("ledger-key", encode(keyCodec, { from, number }));
}

/** Why this transfer can never take effect, whatever the balances; null where it can. Depends on the genesis alone. */
export function transferFault({ from, to, amount, number }: Transfer, creator: NodeId, owners: Owners): string | null {
  if (!isAccountName(from)) return `${JSON.stringify(from)} is no name of an account`;
  if (!isAccountName(to)) return `${JSON.stringify(to)} is no name of an account`;
  if (from === to) return "a transfer from an account to itself";
  if (amount < 1n) return "a transfer of nothing";
  if (number < 1) return "transfers are numbered from 1";
  if (!owners.mayDebit(creator, from)) return `only the node that owns ${from} debits it`;
  return owners.isKnown(ownerOf(to)) ? null : `${to} would have no owner`;
}
