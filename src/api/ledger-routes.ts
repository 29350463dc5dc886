import { isHash } from "../lib/hash.ts";
import type { LedgerService, TransferOutcome } from "../node/service.ts";
import { readObject } from "./bodies.ts";
import { type Call, json, settle, waitOf, within } from "./handlers.ts";
import { ApiProblem } from "./problem.ts";

export function getLedger(call: Call): Response {
  const { total, ...summary } = ledgerOf(call).summary();
  return json({ total: String(total), ...summary });
}

export function getAccount(call: Call): Response {
  const ledger = ledgerOf(call);
  const name = decoded(call.parameter);
  const account = ledger.account(name);
  if (account === null) {
    const rule = "an account is <owner>/<account>, and the owner is a validator's name or 32 digits of a node id";
    throw new ApiProblem("malformed", `${JSON.stringify(name)} is no account of this ledger: ${rule}`);
  }
  const waiting = account.waiting.map((transfer) => ({ ...transfer, amount: String(transfer.amount) }));
  return json({ ...account, balance: String(account.balance), waiting });
}

export async function postTransfer(call: Call): Promise<Response> {
  const ledger = ledgerOf(call);
  const waitMs = waitOf(call.query);
  const body = await readObject(call.request, ["from", "to", "amount", "number"]);
  const wanted = {
    from: textOf(body, "from"),
    to: textOf(body, "to"),
    amount: amountOf(body["amount"]),
    number: numberOf(body["number"] ?? null),
  };
  const submission = ledger.transfer(wanted);
  const [receipt] = await settle(submission, waitMs);
  const { number } = submission;
  const hash = receipt !== undefined && isHash(receipt.hash) ? receipt.hash : "";
  const outcome = waitMs === null ? null : await within(submission.outcome, waitMs, [hash]);
  const said = { from: wanted.from, to: wanted.to, amount: String(wanted.amount), number };
  return json({ ...said, ...receipt, ...resultOf(outcome) }, waitMs === null ? 202 : 200);
}

function resultOf(outcome: TransferOutcome | null): { readonly result: string | null; readonly reason: string | null } {
  if (outcome === null) return { result: null, reason: null };
  return { result: outcome.kind, reason: outcome.kind === "applied" ? null : outcome.reason };
}

function ledgerOf({ ledger }: Call): LedgerService {
  if (ledger !== null) return ledger;
  throw new ApiProblem("no-ledger", "the genesis of this network names no ledger: its payloads are opaque");
}

/** The slash of a name may stand as it is, or escaped. */
function decoded(parameter: string): string {
  try {
    return decodeURIComponent(parameter);
  } catch {
    throw new ApiProblem("malformed", "the path is not percent-encoded (RFC 3986 §2.1)");
  }
}

function textOf(body: Readonly<Record<string, unknown>>, member: string): string {
  const value = body[member];
  if (typeof value === "string") return value;
  throw new ApiProblem("malformed", `${member} must be a text: the name of an account`);
}

/** A text, because JSON's numbers are exact below 2^53 only. */
function amountOf(value: unknown): bigint {
  const amount = typeof value === "string" && /^[1-9]\d{0,19}$/.test(value) ? BigInt(value) : 0n;
  if (amount >= 1n && amount < 2n ** 64n) return amount;
  throw new ApiProblem("malformed", 'amount must be a text of a whole number, 1 to 2^64 - 1, such as "250"');
}

function numberOf(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  throw new ApiProblem("malformed", "number must be a whole number from 1, or absent: the next one");
}
