import { CommandFailed, EXIT } from "./exit-codes.ts";
import { call, detailOf, get, type TargetOptions, targetUrl } from "./node-client.ts";
import { type Columns, printTable } from "./table.ts";

interface InspectOptions extends TargetOptions {
  readonly json?: boolean;
}

type Item = Readonly<Record<string, unknown>>;

/** What people compare of an id. */
const ID_DIGITS = 16;

const PEER_COLUMNS: Columns<Item> = [
  ["node id", ({ nodeId }) => String(nodeId).slice(0, ID_DIGITS)],
  ["role", ({ role }) => String(role ?? "-")],
  ["score", ({ score }) => (typeof score === "number" ? score.toFixed(2) : "-")],
  ["state", ({ state }) => String(state ?? "-")],
  ["banned until", bannedUntilText],
  ["address", ({ address }) => String(address ?? "away")],
  ["dialled by", ({ direction }) => (direction === "inbound" ? "it" : direction === "outbound" ? "this node" : "-")],
  ["round trip", ({ roundTripMs }) => (typeof roundTripMs === "number" ? `${roundTripMs.toFixed(1)} ms` : "-")],
  ["sent", ({ bytesSent }) => bytesText(bytesSent)],
  ["received", ({ bytesReceived }) => bytesText(bytesReceived)],
];

/** Prints one of the node's read-only documents. */
export async function inspect(what: "status" | "peers", options: InspectOptions): Promise<void> {
  const body = await get(targetUrl(options), `/v1/${what}`);
  if (options.json === true) console.log(JSON.stringify(body));
  else if (what === "status") printRecord(body);
  else printTable(itemsOf(body), PEER_COLUMNS);
}

/** Exit status 0 only where the node can finalize. */
export async function health(options: InspectOptions): Promise<void> {
  const url = targetUrl(options);
  await get(url, "/health");
  const { status, body } = await call(url, "/ready");
  const ready = status === 200;
  if (options.json === true) console.log(JSON.stringify({ alive: true, ready, detail: ready ? null : detailOf(body) }));
  else console.log(ready ? "alive and ready: the node can finalize" : `alive, not ready: ${detailOf(body)}`);
  if (!ready) throw new CommandFailed("", EXIT.notReady);
}

function printRecord(record: unknown): void {
  if (typeof record !== "object" || record === null) return;
  const width = Math.max(...Object.keys(record).map((key) => key.length));
  for (const [key, value] of Object.entries(record)) console.log(`${key.padEnd(width)}  ${String(value)}`);
}

function bannedUntilText({ ban, bannedUntil }: Item): string {
  if (typeof bannedUntil === "number") return new Date(bannedUntil).toISOString().slice(0, 19).replace("T", " ");
  return typeof ban === "object" && ban !== null ? "it is lifted" : "-";
}

function bytesText(value: unknown): string {
  const bytes = Number(value);
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function itemsOf(body: unknown): readonly Item[] {
  const items: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "items") : null;
  return Array.isArray(items) ? items : [];
}
