import { CommandFailed, EXIT } from "./exit-codes.ts";
import { call, detailOf, type TargetOptions, targetUrl } from "./node-client.ts";

export interface LedgerOptions extends TargetOptions {
  readonly json?: boolean;
}

interface ReadOptions extends LedgerOptions {
  readonly local?: boolean;
}

interface ListOptions extends ReadOptions {
  readonly limit?: number;
}

interface Account {
  readonly name: string;
  readonly balance: string;
  readonly nextNumber: number;
  readonly isOwn: boolean;
  readonly waiting: readonly { readonly to: string; readonly amount: string; readonly number: number }[];
}

interface Summary {
  readonly total: string;
  readonly accounts: number;
  /** Of a total order alone. */
  readonly allowances?: number;
  readonly digest: string;
  readonly sequence: number;
  readonly isCurrent: boolean;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

/** Longer than the node waits by itself, 30 s. */
export const ANSWER_MS_MAX = 40_000;

const PAGE_ITEMS = 500;

export async function printLedger(options: ReadOptions): Promise<void> {
  const body = (await read("/v1/ledger", {}, options)) as Summary;
  if (options.json === true) return console.log(JSON.stringify(body));
  console.log(`units     ${body.total}`);
  console.log(`accounts  ${body.accounts}`);
  console.log(`digest    ${body.digest}`);
  console.log(`sequence  ${body.sequence}${body.isCurrent ? "" : " (being rebuilt)"}`);
}

export async function printAccount(name: string, options: ReadOptions): Promise<void> {
  const path = name.split("/").map(encodeURIComponent).join("/");
  if (path.split("/").length !== 2)
    throw new CommandFailed(`an account is <owner>/<account>, not ${JSON.stringify(name)}`, EXIT.usage);
  const account = (await read(`/v1/ledger/accounts/${path}`, {}, options)) as Account;
  if (options.json === true) return console.log(JSON.stringify(account));
  console.log(`balance      ${account.balance}`);
  console.log(`next number  ${account.nextNumber}`);
  console.log(`owner        ${account.isOwn ? "this node" : "another node"}`);
  for (const { number, amount, to } of account.waiting) console.log(`waiting      ${number}: ${amount} to ${to}`);
}

export async function listAccounts(prefix: string | undefined, options: ListOptions): Promise<void> {
  await list<{ readonly name: string; readonly balance: string }>("/v1/ledger/accounts", { prefix }, options, (line) =>
    console.log(options.json === true ? JSON.stringify(line) : `${line.balance}\t${line.name}`),
  );
}

/** Of one account, or what one spender may move of it. */
export async function listAllowances(
  account: string,
  spender: string | undefined,
  options: ReadOptions,
): Promise<void> {
  const query = { account, spender };
  await list<{ readonly spender: string; readonly amount: string }>("/v1/ledger/allowances", query, options, (line) =>
    console.log(options.json === true ? JSON.stringify({ account, ...line }) : `${line.amount}\t${line.spender}`),
  );
}

/** All lines, page by page, unless there is a limit. */
async function list<T>(
  path: string,
  query: Readonly<Record<string, string | undefined>>,
  options: ListOptions,
  print: (line: T) => void,
): Promise<void> {
  const { limit = Number.POSITIVE_INFINITY } = options;
  if (!(limit >= 1)) throw new CommandFailed("--limit must be a whole number from 1 on", EXIT.usage);
  let from: string | undefined;
  for (let left = limit; left > 0; ) {
    const size = String(Math.min(PAGE_ITEMS, left));
    const { items, next } = (await read(path, { ...query, from, limit: size }, options)) as Page<T>;
    for (const item of items) print(item);
    left -= items.length;
    if (next === null) return;
    from = next;
  }
}

async function read(
  path: string,
  query: Readonly<Record<string, string | undefined>>,
  options: ReadOptions,
): Promise<unknown> {
  const said = new URLSearchParams(options.local === true ? { consistency: "local" } : {});
  for (const [name, value] of Object.entries(query)) if (value !== undefined) said.set(name, value);
  const url = targetUrl(options);
  const at = said.size === 0 ? path : `${path}?${said}`;
  const { status, body } = await call(url, at, { timeoutMs: ANSWER_MS_MAX });
  if (status === 200) return body;
  const cannot = status === 503 || status === 504;
  throw new CommandFailed(`${url}${path} answered ${status}: ${detailOf(body)}`, cannot ? EXIT.notReady : EXIT.failed);
}
