/**
 * `npm run bench`: a real four-node cluster on this machine with fsync and every signature on, driven over HTTP from
 * separate processes. Prints a table and writes bench/out/latest.json. Nothing here is a test: figures depend on the machine.
 *
 *   npm run bench                                all scenarios
 *   npm run bench -- --seconds 5 --only batch    shorter, and only scenarios whose name contains "batch"
 *   npm run bench -- --engine avalanche --validators 3
 *   npm run bench -- --engine hotstuff --phases 2 --vote-route all --leaders round-robin
 *   npm run bench -- --engine hotstuff --down 1  the last node is stopped before the load
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { NodeProcess } from "../src/cli/node-process.ts";
import { createTestnet } from "../src/cli/testnet.ts";
import { loadConfig } from "../src/node/config.ts";
import { ENGINES } from "../src/node/genesis-application.ts";
import { cpuSecondsOf, machine, rssBytesOf } from "./machine.ts";

interface Scenario {
  readonly name: string;
  readonly payloadBytes: number;
  readonly batch: number;
  /** Requests under way at each node. */
  readonly concurrency: number;
}

const SCENARIOS: readonly Scenario[] = [
  { name: "single, light", payloadBytes: 200, batch: 1, concurrency: 1 },
  { name: "single, busy", payloadBytes: 200, batch: 1, concurrency: 32 },
  { name: "single, heavy", payloadBytes: 200, batch: 1, concurrency: 256 },
  { name: "batch of 100, light", payloadBytes: 200, batch: 100, concurrency: 1 },
  { name: "batch of 100, busy", payloadBytes: 200, batch: 100, concurrency: 8 },
  { name: "batch of 500, busy", payloadBytes: 200, batch: 500, concurrency: 4 },
  { name: "batch of 500, heavy", payloadBytes: 200, batch: 500, concurrency: 8 },
  { name: "1 KiB, batch of 100", payloadBytes: 1_024, batch: 100, concurrency: 8 },
  { name: "10 KiB, batch of 10", payloadBytes: 10_240, batch: 10, concurrency: 8 },
];

const WARMUP_MS = 2_000;

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    seconds: { type: "string", default: "10" },
    only: { type: "string", default: "" },
    validators: { type: "string", default: "4" },
    engine: { type: "string", default: "pbft" },
    phases: { type: "string" },
    "vote-route": { type: "string" },
    leaders: { type: "string" },
    down: { type: "string", default: "0" },
    out: { type: "string", default: join(import.meta.dirname, "out", "latest.json") },
  },
});

if (!(ENGINES as readonly string[]).includes(values.engine)) {
  console.error(`--engine is "${values.engine}": ${ENGINES.join(" or ")}`);
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "cretoai-bench-"));
const testnet = await createTestnet({
  validators: Number(values.validators),
  engine: values.engine,
  ...(values.phases === undefined ? {} : { phases: Number(values.phases) }),
  ...(values["vote-route"] === undefined ? {} : { voteRoute: values["vote-route"] }),
  ...(values.leaders === undefined ? {} : { leaders: values.leaders }),
  output: join(folder, "net"),
  basePort: 0,
  host: "127.0.0.1",
  hybrid: true,
});
const all = testnet.map(({ config }) => new NodeProcess(loadConfig(config)));
/** Those that clients talk to. */
const nodes = all.slice(0, all.length - Number(values.down));
const results: Readonly<Record<string, unknown>>[] = [];
try {
  for (const node of all) node.start();
  await Promise.all(all.map((node) => node.whenReady(30_000)));
  await Promise.all(all.slice(nodes.length).map((node) => node.crash()));
  console.log(
    `${nodes.length} of ${all.length} nodes as processes, ${values.engine}, fsync and hybrid signatures on, ${values.seconds} s each\n`,
  );
  console.log("scenario                  finalized/s     p50     p95     p99     max ms    CPU/node   RSS/node");
  for (const scenario of SCENARIOS.filter(({ name }) => name.includes(values.only)))
    results.push(await measure(scenario));
} finally {
  await Promise.all(all.map((node) => node.stop()));
  rmSync(folder, { recursive: true, force: true });
}
mkdirSync(join(values.out, ".."), { recursive: true });
writeFileSync(
  values.out,
  `${JSON.stringify({ at: new Date().toISOString(), machine: machine(), results }, null, 2)}\n`,
);
console.log(`\nwritten to ${values.out}`);
process.exit(0);

async function measure(scenario: Scenario): Promise<Readonly<Record<string, unknown>>> {
  const durationMs = Number(values.seconds) * 1_000;
  const pids = nodes.map((node) => node.pid);
  const load = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dirname, "load.ts"),
      JSON.stringify({ urls: nodes.map((node) => node.apiUrl), ...scenario, warmupMs: WARMUP_MS, durationMs }),
    ],
    {
      stdout: "pipe",
      stderr: "inherit",
      // Bun's fetch has 256 requests under way at most; what waits behind them would count as the nodes' latency.
      env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: "8192" },
    },
  );
  await Bun.sleep(WARMUP_MS);
  const before = pids.map(cpuSecondsOf);
  await Bun.sleep(durationMs);
  const cpu = pids.map((pid, index) => (cpuSecondsOf(pid) - (before[index] ?? 0)) / (durationMs / 1_000));
  const rss = pids.map(rssBytesOf);
  const seen: {
    finalized: number;
    refused: number;
    seconds: number;
    p50: number;
    p95: number;
    p99: number;
    max: number;
  } = JSON.parse(await new Response(load.stdout).text());
  const rate = seen.finalized / seen.seconds;
  const ms = (value: number): string => value.toFixed(1).padStart(8);
  console.log(
    `${scenario.name.padEnd(24)} ${Math.round(rate).toString().padStart(12)}${ms(seen.p50)}${ms(seen.p95)}${ms(seen.p99)}${ms(seen.max)}` +
      `      ${mean(cpu).toFixed(2).padStart(6)}  ${(mean(rss) / 2 ** 20).toFixed(0).padStart(6)} MiB${seen.refused > 0 ? `  (${seen.refused} refused)` : ""}`,
  );
  return { ...scenario, finalizedPerSecond: rate, ...seen, cpuCoresPerNode: cpu, rssBytesPerNode: rss };
}

function mean(values_: readonly number[]): number {
  return values_.reduce((sum, value) => sum + value, 0) / Math.max(1, values_.length);
}
