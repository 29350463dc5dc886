import { isHash } from "../lib/hash.ts";
import type { LedgerService, OrderedLedgerService, TransferOutcome } from "../node/service.ts";
import { consistencyOf } from "./application-routes.ts";
import { readObject } from "./bodies.ts";
import { type Call, json, settle, waitOf, within } from "./handlers.ts";
import { amountOf, nameOf, transferNumberOf } from "./ledger-bodies.ts";
import {
  listAccounts,
  listAllowances,
  orderApproval,
  orderTransfer,
  orderTransferFrom,
  readAccount,
  readSummary,
} from "./ordered-ledger-routes.ts";
import { ApiProblem } from "./problem.ts";

/** One set of routes for both ledgers: that of a total order, and that of a leaderless network. */
export async function getLedger(call: Call): Promise<Response> {
  const ledger = ledgerOf(call);
  if (ledger.order === "total") return await readSummary(call);
  requireLocal(call.query);
  const { total, ...summary } = ledger.summary();
  return json({ total: String(total), ...summary });
}

export async function getAccount(call: Call): Promise<Response> {
  const ledger = ledgerOf(call);
  const name = decoded(call.parameter);
  if (ledger.order === "total") {
    if (!ledger.isAccount(name)) throw noAccount(name);
    return await readAccount(call, ledger, name);
  }
  requireLocal(call.query);
  const account = ledger.account(name);
  if (account === null) throw noAccount(name);
  const waiting = account.waiting.map((transfer) => ({ ...transfer, amount: String(transfer.amount) }));
  return json({ ...account, balance: String(account.balance), waiting });
}

export async function getAccounts(call: Call): Promise<Response> {
  requireOrdered(ledgerOf(call), "a list of accounts");
  return await listAccounts(call);
}

export async function getAllowances(call: Call): Promise<Response> {
  const ledger = requireOrdered(ledgerOf(call), "an allowance");
  return await listAllowances(call, ledger);
}

export async function postTransfer(call: Call): Promise<Response> {
  const ledger = ledgerOf(call);
  const waitMs = waitOf(call.query);
  const body = await readObject(call.request, ["from", "to", "amount", "number"]);
  const wanted = {
    from: nameOf(body, "from"),
    to: nameOf(body, "to"),
    amount: amountOf(body, "amount", { min: 1n }),
    number: transferNumberOf(body["number"] ?? null),
  };
  if (ledger.order === "total") return await orderTransfer(call, ledger, { kind: "transfer", ...wanted });
  const submission = ledger.transfer(wanted);
  const [receipt] = await settle(submission, waitMs);
  const { number } = submission;
  const hash = receipt !== undefined && isHash(receipt.hash) ? receipt.hash : "";
  const outcome = waitMs === null ? null : await within(submission.outcome, waitMs, [hash]);
  const said = { from: wanted.from, to: wanted.to, amount: String(wanted.amount), number };
  return json({ ...said, ...receipt, ...resultOf(outcome) }, waitMs === null ? 202 : 200);
}

export async function postApproval(call: Call): Promise<Response> {
  const ledger = requireOrdered(ledgerOf(call), "an allowance");
  const body = await readObject(call.request, ["account", "spender", "amount", "expected"]);
  return await orderApproval(call, ledger, {
    kind: "approve",
    account: nameOf(body, "account"),
    spender: nameOf(body, "spender"),
    amount: amountOf(body, "amount", { min: 0n }),
    expected: (body["expected"] ?? null) === null ? null : amountOf(body, "expected", { min: 0n }),
  });
}

export async function postTransferFrom(call: Call): Promise<Response> {
  const ledger = requireOrdered(ledgerOf(call), "an allowance");
  const body = await readObject(call.request, ["spender", "from", "to", "amount"]);
  return await orderTransferFrom(call, ledger, {
    kind: "transfer-from",
    spender: nameOf(body, "spender"),
    from: nameOf(body, "from"),
    to: nameOf(body, "to"),
    amount: amountOf(body, "amount", { min: 1n }),
  });
}

function resultOf(outcome: TransferOutcome | null): { readonly result: string | null; readonly reason: string | null } {
  if (outcome === null) return { result: null, reason: null };
  return { result: outcome.kind, reason: outcome.kind === "applied" ? null : outcome.reason };
}

function ledgerOf({ ledger }: Call): LedgerService | OrderedLedgerService {
  if (ledger !== null) return ledger;
  throw new ApiProblem("no-ledger", "the genesis of this network names no ledger: its application is another one");
}

function requireOrdered(ledger: LedgerService | OrderedLedgerService, what: string): OrderedLedgerService {
  if (ledger.order === "total") return ledger;
  throw needsOrder(`${what} needs it`);
}

/** A leaderless network's node says what it knows, and cannot say more. */
function requireLocal(query: URLSearchParams): void {
  const consistency = query.get("consistency");
  if (consistency === null || consistencyOf(consistency) === "local") return;
  throw needsOrder("a linearizable read needs it; ask with consistency=local");
}

function needsOrder(why: string): ApiProblem {
  const what = "this network's engine is avalanche, which puts nothing but conflicts in an order";
  const remedy = "a network made with --engine pbft or --engine hotstuff has a total order";
  return new ApiProblem("needs-total-order", `${what}: ${why}; ${remedy}`);
}

function noAccount(name: string): ApiProblem {
  const rule = "an account is <owner>/<account>, and the owner is a validator's name or 32 digits of a node id";
  return new ApiProblem("malformed", `${JSON.stringify(name)} is no account of this ledger: ${rule}`);
}

/** The slash of a name may stand as it is, or escaped. */
function decoded(parameter: string): string {
  try {
    return decodeURIComponent(parameter);
  } catch {
    throw new ApiProblem("malformed", "the path is not percent-encoded (RFC 3986 §2.1)");
  }
}
