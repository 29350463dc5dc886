import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadConfig } from "../node/config.ts";
import { parseGenesis } from "../node/genesis.ts";
import { ClusterView } from "./cluster-view.ts";
import { CommandFailed } from "./exit-codes.ts";
import { NodeProcess } from "./node-process.ts";
import { linesOf, submitAll } from "./submit.ts";
import { createTestnet } from "./testnet.ts";

export interface ClusterOptions {
  readonly validators: string;
  readonly data: string;
  readonly basePort: string;
  readonly input?: string;
  readonly sample: boolean;
  readonly exitWhenDone?: boolean;
}

/** Transactions that ship with the package. */
const SAMPLE_FILE = join(import.meta.dirname, "../../examples/transactions.txt");

/** Lines of standard input that are submitted together. */
const BATCH = 500;

/** Lines that may wait between standard input and the nodes; reading pauses above. */
const LINES_WAITING_MAX = 20_000;

const READY_MS_MAX = 60_000;

/** Runs a whole cluster on this machine, feeds it, and shows what it finalizes until Ctrl-C. */
export async function cluster(options: ClusterOptions): Promise<void> {
  const folder = resolve(options.data);
  const resumed = await ensureTestnet(folder, options);
  const nodes = nodesIn(folder).map((config) => new NodeProcess(config));
  console.log(`${resumed ? "Resuming" : "Starting"} ${nodes.length} validators; their state is in ${folder}`);
  const stopped = Promise.withResolvers<void>();
  const onSignal = (): void => stopped.resolve();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, onSignal);
  try {
    for (const node of nodes) node.start();
    const ready = Promise.all(nodes.map((node) => node.whenReady(READY_MS_MAX)));
    const outcome = await Promise.race([
      ready.then(() => "ready" as const),
      stopped.promise.then(() => "stopped" as const),
    ]);
    if (outcome === "ready") await run(nodes, options, stopped.promise);
  } finally {
    console.log("\nStopping the nodes ...");
    const last = await Promise.all(nodes.map((node) => node.lastSequence()));
    await Promise.all(nodes.map((node) => node.stop()));
    console.log(`Stopped. ${Math.max(0, ...last)} vertices are in the ledger of ${folder}; start again to go on.`);
  }
}

async function run(nodes: readonly NodeProcess[], options: ClusterOptions, stopped: Promise<void>): Promise<void> {
  const [first] = nodes;
  if (first === undefined) throw new CommandFailed("no node to run");
  console.log(`API       ${nodes.map((node) => node.apiUrl).join("  ")}`);
  console.log(`API docs  ${first.apiUrl}/docs`);
  console.log(`Metrics   ${first.metricsUrl}`);
  console.log(`Try       curl -d 'hello' '${first.apiUrl}/v1/vertices?wait=finalized'`);
  const view = new ClusterView(nodes);
  for (const node of nodes) node.onExit((how) => view.note(`${node.name} ended (${how}); the others go on`));
  view.start();
  const feeding = feed(nodes, options, view).catch((error: unknown) => {
    view.note(`submitting failed: ${error instanceof Error ? error.message : String(error)}`);
  });
  const done = feeding.then(async () => {
    if (options.exitWhenDone === true) return;
    if (!process.stdin.isTTY) view.note("All input is submitted; the cluster runs until Ctrl-C");
    await stopped;
  });
  await Promise.race([stopped, done]);
  await view.stop();
}

/** The sample file or `--input`, then whatever is piped in, in turn over the nodes. */
async function feed(nodes: readonly NodeProcess[], options: ClusterOptions, view: ClusterView): Promise<void> {
  const file = options.input ?? (options.sample ? SAMPLE_FILE : null);
  if (file !== null) {
    const lines = linesOf(new Uint8Array(readFileSync(file)));
    view.note(`Submitting ${lines.length} transactions of ${file}`);
    await submitInTurn(nodes, lines, 0);
  }
  if (process.stdin.isTTY) return;
  let turn = 0;
  let waiting: Promise<void>[] = [];
  let lines = 0;
  for await (const chunk of linesOfStdin()) {
    lines += chunk.length;
    waiting.push(submitInTurn(nodes, chunk, turn));
    turn += 1;
    if (waiting.length * BATCH >= LINES_WAITING_MAX) {
      await Promise.all(waiting);
      waiting = [];
    }
  }
  await Promise.all(waiting);
  if (lines > 0) view.note(`Submitted ${lines} transactions of standard input`);
}

async function submitInTurn(nodes: readonly NodeProcess[], lines: readonly Uint8Array[], turn: number): Promise<void> {
  const work: Promise<unknown>[] = [];
  for (let at = 0; at < lines.length; at += BATCH) {
    const alive = nodes.filter((node) => node.isAlive);
    const node = alive[(turn + at / BATCH) % Math.max(1, alive.length)];
    if (node === undefined) throw new CommandFailed("every node has ended");
    work.push(submitAll(node.apiUrl, lines.slice(at, at + BATCH), { size: BATCH, wait: true }));
  }
  await Promise.all(work);
}

/** Standard input in groups of lines, as they come. */
async function* linesOfStdin(): AsyncGenerator<readonly Uint8Array[]> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of Bun.stdin.stream()) {
    const text = rest + decoder.decode(chunk, { stream: true });
    const end = text.lastIndexOf("\n");
    rest = text.slice(end + 1);
    const lines = end < 0 ? [] : linesOf(new TextEncoder().encode(text.slice(0, end)));
    for (let at = 0; at < lines.length; at += BATCH) yield lines.slice(at, at + BATCH);
  }
  const last = linesOf(new TextEncoder().encode(rest));
  if (last.length > 0) yield last;
}

async function ensureTestnet(folder: string, options: ClusterOptions): Promise<boolean> {
  if (existsSync(join(folder, "genesis.json"))) return true;
  await createTestnet({
    validators: Number(options.validators),
    engine: "pbft",
    output: folder,
    basePort: Number(options.basePort),
    host: "127.0.0.1",
    hybrid: true,
  });
  return false;
}

function nodesIn(folder: string): readonly ReturnType<typeof loadConfig>[] {
  const genesis = parseGenesis(readFileSync(join(folder, "genesis.json"), "utf8"));
  return genesis.validators.map(({ name }) => loadConfig(join(folder, name, "node.toml")));
}
