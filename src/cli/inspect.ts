import { call, detailOf, get, type TargetOptions, targetUrl } from "./node-client.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

interface InspectOptions extends TargetOptions {
  readonly json?: boolean;
}

/** Prints one of the node's read-only documents. */
export async function inspect(what: "status" | "peers" | "validators", options: InspectOptions): Promise<void> {
  const body = await get(targetUrl(options), `/v1/${what}`);
  if (options.json === true) {
    console.log(JSON.stringify(body));
    return;
  }
  if (what === "status") printRecord(body);
  else for (const item of itemsOf(body)) printRecord(item);
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
  console.log();
}

function itemsOf(body: unknown): readonly unknown[] {
  const items: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "items") : null;
  return Array.isArray(items) ? items : [];
}
