import { CommandFailed, EXIT } from "./exit-codes.ts";
import { lineText, valueText } from "./kv-text.ts";
import { detailOf, type TargetOptions, targetUrl } from "./node-client.ts";

interface WatchOptions extends TargetOptions {
  readonly json?: boolean;
  readonly from?: number;
  readonly limit?: number;
}

interface Change {
  readonly position: number;
  readonly key: string;
  readonly value: string | null;
  readonly version: number;
}

/** Prints changes as they happen, until as many were, or until it is interrupted. */
export async function watchKeys(prefix: string | undefined, options: WatchOptions): Promise<void> {
  const { from, limit = Number.POSITIVE_INFINITY } = options;
  if (from !== undefined && !(from >= 1))
    throw new CommandFailed("--from must be a position, a whole number from 1 on", EXIT.usage);
  if (!(limit >= 1)) throw new CommandFailed("--limit must be a whole number from 1 on", EXIT.usage);
  const url = targetUrl(options);
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/stream`);
  const over = Promise.withResolvers<void>();
  let left = limit;
  let last = 0;
  socket.onopen = () => socket.send(JSON.stringify({ subscribe: ["changes"], prefix, from }));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data)) as Readonly<Record<string, unknown>>;
    if (message["type"] === "error") over.reject(refusal(message["problem"]));
    if (message["type"] === "subscribed") console.error(`watching from position ${String(message["from"])}`);
    if (message["type"] !== "changes") return;
    for (const change of (message["items"] as readonly Change[]).slice(0, left)) {
      print(change, options);
      last = change.position;
      left -= 1;
    }
    if (left <= 0) over.resolve();
  };
  socket.onclose = ({ code }) => {
    const again = last > 0 ? `; go on with --from ${last}` : "; is it running, and is the address right?";
    over.reject(new CommandFailed(`the stream of ${url} ended (code ${code})${again}`, EXIT.unreachable));
  };
  try {
    await over.promise;
  } finally {
    socket.close();
  }
}

function print(change: Change, { json }: WatchOptions): void {
  if (json === true) return console.log(JSON.stringify(change));
  const value = change.value === null ? "deleted" : `= ${valueText(Uint8Array.fromBase64(change.value))}`;
  console.log(`${change.position}\t${lineText(change.key)}\t${value}`);
}

function refusal(problem: unknown): CommandFailed {
  return new CommandFailed(`the node refuses: ${detailOf(problem)}`);
}
