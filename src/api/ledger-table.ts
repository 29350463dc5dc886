import { LEDGER_LINES_MAX } from "../replication/ledger/ledger-query.ts";
import { CONSISTENCY, NAME_HEADERS, ORDER_PROBLEMS, TIMEOUT } from "./application-table.ts";
import {
  getAccount,
  getAccounts,
  getAllowances,
  getLedger,
  postApproval,
  postTransfer,
  postTransferFrom,
} from "./ledger-routes.ts";
import { PAGE_ITEMS_DEFAULT } from "./limits.ts";
import type { ProblemKind } from "./problem.ts";
import type { Parameter, Route } from "./route.ts";
import { object, text } from "./schema-parts.ts";

const READ: readonly Parameter[] = [
  {
    name: "consistency",
    description: `${CONSISTENCY.description}. A leaderless network's reads are local`,
    schema: CONSISTENCY,
  },
  TIMEOUT,
];

const PAGE: readonly Parameter[] = [
  { name: "from", description: "the first name, inclusive", schema: text },
  {
    name: "limit",
    description: "the most items",
    schema: { type: "integer", minimum: 1, maximum: LEDGER_LINES_MAX, default: PAGE_ITEMS_DEFAULT },
  },
];

const WAIT: Parameter = {
  name: "wait",
  description: "`finalized`: answer when final. With a total order an answer is always that",
  schema: { type: "string", enum: ["finalized"] },
};

const READ_PROBLEMS: readonly ProblemKind[] = ["malformed", "no-ledger", "needs-total-order", ...ORDER_PROBLEMS];

const WRITE_PROBLEMS: readonly ProblemKind[] = [
  "malformed",
  "malformed-transfer",
  "not-owner",
  "no-ledger",
  "number-used",
  "number-forgotten",
  "ledger-full",
  "unsupported-media-type",
  ...ORDER_PROBLEMS,
];

const TRANSFER_PROBLEMS: readonly ProblemKind[] = [...WRITE_PROBLEMS, "number-ahead", "insufficient-balance"];
const APPROVAL_PROBLEMS: readonly ProblemKind[] = [...WRITE_PROBLEMS, "needs-total-order", "allowance-changed"];
const TRANSFER_FROM_PROBLEMS: readonly ProblemKind[] = [
  ...WRITE_PROBLEMS,
  "needs-total-order",
  "insufficient-balance",
  "insufficient-allowance",
];

const UNITS = { type: "string", pattern: "^[1-9][0-9]{0,19}$", description: "units, as a text" };
const UNITS_OR_NONE = {
  type: "string",
  pattern: "^(0|[1-9][0-9]{0,19})$",
  description: "units, as a text; 0 for none",
};

const TRANSFER = object(
  { from: { ...text, description: "owner/account; the owner is this validator's name" }, to: text, amount: UNITS },
  {
    number: {
      type: "integer",
      minimum: 1,
      description: "the transfer's number at its account; the next one if absent",
    },
  },
);

const APPROVAL = object(
  {
    account: { ...text, description: "whose units; the owner is this validator's name" },
    spender: { ...text, description: "the account whose owner may move them" },
    amount: UNITS_OR_NONE,
  },
  {
    expected: {
      ...UNITS_OR_NONE,
      description: "only where this is what is left of the allowance now: else it may be spent twice, before and after",
    },
  },
);

const TRANSFER_FROM = object({
  spender: { ...text, description: "the owner is this validator's name" },
  from: { ...text, description: "whose units" },
  to: text,
  amount: UNITS,
});

const ONCE = "With client and number in headers exactly once, where there is a total order";

/** Routes of both ledgers: that of a total order, and that of a leaderless network. */
export const LEDGER_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/ledger",
    summary: "The ledger: all units, accounts, and a digest to compare nodes by",
    query: READ,
    answers: { 200: "Ledger" },
    problems: READ_PROBLEMS,
    handle: getLedger,
  },
  {
    method: "GET",
    path: "/v1/ledger/accounts",
    summary: "Accounts by name (total order only)",
    query: [{ name: "prefix", description: "names that begin with it", schema: text }, ...PAGE, ...READ],
    answers: { 200: "LedgerAccounts" },
    problems: READ_PROBLEMS,
    handle: getAccounts,
  },
  {
    method: "GET",
    path: "/v1/ledger/accounts/{owner}/{account}",
    summary: "One account: balance, next number, and what waits. One that nobody paid yet is empty",
    query: READ,
    answers: { 200: "LedgerAccount" },
    problems: READ_PROBLEMS,
    handle: getAccount,
  },
  {
    method: "GET",
    path: "/v1/ledger/allowances",
    summary: "What spenders may move of an account, by spender; or what one spender may (total order only)",
    query: [
      { name: "account", description: "whose units", schema: text },
      { name: "spender", description: "this one alone, also where it may move nothing", schema: text },
      ...PAGE,
      ...READ,
    ],
    answers: { 200: "LedgerAllowances" },
    problems: READ_PROBLEMS,
    handle: getAllowances,
  },
  {
    method: "POST",
    path: "/v1/ledger/transfers",
    summary: `Transfer units from an account that this validator owns. Answered when it is durable at this node, or final. ${ONCE}`,
    query: [WAIT, TIMEOUT],
    headers: NAME_HEADERS,
    body: { "application/json": TRANSFER },
    answers: { 200: "Transfer", 202: "Transfer" },
    problems: TRANSFER_PROBLEMS,
    handle: postTransfer,
  },
  {
    method: "POST",
    path: "/v1/ledger/approvals",
    summary: `Let a spender move so many units of an account that this validator owns, in place of what it was allowed before (total order only). ${ONCE}`,
    query: [TIMEOUT],
    headers: NAME_HEADERS,
    body: { "application/json": APPROVAL },
    answers: { 200: "Approval" },
    problems: APPROVAL_PROBLEMS,
    handle: postApproval,
  },
  {
    method: "POST",
    path: "/v1/ledger/transfers-from",
    summary: `Transfer units of another account, as far as a spender that this validator owns is allowed to (total order only). ${ONCE}`,
    query: [TIMEOUT],
    headers: NAME_HEADERS,
    body: { "application/json": TRANSFER_FROM },
    answers: { 200: "TransferFrom" },
    problems: TRANSFER_FROM_PROBLEMS,
    handle: postTransferFrom,
  },
];
