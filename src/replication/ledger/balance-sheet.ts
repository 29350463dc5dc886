import { encode } from "../../codec/codec.ts";
import { struct, vec } from "../../codec/composites.ts";
import { string, u64 } from "../../codec/primitives.ts";
import { hashOf } from "../../crypto/hash.ts";
import { type Hash, hashBytes, ZERO_HASH } from "../../lib/hash.ts";
import { amountCodec } from "./amount.ts";
import { ACCOUNT_NAME_CHARS_MAX } from "./owners.ts";

/** What the state of a ledger is, of one account. */
export interface AccountLine {
  readonly name: string;
  readonly balance: bigint;
  readonly applied: number;
}

/** Hashed at a time, so that the copy stays small however many accounts there are. */
const CHUNK_LINES = 1_000;

const chunkCodec = vec(
  struct<AccountLine>({ name: string(ACCOUNT_NAME_CHARS_MAX), balance: amountCodec, applied: u64 }),
  CHUNK_LINES,
);

/** @param lines in ascending order of the names */
export function balanceSheetDigest(lines: readonly AccountLine[]): Hash {
  let digest: Hash = ZERO_HASH;
  for (let at = 0; at < lines.length; at += CHUNK_LINES) {
    const chunk = encode(chunkCodec, lines.slice(at, at + CHUNK_LINES), CHUNK_LINES * 64);
    digest = hashOf("ledger-state", hashBytes(digest), chunk);
  }
  return digest;
}
