import { readFile } from "node:fs/promises";
import { call, detailOf, type TargetOptions, targetUrl } from "./node-client.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

export interface SubmitOptions extends TargetOptions {
  readonly file?: string;
  readonly raw?: boolean;
  readonly wait: boolean;
  readonly batch: string;
  readonly json?: boolean;
}

/** A node that stays overloaded for longer than this is not one to submit to. */
const RETRY_MS_MAX = 60_000;

/** Batches under way at a time: enough to keep the pipeline full. */
const BATCHES_AT_ONCE = 4;

const BAR_WIDTH = 30;

interface Receipt {
  readonly hash: string;
  readonly sequence: number | null;
  readonly finalityMs: number | null;
}

/** Submits a text, a file or standard input: one line is one transaction, unless `--raw`. */
export async function submit(text: string | undefined, options: SubmitOptions): Promise<void> {
  const url = targetUrl(options);
  const size = Number(options.batch);
  if (!Number.isInteger(size) || size < 1 || size > 10_000) {
    throw new CommandFailed("--batch must be a whole number from 1 to 10000", EXIT.usage);
  }
  const payloads = await payloadsOf(text, options);
  if (payloads.length === 0) throw new CommandFailed("nothing to submit: the input is empty", EXIT.usage);
  const startedMs = performance.now();
  const receipts = await submitAll(url, payloads, { size, wait: options.wait });
  const seconds = (performance.now() - startedMs) / 1_000;
  if (options.json === true) {
    console.log(JSON.stringify({ count: receipts.length, seconds, items: receipts }));
    return;
  }
  if (receipts.length <= 10)
    for (const { hash, sequence } of receipts) console.log(`${sequence ?? "accepted"}\t${hash}`);
  const rate = Math.round(receipts.length / seconds);
  console.log(
    `${receipts.length} ${options.wait ? "finalized" : "accepted"} in ${seconds.toFixed(2)} s (${rate}/s)${latencies(receipts)}`,
  );
}

export async function submitAll(
  url: string,
  payloads: readonly Uint8Array[],
  { size, wait }: { readonly size: number; readonly wait: boolean },
): Promise<readonly Receipt[]> {
  const batches = Array.from({ length: Math.ceil(payloads.length / size) }, (_, index) =>
    payloads.slice(index * size, (index + 1) * size),
  );
  const results: (readonly Receipt[])[] = [];
  let next = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < batches.length; index = next++) {
      results[index] = await submitBatch(url, batches[index] ?? [], wait);
      done += batches[index]?.length ?? 0;
      progress(done, payloads.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(BATCHES_AT_ONCE, batches.length) }, worker));
  return results.flat();
}

/** Retries while the node says that it is overloaded, for as long as it says. */
async function submitBatch(url: string, payloads: readonly Uint8Array[], wait: boolean): Promise<readonly Receipt[]> {
  const deadlineMs = performance.now() + RETRY_MS_MAX;
  for (;;) {
    const { status, body, retryAfterMs } = await call(url, `/v1/vertices/batch${wait ? "?wait=finalized" : ""}`, {
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: packPayloads(payloads),
    });
    if (status === 200 || status === 202) return receiptsOf(body);
    const mayRetry = (status === 429 || status === 503) && retryAfterMs !== null && performance.now() < deadlineMs;
    if (!mayRetry) throw new CommandFailed(`the node answered ${status}: ${detailOf(body)}`, exitCodeOf(status));
    await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
  }
}

function exitCodeOf(status: number): number {
  return status === 503 || status === 504 || status === 429 ? EXIT.notReady : EXIT.failed;
}

async function payloadsOf(text: string | undefined, { file, raw }: SubmitOptions): Promise<readonly Uint8Array[]> {
  if (text !== undefined && file !== undefined) throw new CommandFailed("give a text or --file, not both", EXIT.usage);
  if (text !== undefined) return [new TextEncoder().encode(text)];
  let content: Uint8Array;
  if (file === undefined) {
    if (process.stdin.isTTY) console.error("Reading transactions from the keyboard, one a line; end with Ctrl-D.");
    content = await Bun.stdin.bytes();
  } else {
    content = await readFile(file).catch((error: unknown) => {
      throw new CommandFailed(`${file} cannot be read: ${String(error)}`);
    });
  }
  return raw === true ? [content] : linesOf(content);
}

/** The lines that are not empty, without their ends. */
export function linesOf(content: Uint8Array): readonly Uint8Array[] {
  return new TextDecoder()
    .decode(content)
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .map((line) => new TextEncoder().encode(line));
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

function receiptsOf(body: unknown): readonly Receipt[] {
  const items: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "items") : null;
  if (!Array.isArray(items)) throw new CommandFailed("the node's answer has no items");
  return items;
}

function progress(done: number, total: number): void {
  if (!process.stderr.isTTY || total < 2) return;
  const filled = Math.round((done / total) * BAR_WIDTH);
  const end = done === total ? "\n" : "";
  process.stderr.write(`\r[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}] ${done}/${total}${end}`);
}

function latencies(receipts: readonly Receipt[]): string {
  const sorted = receipts.flatMap(({ finalityMs }) => (finalityMs === null ? [] : [finalityMs])).sort((a, b) => a - b);
  if (sorted.length === 0) return "";
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(0);
  return `, finality p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, slowest ${at(1)} ms`;
}
