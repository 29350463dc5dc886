/**
 * One load generator as a process of its own: keeps `concurrency` requests under way at each node for a time, waits for
 * finality, and prints what it saw as one JSON line. Latency is what the client sees, from sending to the final answer.
 */
import { randomFillSync } from "node:crypto";
import { packPayloads } from "../src/cli/submit.ts";

interface LoadOptions {
  readonly urls: readonly string[];
  readonly payloadBytes: number;
  /** Payloads of one request; 1 uses the route for single vertices. */
  readonly batch: number;
  readonly concurrency: number;
  readonly warmupMs: number;
  readonly durationMs: number;
}

const options: LoadOptions = JSON.parse(process.argv[2] ?? "{}");
const latencies: number[] = [];
let finalized = 0;
let refused = 0;
const begin = performance.now();
const measureFrom = begin + options.warmupMs;
const end = measureFrom + options.durationMs;

await Promise.all(options.urls.flatMap((url) => Array.from({ length: options.concurrency }, () => work(url))));
latencies.sort((left, right) => left - right);
const at = (share: number): number =>
  latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? 0;
const result = {
  finalized,
  refused,
  seconds: options.durationMs / 1_000,
  requests: latencies.length,
  p50: at(0.5),
  p95: at(0.95),
  p99: at(0.99),
  max: at(1),
};
console.log(JSON.stringify(result));
process.exit(0);

async function work(url: string): Promise<void> {
  const path = options.batch === 1 ? "/v1/vertices?wait=finalized" : "/v1/vertices/batch?wait=finalized";
  while (performance.now() < end) {
    const startedMs = performance.now();
    const response = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: newBody(),
    });
    await response.arrayBuffer();
    const endedMs = performance.now();
    if (response.status === 200 && startedMs >= measureFrom && endedMs <= end) {
      finalized += options.batch;
      latencies.push(endedMs - startedMs);
    } else if (response.status !== 200) {
      refused += 1;
      // Overload is an answer too: the client does what it is told.
      await Bun.sleep(Number(response.headers.get("retry-after") ?? 1) * 1_000);
    }
  }
}

function newBody(): Uint8Array<ArrayBuffer> {
  const payloads = Array.from({ length: options.batch }, () => randomFillSync(new Uint8Array(options.payloadBytes)));
  return options.batch === 1 ? (payloads[0] ?? new Uint8Array(1)) : packPayloads(payloads);
}
