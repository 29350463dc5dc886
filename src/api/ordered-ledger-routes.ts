import type { ApplicationStanding, CommandOutcome } from "../node/application-service.ts";
import type { OrderedLedgerService } from "../node/service.ts";
import {
  decodeLedgerReceipt,
  encodeLedgerCommand,
  isLedgerRefusal,
  type LedgerCommand,
  type LedgerReceipt,
  type LedgerRefusal,
  LEDGER_REFUSALS,
  refusedAt,
} from "../replication/ledger/ledger-command.ts";
import {
  decodeLedgerAnswer,
  encodeLedgerQuestion,
  LEDGER_LINES_MAX,
  type LedgerAnswer,
  type LedgerQuestion,
} from "../replication/ledger/ledger-query.ts";
import { applicationOf, consistencyOf, perform, timeoutOf } from "./application-routes.ts";
import { nameOfHeaders } from "./command-bodies.ts";
import { type Call, json, numberOf } from "./handlers.ts";
import { boundOf } from "./ledger-bodies.ts";
import { PAGE_ITEMS_DEFAULT } from "./limits.ts";
import type { CommandName } from "./own-clients.ts";
import { ApiProblem, type ProblemKind } from "./problem.ts";

type Of<K extends LedgerCommand["kind"]> = Extract<LedgerCommand, { kind: K }>;

export async function readSummary(call: Call): Promise<Response> {
  const { answer, standing } = await ask(call, { kind: "summary" });
  const { total, accounts, allowances, digest } = answer;
  const old = { digest, sequence: standing.position, isCurrent: true };
  return json({ total: String(total), accounts, allowances, ...old, ...standing });
}

export async function readAccount(call: Call, ledger: OrderedLedgerService, name: string): Promise<Response> {
  const { answer, standing } = await ask(call, { kind: "account", name });
  const { balance, applied } = answer.account;
  const own = { nextNumber: applied + 1, isOwn: ledger.isOwn(name), waiting: [] };
  return json({ name, balance: String(balance), ...own, ...standing });
}

export async function listAccounts(call: Call): Promise<Response> {
  const prefix = boundOf(call.query, "prefix") ?? "";
  const from = boundOf(call.query, "from");
  const { answer, standing } = await ask(call, { kind: "accounts", prefix, from, limit: limitOf(call.query) });
  const items = answer.accounts.map(({ name, balance, applied }) => {
    return { name, balance: String(balance), nextNumber: applied + 1 };
  });
  return json({ items, next: answer.next, ...standing });
}

export async function listAllowances(call: Call, ledger: OrderedLedgerService): Promise<Response> {
  const account = accountIn(call.query, "account", ledger);
  if (call.query.has("spender")) {
    const spender = accountIn(call.query, "spender", ledger);
    const { answer, standing } = await ask(call, { kind: "allowance", account, spender });
    return json({ account, items: [{ spender, amount: String(answer.amount) }], next: null, ...standing });
  }
  const from = boundOf(call.query, "from");
  const { answer, standing } = await ask(call, { kind: "allowances", account, from, limit: limitOf(call.query) });
  const items = answer.allowances.map(({ spender, amount }) => ({ spender, amount: String(amount) }));
  return json({ account, items, next: answer.next, ...standing });
}

export async function orderTransfer(
  call: Call,
  ledger: OrderedLedgerService,
  wanted: Of<"transfer">,
): Promise<Response> {
  const { receipt, outcome } = await order(call, ledger, wanted);
  const { from, to, amount, number, fromBalance, toBalance } = receipt;
  const balances = { fromBalance: String(fromBalance), toBalance: String(toBalance) };
  // As a leaderless network's node says it; what only waits there is refused here.
  const settled = { hash: outcome.hash, sequence: outcome.position, finalized: true, finalityMs: null };
  const result = { result: "applied", reason: null };
  return json({ from, to, amount: String(amount), number, ...settled, ...result, ...balances, ...placeOf(outcome) });
}

export async function orderApproval(
  call: Call,
  ledger: OrderedLedgerService,
  wanted: Of<"approve">,
): Promise<Response> {
  const { receipt, outcome } = await order(call, ledger, wanted);
  const { account, spender, amount, previous } = receipt;
  return json({ account, spender, amount: String(amount), previous: String(previous), ...placeOf(outcome) });
}

export async function orderTransferFrom(
  call: Call,
  ledger: OrderedLedgerService,
  wanted: Of<"transfer-from">,
): Promise<Response> {
  const { receipt, outcome } = await order(call, ledger, wanted);
  const { spender, from, to, amount, allowance, fromBalance, toBalance } = receipt;
  const balances = { fromBalance: String(fromBalance), toBalance: String(toBalance) };
  const moved = { spender, from, to, amount: String(amount), allowance: String(allowance), ...balances };
  return json({ ...moved, ...placeOf(outcome) });
}

/** An answer of the question's kind, and as of when. */
async function ask<K extends LedgerQuestion["kind"]>(
  call: Call,
  question: Extract<LedgerQuestion, { kind: K }>,
): Promise<{ readonly answer: Extract<LedgerAnswer, { kind: K }>; readonly standing: ApplicationStanding }> {
  const consistency = consistencyOf(call.query.get("consistency"));
  const options = { consistency, timeoutMs: timeoutOf(call.query) };
  const { answer, position, batch, stateHash } = await applicationOf(call).query(
    encodeLedgerQuestion(question),
    options,
  );
  const said = decodeLedgerAnswer(answer) as Extract<LedgerAnswer, { kind: K }>;
  return { answer: said, standing: { position, batch, stateHash } };
}

interface Ordered<K extends LedgerCommand["kind"]> {
  readonly receipt: Extract<LedgerReceipt, { kind: K }>;
  readonly outcome: CommandOutcome;
}

/** @throws ApiProblem where the command was refused, by this node or, for good, by the ledger */
async function order<K extends LedgerCommand["kind"]>(
  call: Call,
  ledger: OrderedLedgerService,
  wanted: Extract<LedgerCommand, { kind: K }>,
): Promise<Ordered<K>> {
  const application = applicationOf(call);
  const timeoutMs = timeoutOf(call.query);
  const named = nameOfHeaders(call.request.headers);
  ledger.check(wanted);
  const body = encodeLedgerCommand(wanted);
  const send = (name: CommandName): Promise<CommandOutcome> => perform(application, { ...name, body }, timeoutMs);
  const outcome = named === null ? await call.ownClients.run(send) : await send(named);
  return { receipt: receiptOf(outcome, wanted), outcome };
}

function receiptOf<K extends LedgerCommand["kind"]>(
  outcome: CommandOutcome,
  wanted: Extract<LedgerCommand, { kind: K }>,
): Extract<LedgerReceipt, { kind: K }> {
  const { status, result, reason } = outcome;
  if (status === "rejected" && reason !== null && isLedgerRefusal(reason)) throw refusal(reason, outcome);
  const receipt = status === "applied" && result.kind === "bytes" ? decodeLedgerReceipt(result.bytes) : null;
  if (receipt !== null && isReceiptOf(receipt, wanted)) return receipt as Extract<LedgerReceipt, { kind: K }>;
  const { number, client } = outcome;
  const what = `number ${number} of client ${client} was another command: number on from there`;
  throw new ApiProblem("number-used", what);
}

/** Whether it is what this very command did: its number may have been another's. */
function isReceiptOf(receipt: LedgerReceipt, wanted: LedgerCommand): boolean {
  const did = new Map<string, unknown>(Object.entries(receipt));
  return Object.entries(wanted).every(([member, value]) => {
    const isWish = member === "expected" || (member === "number" && value === null);
    return isWish || did.get(member) === value;
  });
}

const PROBLEM_OF: Readonly<Record<LedgerRefusal, ProblemKind>> = {
  malformed: "malformed-transfer",
  "malformed-account": "malformed-transfer",
  "not-owner": "not-owner",
  "unknown-owner": "malformed-transfer",
  "zero-amount": "malformed-transfer",
  "self-transfer": "malformed-transfer",
  "self-approval": "malformed-transfer",
  "number-used": "number-used",
  "number-ahead": "number-ahead",
  "insufficient-balance": "insufficient-balance",
  "insufficient-allowance": "insufficient-allowance",
  "allowance-changed": "allowance-changed",
  "accounts-full": "ledger-full",
  "allowances-full": "ledger-full",
};

/** The ledger's refusal as a problem: `current` is what it found, `reason` its own word. */
function refusal(reason: LedgerRefusal, outcome: CommandOutcome): ApiProblem {
  const found = outcome.result.kind === "bytes" ? refusedAt(outcome.result.bytes) : null;
  const current = found === null ? {} : { current: String(found) };
  const detail = found === null ? LEDGER_REFUSALS[reason] : `${LEDGER_REFUSALS[reason]} ${found}`;
  const { client, number } = outcome;
  return new ApiProblem(PROBLEM_OF[reason], detail, {
    extra: { reason, ...current, client, number, ...placeOf(outcome) },
  });
}

/** Where a command took its place, and what the state was then or later. */
function placeOf({ position, sequence, stateHash, isReplay }: CommandOutcome): Readonly<Record<string, unknown>> {
  return { position, batch: sequence, stateHash, isReplay };
}

function accountIn(query: URLSearchParams, name: string, ledger: OrderedLedgerService): string {
  const account = query.get(name) ?? "";
  if (ledger.isAccount(account)) return account;
  throw new ApiProblem("malformed", `${name} must be the name of an account that somebody can own`);
}

function limitOf(query: URLSearchParams): number {
  return numberOf(query, "limit", { min: 1, max: LEDGER_LINES_MAX, fallback: PAGE_ITEMS_DEFAULT });
}
