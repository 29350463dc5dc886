import { call, detailOf } from "./node-client.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { Patience } from "./patience.ts";

/** Longer than the longest wait that the API knows, 120 s. */
const ANSWER_MS_MAX = 150_000;

/** Payload bytes of one request; the API takes 8 MiB with all around it. */
const BATCH_BYTES_MAX: number = 4 * 1024 * 1024;

/** What became of one transaction. */
export interface Receipt {
  readonly hash: string;
  readonly sequence: number | null;
  readonly finalityMs: number | null;
}

export type Batch = readonly Uint8Array[];

/** Cuts groups of payloads into requests of at most `countMax` payloads and 4 MiB. */
export async function* batchesOf(
  groups: AsyncIterable<Batch> | Iterable<Batch>,
  countMax: number,
): AsyncGenerator<Batch> {
  for await (const group of groups) {
    let batch: Uint8Array[] = [];
    let bytes = 0;
    for (const payload of group) {
      if (batch.length === countMax || (batch.length > 0 && bytes + payload.length > BATCH_BYTES_MAX)) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(payload);
      bytes += payload.length;
    }
    if (batch.length > 0) yield batch;
  }
}

/**
 * Hands batches to `submit` as they come, at most `atOnce` at a time: the input is not read faster than it is taken.
 * Rejects with the first failure.
 */
export async function submitAll(
  batches: AsyncIterable<Batch>,
  { atOnce, submit }: { readonly atOnce: number; readonly submit: (batch: Batch) => Promise<void> },
): Promise<void> {
  const iterator = batches[Symbol.asyncIterator]();
  let failed = false;
  const worker = async (): Promise<void> => {
    try {
      for (let next = await iterator.next(); next.done !== true && !failed; next = await iterator.next()) {
        await submit(next.value);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** With conflict keys a batch is of one payload. */
interface SubmitWith {
  readonly wait: boolean;
  readonly keys?: readonly Uint8Array[];
}

/** Submits one batch, all or none; asks again while the node says that it is overloaded, after as long as it says. */
export async function submitBatch(
  url: string,
  payloads: Batch,
  { wait, keys = [] }: SubmitWith,
): Promise<readonly Receipt[]> {
  const [payload] = payloads;
  if (keys.length === 0 || payload === undefined)
    return receiptsOf(
      await post(url, {
        path: "/v1/vertices/batch",
        wait,
        type: "application/octet-stream",
        body: packPayloads(payloads),
      }),
    );
  const body = JSON.stringify({ payload: payload.toBase64(), conflictKeys: keys.map((key) => key.toBase64()) });
  return receiptsOf({ items: [await post(url, { path: "/v1/vertices", wait, type: "application/json", body })] });
}

interface Post {
  readonly path: string;
  readonly wait: boolean;
  readonly type: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
}

/** Asks again while the node says that it is overloaded, after as long as it says; answers the body of success. */
export async function post(url: string, { path, wait, type, body: sent }: Post): Promise<unknown> {
  const patience = new Patience();
  for (;;) {
    const answer = await call(url, `${path}${wait ? "?wait=finalized" : ""}`, {
      method: "POST",
      headers: { "content-type": type },
      body: sent,
      timeoutMs: ANSWER_MS_MAX,
    });
    const { status, body, retryAfterMs } = answer;
    if (status === 200 || status === 202) return body;
    const mayRetry = status === 429 || (status === 503 && retryAfterMs !== null);
    if (!mayRetry || patience.isOver)
      throw new CommandFailed(`the node answered ${status}: ${detailOf(body)}`, exitCodeOf(status));
    await patience.pause(answer);
  }
}

/** The binary batch: each payload behind its u32 little-endian length. */
export function packPayloads(payloads: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = payloads.reduce((sum, payload) => sum + 4 + payload.length, 0);
  const packed = new Uint8Array(size);
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const payload of payloads) {
    view.setUint32(at, payload.length, true);
    packed.set(payload, at + 4);
    at += 4 + payload.length;
  }
  return packed;
}

function exitCodeOf(status: number): number {
  return status === 503 || status === 504 || status === 429 ? EXIT.notReady : EXIT.failed;
}

function receiptsOf(body: unknown): readonly Receipt[] {
  const items: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "items") : null;
  if (!Array.isArray(items)) throw new CommandFailed("the node's answer has no items: is this a cretoai node's API?");
  return items;
}
