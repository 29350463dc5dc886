import { CommandFailed, EXIT } from "./exit-codes.ts";
import { get, type TargetOptions, targetUrl } from "./node-client.ts";
import { post } from "./submit.ts";

interface LedgerOptions extends TargetOptions {
  readonly json?: boolean;
}

interface TransferOptions extends LedgerOptions {
  readonly number?: number;
  readonly wait: boolean;
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
  readonly digest: string;
  readonly sequence: number;
  readonly isCurrent: boolean;
}

interface Transferred {
  readonly from: string;
  readonly to: string;
  readonly amount: string;
  readonly number: number;
  readonly hash: string;
  readonly result: "applied" | "waiting" | "rejected" | null;
  readonly reason: string | null;
}

export async function printLedger(options: LedgerOptions): Promise<void> {
  const body = (await get(targetUrl(options), "/v1/ledger")) as Summary;
  if (options.json === true) return console.log(JSON.stringify(body));
  console.log(`units     ${body.total}`);
  console.log(`accounts  ${body.accounts}`);
  console.log(`digest    ${body.digest}`);
  console.log(`sequence  ${body.sequence}${body.isCurrent ? "" : " (being rebuilt)"}`);
}

export async function printAccount(name: string, options: LedgerOptions): Promise<void> {
  const path = name.split("/").map(encodeURIComponent).join("/");
  if (path.split("/").length !== 2)
    throw new CommandFailed(`an account is <owner>/<account>, not ${JSON.stringify(name)}`, EXIT.usage);
  const account = (await get(targetUrl(options), `/v1/ledger/accounts/${path}`)) as Account;
  if (options.json === true) return console.log(JSON.stringify(account));
  console.log(`balance      ${account.balance}`);
  console.log(`next number  ${account.nextNumber}`);
  console.log(`owner        ${account.isOwn ? "this node" : "another node"}`);
  for (const { number, amount, to } of account.waiting) console.log(`waiting      ${number}: ${amount} to ${to}`);
}

/** Exit status 1 where it took no effect, though it is final. */
export async function transfer(
  wanted: { readonly from: string; readonly to: string; readonly amount: string },
  options: TransferOptions,
): Promise<void> {
  const { number, wait, json } = options;
  if (number !== undefined && !(number >= 1))
    throw new CommandFailed("--number must be a whole number from 1 on", EXIT.usage);
  const body = JSON.stringify({ ...wanted, ...(number === undefined ? {} : { number }) });
  const request = { path: "/v1/ledger/transfers", wait, type: "application/json", body };
  const done = (await post(targetUrl(options), request)) as Transferred;
  if (json === true) console.log(JSON.stringify(done));
  else
    console.log(
      `${done.result ?? "accepted"}\t${done.from} #${done.number}\t${done.amount} to ${done.to}\t${done.hash}`,
    );
  if (done.result === "rejected") throw new CommandFailed(`no unit was moved: ${done.reason ?? ""}`);
  if (done.result === "waiting" && json !== true) console.log(`It takes effect later: ${done.reason ?? ""}`);
}
