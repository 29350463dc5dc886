import { CommandFailed, EXIT } from "./exit-codes.ts";
import { ANSWER_MS_MAX, type LedgerOptions } from "./ledger.ts";
import { type Answer, call, detailOf, targetUrl } from "./node-client.ts";
import { Patience } from "./patience.ts";

interface WriteOptions extends LedgerOptions {
  readonly client?: string;
  readonly commandNumber?: number;
}

interface TransferOptions extends WriteOptions {
  readonly number?: number;
  readonly wait: boolean;
}

interface ApproveOptions extends WriteOptions {
  readonly expected?: string;
}

interface Transferred {
  readonly from: string;
  readonly to: string;
  readonly amount: string;
  readonly number: number;
  readonly hash: string | null;
  readonly result: "applied" | "waiting" | "rejected" | null;
  readonly reason: string | null;
}

interface Approved {
  readonly account: string;
  readonly spender: string;
  readonly amount: string;
  readonly previous: string;
}

interface TransferredFrom {
  readonly spender: string;
  readonly from: string;
  readonly to: string;
  readonly amount: string;
  readonly allowance: string;
}

/** Exit status 1 where it took no effect, though it is final. */
export async function transfer(
  wanted: { readonly from: string; readonly to: string; readonly amount: string },
  options: TransferOptions,
): Promise<void> {
  const { number, wait, json } = options;
  if (number !== undefined && !(number >= 1))
    throw new CommandFailed("--number must be a whole number from 1 on", EXIT.usage);
  const body = { ...wanted, ...(number === undefined ? {} : { number }) };
  const done = (await write(`transfers${wait ? "?wait=finalized" : ""}`, body, options)) as Transferred;
  if (json === true) console.log(JSON.stringify(done));
  else
    console.log(
      `${done.result ?? "accepted"}\t${done.from} #${done.number}\t${done.amount} to ${done.to}\t${done.hash ?? "(before)"}`,
    );
  if (done.result === "rejected") throw new CommandFailed(`no unit was moved: ${done.reason ?? ""}`);
  if (done.result === "waiting" && json !== true) console.log(`It takes effect later: ${done.reason ?? ""}`);
}

export async function approve(
  wanted: { readonly account: string; readonly spender: string; readonly amount: string },
  options: ApproveOptions,
): Promise<void> {
  const { expected, json } = options;
  const body = { ...wanted, ...(expected === undefined ? {} : { expected }) };
  const done = (await write("approvals", body, options)) as Approved;
  if (json === true) return console.log(JSON.stringify(done));
  console.log(`approved\t${done.spender} may move ${done.amount} of ${done.account}, was ${done.previous}`);
}

export async function transferFrom(
  wanted: { readonly spender: string; readonly from: string; readonly to: string; readonly amount: string },
  options: WriteOptions,
): Promise<void> {
  const done = (await write("transfers-from", wanted, options)) as TransferredFrom;
  if (options.json === true) return console.log(JSON.stringify(done));
  const rest = `${done.spender} may move ${done.allowance} more`;
  console.log(`applied\t${done.from}\t${done.amount} to ${done.to}\t${rest}`);
}

/** Under a name of its own, so that with a total order it takes effect once however often it must be sent. */
async function write(path: string, body: object, options: WriteOptions): Promise<unknown> {
  const url = targetUrl(options);
  const name = nameOf(options);
  const headers = { "content-type": "application/json", ...name };
  const init = { method: "POST", headers, body: JSON.stringify(body), timeoutMs: ANSWER_MS_MAX };
  const patience = new Patience();
  for (;;) {
    const answer = await call(url, `/v1/ledger/${path}`, init);
    const { status } = answer;
    if (status === 200 || status === 202) return answer.body;
    if (!isRetried(answer, name["x-cretoai-client"]) || patience.isOver) {
      const cannot = status === 429 || status === 503 || status === 504;
      const what = `the node answered ${status}: ${detailOf(answer.body)}`;
      throw new CommandFailed(what, cannot ? EXIT.notReady : EXIT.failed);
    }
    await patience.pause(answer);
  }
}

/** What was surely not taken in; and what may have been, where the node goes by the command's name and not by another. */
function isRetried({ status, retryAfterMs, body }: Answer, client: string): boolean {
  if (status === 429 || (status === 503 && retryAfterMs !== null)) return true;
  return status === 504 && typeof body === "object" && body !== null && Reflect.get(body, "client") === client;
}

function nameOf({ client, commandNumber: number }: WriteOptions): {
  readonly "x-cretoai-client": string;
  readonly "x-cretoai-number": string;
} {
  if ((client === undefined) !== (number === undefined))
    throw new CommandFailed("--client and --command-number belong together", EXIT.usage);
  if (number !== undefined && !(number >= 1))
    throw new CommandFailed("--command-number must be a whole number from 1 on", EXIT.usage);
  const own = client ?? crypto.getRandomValues(new Uint8Array(16)).toHex();
  return { "x-cretoai-client": own, "x-cretoai-number": String(number ?? 1) };
}
