import { stat } from "node:fs/promises";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { lineText, valueText } from "./kv-text.ts";
import { type Answer, call, detailOf, type TargetOptions, targetUrl } from "./node-client.ts";
import { Patience } from "./patience.ts";

interface KvOptions extends TargetOptions {
  readonly json?: boolean;
}

interface ReadOptions extends KvOptions {
  readonly local?: boolean;
}

interface ListOptions extends ReadOptions {
  readonly from?: string;
  readonly to?: string;
  readonly limit?: number;
  readonly reverse?: boolean;
}

interface WriteOptions extends KvOptions {
  readonly client?: string;
  readonly number?: number;
}

interface ValueOptions extends WriteOptions {
  readonly file?: string;
}

interface CasOptions extends ValueOptions {
  readonly delete?: boolean;
}

interface Entry {
  readonly key: string;
  readonly value: string;
  readonly version: number;
}

interface Written {
  readonly version: number;
  readonly previous: number | null;
  readonly isReplay: boolean;
}

interface Page {
  readonly items: readonly Entry[];
  readonly next: string | null;
  readonly position: number;
}

/** Longer than the node waits by itself, 30 s. */
const ANSWER_MS_MAX = 40_000;

const PAGE_ITEMS = 100;

/** More than the API takes is not read. */
const FILE_BYTES_MAX: number = 8 * 1024 * 1024;

/** The value as it is, so that it can be piped on; on a terminal with an end of line. */
export async function getKey(key: string, options: ReadOptions): Promise<void> {
  const { path, query } = placeOf(key);
  const { body } = await read(options, path, query);
  if (options.json === true) return console.log(JSON.stringify(body));
  const value = Uint8Array.fromBase64((body as Entry).value);
  await Bun.write(Bun.stdout, value);
  if (process.stdout.isTTY) console.log();
}

export async function putKey(key: string, value: string | undefined, options: ValueOptions): Promise<void> {
  const body = await readValue(value, options);
  say("written", key, await write(key, options, { method: "PUT", body }), options);
}

export async function deleteKey(key: string, options: WriteOptions): Promise<void> {
  say("deleted", key, await write(key, options, { method: "DELETE" }), options);
}

/** Exit status 1 where the key is not as it was expected to be. */
export async function compareAndSet(
  key: string,
  expected: string,
  value: string | undefined,
  options: CasOptions,
): Promise<void> {
  if (expected !== "absent" && !/^\d{1,16}$/.test(expected)) {
    throw new CommandFailed(`<expected> is a version or "absent", not ${JSON.stringify(expected)}`, EXIT.usage);
  }
  const deletes = options.delete === true;
  if (deletes && (value !== undefined || options.file !== undefined)) {
    throw new CommandFailed("give a value or --delete, not both", EXIT.usage);
  }
  const headers: Record<string, string> = expected === "absent" ? { "if-none-match": "*" } : { "if-match": expected };
  const init = deletes ? { method: "DELETE" } : { method: "PUT", body: await readValue(value, options) };
  say(deletes ? "deleted" : "written", key, await write(key, options, { ...init, headers }), options);
}

/** All keys of the range, page by page, unless there is a limit. */
export async function listKeys(prefix: string | undefined, options: ListOptions): Promise<void> {
  const { reverse = false, limit = Number.POSITIVE_INFINITY } = options;
  if (!(limit >= 1)) throw new CommandFailed("--limit must be a whole number from 1 on", EXIT.usage);
  const bounds = new Map(Object.entries({ prefix, from: options.from, to: options.to }));
  let position = Number.POSITIVE_INFINITY;
  for (let left = limit; left > 0; ) {
    const range = { ...Object.fromEntries(bounds), reverse: String(reverse) };
    const { body } = await read(options, "/v1/kv", { ...range, limit: String(Math.min(PAGE_ITEMS, left)) });
    const { items, next, ...page } = body as Page;
    for (const item of items) printEntry(item, options);
    left -= items.length;
    position = Math.min(position, page.position);
    if (next === null) break;
    bounds.set(reverse ? "to" : "from", next);
  }
  console.error(`as of position ${position}: what changes after it, kv watch tells --from ${position + 1}`);
}

function printEntry(entry: Entry, { json }: KvOptions): void {
  if (json === true) return console.log(JSON.stringify(entry));
  console.log(`${entry.version}\t${lineText(entry.key)}\t${valueText(Uint8Array.fromBase64(entry.value))}`);
}

function say(done: string, key: string, { body }: Answer, { json }: KvOptions): void {
  if (json === true) return console.log(JSON.stringify(body));
  const { version, previous, isReplay } = body as Written;
  const before = previous === null ? "was absent" : `was ${previous}`;
  // A number stands for its first write, whatever is sent under it again: who sends another one must see that.
  const replay = isReplay ? "\t(before, under this number)" : "";
  console.log(`${done}\t${lineText(key)}\tversion ${version}, ${before}${replay}`);
}

async function read(
  options: ReadOptions,
  path: string,
  query: Readonly<Record<string, string | undefined>>,
): Promise<Answer> {
  const said = new URLSearchParams({ consistency: options.local === true ? "local" : "linearizable" });
  for (const [name, value] of Object.entries(query)) if (value !== undefined) said.set(name, value);
  const answer = await call(targetUrl(options), `${path}?${said}`, { timeoutMs: ANSWER_MS_MAX });
  return requireSuccess(answer);
}

/** Under a name of its own, so that it takes effect once however often it must be sent. */
async function write(key: string, options: WriteOptions, init: RequestInit): Promise<Answer> {
  const { path, query } = placeOf(key);
  const url = targetUrl(options);
  const said = new URLSearchParams({ ...query });
  const headers = { "content-type": "application/octet-stream", ...init.headers, ...nameOf(options) };
  const patience = new Patience();
  for (;;) {
    const answer = await call(url, said.size === 0 ? path : `${path}?${said}`, {
      ...init,
      headers,
      timeoutMs: ANSWER_MS_MAX,
    });
    const mayRetry = answer.status === 429 || answer.status === 504 || answer.retryAfterMs !== null;
    if (!mayRetry || patience.isOver) return requireSuccess(answer);
    await patience.pause(answer);
  }
}

function nameOf({ client, number }: WriteOptions): Record<string, string> {
  if ((client === undefined) !== (number === undefined))
    throw new CommandFailed("--client and --number belong together", EXIT.usage);
  if (number !== undefined && !(number >= 1))
    throw new CommandFailed("--number must be a whole number from 1 on", EXIT.usage);
  const own = client ?? crypto.getRandomValues(new Uint8Array(16)).toHex();
  return { "x-cretoai-client": own, "x-cretoai-number": String(number ?? 1) };
}

function requireSuccess(answer: Answer): Answer {
  const { status, body } = answer;
  if (status === 200) return answer;
  const cannot = status === 429 || status === 503 || status === 504;
  throw new CommandFailed(`the node answered ${status}: ${detailOf(body)}`, cannot ? EXIT.notReady : EXIT.failed);
}

async function readValue(text: string | undefined, { file }: ValueOptions): Promise<Uint8Array<ArrayBuffer>> {
  if (text !== undefined && file !== undefined) throw new CommandFailed("give a value or --file, not both", EXIT.usage);
  if (text !== undefined) return new TextEncoder().encode(text);
  if (file === undefined) {
    if (process.stdin.isTTY) console.error("Reading the value from the keyboard; end with Ctrl-D.");
    return await Bun.stdin.bytes();
  }
  const info = await stat(file).catch((error: unknown) => {
    throw new CommandFailed(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  });
  if (info.isDirectory()) throw new CommandFailed(`${file} is a folder`);
  if (info.size > FILE_BYTES_MAX) throw new CommandFailed(`${file} has ${info.size} bytes: too many for a value`);
  return await Bun.file(file).bytes();
}

/** Where the key is. @throws CommandFailed where it is none */
function placeOf(key: string): { readonly path: string; readonly query: { readonly key?: string } } {
  if (key === "") throw new CommandFailed("a key has at least one character", EXIT.usage);
  // Every client of HTTP takes these for folders (WHATWG URL §4.4), escaped or not.
  if (key === "." || key === "..") return { path: "/v1/kv/", query: { key } };
  return { path: `/v1/kv/${encodeURIComponent(key.toWellFormed())}`, query: {} };
}
