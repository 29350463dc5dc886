import type { KvInput, KvItem, KvOutput, Seen } from "./kv-operations.ts";
import type { Attempt, CommandName, KvTarget } from "./kv-target.ts";

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer> | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** Answers that a node gives before it takes a command in. All others with an error tell nothing of its effect. */
const REFUSALS: readonly number[] = [400, 403, 405, 413, 415, 429];

/** A node by its routes under /v1/kv; reads are linearizable ones. */
export class HttpTarget implements KvTarget {
  readonly name: string;

  /** @param url as `http://127.0.0.1:8080`, without a slash at the end */
  constructor(url: string) {
    this.name = url;
  }

  async attempt(input: KvInput, command: CommandName | null, signal: AbortSignal): Promise<Attempt> {
    const { method, path, headers, body } = requestOf(input);
    const named = command === null ? {} : nameHeaders(command);
    try {
      const response = await fetch(`${this.name}${path}`, { method, headers: { ...headers, ...named }, body, signal });
      const text = await response.text();
      return attemptOf(input, response.status, text);
    } catch (error) {
      // A connection that is refused brought nothing there; one that broke may have.
      const { code, name, message } = error as { code?: string; name?: string; message?: string };
      const isRefused = code === "ECONNREFUSED" || code === "ConnectionRefused";
      return { type: isRefused ? "refused" : "unknown", reason: `${code ?? name}: ${message}` };
    }
  }
}

function requestOf(input: KvInput): Request {
  if (input.type === "range") return { method: "GET", path: rangePath(input), headers: {}, body: null };
  const path = `/v1/kv/${encodeURIComponent(input.key)}`;
  switch (input.type) {
    case "get":
      return { method: "GET", path: `${path}?consistency=linearizable`, headers: {}, body: null };
    case "put":
      return writeOf(path, {}, input.value);
    case "delete":
      return writeOf(path, {}, null);
    case "compare-and-set":
      return writeOf(path, conditionOf(input), input.next);
  }
}

function writeOf(path: string, headers: Readonly<Record<string, string>>, value: string | null): Request {
  if (value === null) return { method: "DELETE", path, headers, body: null };
  const type = { "content-type": "application/octet-stream" };
  return { method: "PUT", path, headers: { ...headers, ...type }, body: new TextEncoder().encode(value) };
}

function conditionOf({ expected }: Extract<KvInput, { type: "compare-and-set" }>): Readonly<Record<string, string>> {
  if (expected.type === "absent") return { "if-none-match": "*" };
  if (expected.type === "version") return { "if-match": String(expected.version) };
  throw new Error("the routes under /v1/kv compare versions: set comparesValues to false");
}

function rangePath({ from, to, limit, reverse }: Extract<KvInput, { type: "range" }>): string {
  const query = new URLSearchParams({ from, limit: String(limit), consistency: "linearizable" });
  if (to !== null) query.set("to", to);
  if (reverse) query.set("reverse", "true");
  return `/v1/kv?${query}`;
}

function nameHeaders({ client, number }: CommandName): Readonly<Record<string, string>> {
  return { "x-cretoai-client": client, "x-cretoai-number": String(number) };
}

function attemptOf(input: KvInput, status: number, text: string): Attempt {
  const body = fieldsOf(text);
  if (body === null) return { type: "unknown", reason: `${status} without JSON` };
  const output = outputOf(input, status, body);
  if (output !== null) return { type: "ok", output };
  const reason = `${status} ${String(body["type"] ?? "")}: ${String(body["detail"] ?? text.slice(0, 200))}`;
  return { type: REFUSALS.includes(status) ? "refused" : "unknown", reason };
}

/** Null where the answer is an error. @throws Error where a success does not look like one: a bug of the node, or of this */
function outputOf(input: KvInput, status: number, body: Fields): KvOutput | null {
  const isMissing = status === 404 && String(body["type"]).endsWith("/no-such-key");
  if (input.type === "get" && isMissing) return { type: "read", item: null };
  if (input.type === "delete" && isMissing) return { type: "written", version: "untold", previous: "absent" };
  if (input.type === "compare-and-set" && isMissing) return { type: "conflict", current: "absent" };
  if (input.type === "compare-and-set" && status === 412) return { type: "conflict", current: seenOf(body, "current") };
  if (status !== 200 && status !== 201) return null;
  if (input.type === "get") return { type: "read", item: itemOf(body) };
  if (input.type !== "range") return { type: "written", version: versionOf(body), previous: seenOf(body, "previous") };
  const items = body["items"];
  if (!Array.isArray(items)) throw new Error(`a range without items: ${JSON.stringify(body)}`);
  return { type: "items", items: items.map((item: Fields) => ({ ...itemOf(item), key: String(item["key"]) })) };
}

function itemOf(fields: Fields): Omit<KvItem, "key"> {
  const value = fields["value"];
  if (typeof value !== "string") throw new Error(`an item without a value: ${JSON.stringify(fields)}`);
  return { value: new TextDecoder().decode(Uint8Array.fromBase64(value)), version: versionOf(fields) };
}

function versionOf(fields: Fields): number {
  const version = fields["version"];
  if (typeof version !== "number") throw new Error(`no version: ${JSON.stringify(fields)}`);
  return version;
}

/** Null says that nothing is there. */
function seenOf(fields: Fields, name: string): Seen {
  const seen = fields[name];
  if (seen === undefined) return "untold";
  if (seen === null) return "absent";
  if (typeof seen !== "number") throw new Error(`${name} is no version: ${JSON.stringify(fields)}`);
  return seen;
}

function fieldsOf(text: string): Fields | null {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? (body as Fields) : null;
  } catch {
    return null;
  }
}
