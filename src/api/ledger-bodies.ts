import { ACCOUNT_NAME_CHARS_MAX } from "../replication/ledger/owners.ts";
import { parseAmount } from "../replication/ledger/amount.ts";
import { ApiProblem } from "./problem.ts";

type Body = Readonly<Record<string, unknown>>;

/** Longer than a name may be is no name, and would not fit into a command. */
export function nameOf(body: Body, member: string): string {
  const value = body[member];
  if (typeof value === "string" && isShort(value)) return value;
  throw new ApiProblem("malformed", `${member} must be a text: the name of an account`);
}

/** A text, because JSON's numbers are exact below 2^53 only. */
export function amountOf(body: Body, member: string, { min }: { readonly min: bigint }): bigint {
  const value = body[member];
  const amount = typeof value === "string" ? parseAmount(value) : null;
  if (amount !== null && amount >= min) return amount;
  throw new ApiProblem("malformed", `${member} must be a text of a whole number, ${min} to 2^64 - 1, such as "250"`);
}

/** Which transfer of its account it is to be; null for the next one. */
export function transferNumberOf(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  throw new ApiProblem("malformed", "number must be a whole number from 1, or absent: the next one");
}

/** A name, or the beginning of one, in a query; null where there is none. */
export function boundOf(query: URLSearchParams, name: string): string | null {
  const value = query.get(name);
  if (value === null || isShort(value)) return value;
  throw new ApiProblem("malformed", `${name} must be the name of an account, or the beginning of one`);
}

/** Names are ASCII; whatever else stands in one is refused where it is known what for. */
function isShort(text: string): boolean {
  return text.length <= ACCOUNT_NAME_CHARS_MAX && /^[\x20-\x7e]*$/.test(text);
}
