import { stat } from "node:fs/promises";
import { PAYLOAD_BYTES_LIMIT } from "../node/config-keys.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { Latencies } from "./latencies.ts";
import { linesOfStream } from "./lines.ts";
import { type TargetOptions, targetUrl } from "./node-client.ts";
import { Progress } from "./progress.ts";
import { type Batch, batchesOf, type Receipt, submitAll, submitBatch } from "./submit.ts";

export interface SubmitOptions extends TargetOptions {
  readonly file?: string;
  readonly raw?: boolean;
  readonly wait: boolean;
  readonly batch: number;
  readonly conflictKey?: readonly string[];
  readonly json?: boolean;
}

/** Requests under way at a time: enough to keep the pipeline full. */
const BATCHES_AT_ONCE = 4;

/** The most that the API takes in one batch. */
const BATCH_COUNT_MAX = 10_000;

/** Hashes are printed for this many transactions; who wants more asks for JSON. */
const PRINTED_MAX = 10;

interface Input {
  readonly groups: AsyncIterable<Batch> | Iterable<Batch>;
  /** Null where the end is not known. */
  readonly bytes: number | null;
}

/** Submits a text, a file or standard input: one line is one transaction, unless `--raw`. */
export async function submit(text: string | undefined, options: SubmitOptions): Promise<void> {
  const url = targetUrl(options);
  if (!Number.isInteger(options.batch) || options.batch < 1 || options.batch > BATCH_COUNT_MAX)
    throw new CommandFailed(`--batch must be a whole number from 1 to ${BATCH_COUNT_MAX}`, EXIT.usage);
  const keys = conflictKeysOf(text, options);
  const input = await inputOf(text, options);
  const progress = new Progress(input.bytes);
  const latencies = new Latencies();
  const kept: Receipt[] = [];
  let count = 0;
  const startedMs = performance.now();
  try {
    await submitAll(batchesOf(input.groups, options.batch), {
      atOnce: BATCHES_AT_ONCE,
      submit: async (batch) => {
        const receipts = await submitBatch(url, batch, { wait: options.wait, keys });
        count += receipts.length;
        for (const { finalityMs } of receipts) if (finalityMs !== null) latencies.add(finalityMs);
        // The order of the output is that of the answers.
        if (options.json === true || kept.length <= PRINTED_MAX) kept.push(...receipts);
        const units = batch.reduce((sum, payload) => sum + payload.length + 1, 0);
        progress.advance({ units, count: batch.length });
      },
    });
  } catch (error) {
    throw withCount(error, count, options.wait);
  } finally {
    progress.end();
  }
  if (count === 0) throw new CommandFailed("nothing to submit: the input is empty", EXIT.usage);
  const seconds = (performance.now() - startedMs) / 1_000;
  print({ count, seconds, latencies, items: kept }, options);
}

interface Outcome {
  readonly count: number;
  readonly seconds: number;
  readonly latencies: Latencies;
  readonly items: readonly Receipt[];
}

function print({ count, seconds, latencies, items }: Outcome, { json, wait }: SubmitOptions): void {
  const perSecond = Math.round(count / seconds);
  if (json === true) {
    console.log(JSON.stringify({ count, seconds, perSecond, finalityMs: latencies.summary(), items }));
    return;
  }
  if (count <= PRINTED_MAX) for (const { hash, sequence } of items) console.log(`${sequence ?? "accepted"}\t${hash}`);
  const times = latencies.toString();
  const rate = `${count} ${wait ? "finalized" : "accepted"} in ${seconds.toFixed(2)} s (${perSecond}/s)`;
  console.log(times === "" ? rate : `${rate}, ${times}`);
}

/** What was done before a failure is part of what went wrong. */
function withCount(error: unknown, count: number, wait: boolean): unknown {
  if (count === 0 || !(error instanceof CommandFailed)) return error;
  const done = `${count} transactions were ${wait ? "finalized" : "accepted"} before; others that were on their way may be too`;
  return new CommandFailed(`${error.message}\n${done}`, error.exitCode);
}

/** Of one transaction only: two lines with the same key would be rivals. */
function conflictKeysOf(text: string | undefined, { conflictKey = [], raw }: SubmitOptions): readonly Uint8Array[] {
  if (conflictKey.length > 0 && text === undefined && raw !== true)
    throw new CommandFailed("--conflict-key belongs to one transaction: give a text, or --raw", EXIT.usage);
  return conflictKey.map((key) => new TextEncoder().encode(key));
}

async function inputOf(text: string | undefined, { file, raw }: SubmitOptions): Promise<Input> {
  if (text !== undefined && file !== undefined) throw new CommandFailed("give a text or --file, not both", EXIT.usage);
  if (text !== undefined) return whole(new TextEncoder().encode(text));
  if (file === undefined) {
    if (process.stdin.isTTY) console.error("Reading transactions from the keyboard, one a line; end with Ctrl-D.");
    if (raw === true) return whole(await Bun.stdin.bytes());
    return { groups: linesOfStream(Bun.stdin.stream(), PAYLOAD_BYTES_LIMIT), bytes: null };
  }
  const info = await stat(file).catch((error: unknown) => {
    throw new CommandFailed(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  });
  if (info.isDirectory()) throw new CommandFailed(`${file} is a folder`);
  if (raw === true) return whole(await Bun.file(file).bytes());
  return { groups: linesOfStream(Bun.file(file).stream(), PAYLOAD_BYTES_LIMIT), bytes: info.size };
}

function whole(payload: Uint8Array): Input {
  return { groups: payload.length === 0 ? [] : [[payload]], bytes: payload.length };
}
