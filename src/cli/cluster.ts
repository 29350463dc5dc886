import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadConfig, type NodeConfig } from "../node/config.ts";
import { type Genesis, parseGenesis } from "../node/genesis.ts";
import { HOTSTUFF_DEFAULTS } from "../node/genesis-hotstuff.ts";
import { ClusterFeed } from "./cluster-feed.ts";
import { ClusterView } from "./cluster-view.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { NodeProcess } from "./node-process.ts";
import { takenPorts } from "./ports.ts";
import { createTestnet } from "./testnet.ts";

export interface ClusterOptions {
  /** Undefined: 4, or those of the cluster that is resumed. */
  readonly validators?: number;
  readonly data: string;
  /** Undefined: pbft, or that of the cluster that is resumed. */
  readonly engine?: string;
  /** Of HotStuff, of a new cluster. */
  readonly phases?: number;
  readonly voteRoute?: string;
  readonly leaders?: string;
  /** Undefined: log, or that of the cluster that is resumed. */
  readonly application?: string;
  /** Undefined: 9000, or those of the cluster that is resumed. */
  readonly basePort?: number;
  /** A file; undefined for the sample, false for none. */
  readonly input?: string | false;
  readonly sample: boolean;
  readonly exitWhenDone?: boolean;
}

const VALIDATORS_DEFAULT = 4;
const BASE_PORT_DEFAULT = 9_000;

/** Transactions that ship with the package. */
const SAMPLE_FILE = join(import.meta.dirname, "../../examples/transactions.txt");

const READY_MS_MAX = 60_000;

/** Runs a whole cluster on this machine, feeds it, and shows what it finalizes until Ctrl-C. */
export async function cluster(options: ClusterOptions): Promise<void> {
  const folder = resolve(options.data);
  const application = applicationIn(folder, options);
  const input = inputFile(options, application);
  const resumed = await ensureTestnet(folder, options);
  const configs = configsIn(folder);
  await refuseTakenPorts(configs);
  const nodes = configs.map((config) => new NodeProcess(config));
  const payloadBytesMax = Math.min(...configs.map(({ consensus }) => consensus.max_payload_bytes));
  const feed = new ClusterFeed(nodes, payloadBytesMax);
  console.log(`${resumed ? "Resuming" : "Starting"} ${nodes.length} validators; their state is in ${folder}`);
  const stopped = stopSignal(nodes);
  try {
    for (const node of nodes) node.start();
    const ready = Promise.all(nodes.map((node) => node.whenReady(READY_MS_MAX)));
    const outcome = await Promise.race([ready.then(() => "ready" as const), stopped.then(() => "stopped" as const)]);
    if (outcome === "ready") await run({ nodes, feed, input, application, stopped }, options);
  } finally {
    console.log("\nStopping the nodes ...");
    const last = await Promise.all(nodes.map((node) => node.lastSequence()));
    await Promise.all(nodes.map((node) => node.stop()));
    const submitted = feed.finalized === 0 ? "" : `${feed.finalized} transactions of this run are final. `;
    console.log(`Stopped. ${submitted}${Math.max(0, ...last)} vertices are in the ledger of ${folder}.`);
    console.log("The same command goes on from there.");
  }
}

interface Running {
  readonly nodes: readonly NodeProcess[];
  readonly feed: ClusterFeed;
  readonly input: string | null;
  /** Only the log takes opaque payloads, so lines of a file or of standard input. */
  readonly application: string;
  readonly stopped: Promise<void>;
}

async function run({ nodes, feed, input, application, stopped }: Running, options: ClusterOptions): Promise<void> {
  const [first] = nodes;
  if (first === undefined) throw new CommandFailed("no node to run");
  console.log(`API       ${nodes.map((node) => node.apiUrl).join("  ")}`);
  console.log(`API docs  ${first.apiUrl}/docs`);
  console.log(`Metrics   ${nodes.map((node) => node.metricsUrl).join("  ")}`);
  console.log(`Try       ${trialOf(application, first.apiUrl)}`);
  const view = new ClusterView(nodes);
  const allEnded = Promise.withResolvers<never>();
  for (const node of nodes) {
    node.onExit((how) => {
      view.note(`${node.name} ended (${how}); its log is ${node.logFile}`);
      if (nodes.every(({ isAlive }) => !isAlive)) allEnded.reject(new CommandFailed("every node has ended"));
    });
  }
  view.start();
  const feeding = submitInput({ feed, input, application }, view).then(
    () => null,
    (error: unknown) => error,
  );
  let isStopping = false;
  void stopped.then(() => {
    isStopping = true;
  });
  const done = feeding.then(async (failure) => {
    // A batch that was on its way when the nodes were asked to stop is no news.
    if (isStopping) return;
    const message = failure instanceof Error ? failure.message : String(failure);
    if (options.exitWhenDone === true && failure !== null) throw failure;
    if (options.exitWhenDone === true) return;
    view.note(failure === null ? "All input is final; the cluster runs until Ctrl-C" : `Submitting failed: ${message}`);
    await stopped;
  });
  try {
    await Promise.race([stopped, done, allEnded.promise]);
  } finally {
    await view.stop();
  }
}

/** The sample or `--input`, then whatever is piped in. */
async function submitInput(
  { feed, input, application }: Pick<Running, "feed" | "input" | "application">,
  view: ClusterView,
): Promise<void> {
  if (input !== null) {
    view.note(`Submitting the transactions of ${input}`);
    await submitStream("of that file", Bun.file(input).stream(), feed, view);
  }
  if (process.stdin.isTTY || application !== "log") return;
  await submitStream("of standard input", Bun.stdin.stream(), feed, view);
}

/** A first command for who looks on. */
function trialOf(application: string, url: string): string {
  if (application === "ledger") return `npx cretoai-node ledger transfer node-1/main node-2/main 5 --url ${url}`;
  if (application === "key-value") return `npx cretoai-node kv put greeting hello --url ${url}`;
  return application === "log" ? `curl -d 'hello' '${url}/v1/vertices?wait=finalized'` : `curl ${url}/v1/status`;
}

async function submitStream(
  what: string,
  stream: AsyncIterable<Uint8Array>,
  feed: ClusterFeed,
  view: ClusterView,
): Promise<void> {
  const startedMs = performance.now();
  const { count, latencies } = await feed.submitLines(stream);
  if (count === 0) return;
  const seconds = (performance.now() - startedMs) / 1_000;
  const rate = `${seconds.toFixed(2)} s (${Math.round(count / seconds)}/s)`;
  view.note(`${count} transactions ${what} are final after ${rate}; ${latencies}`);
}

/** Resolves at the first signal; a second one ends the nodes at once. */
function stopSignal(nodes: readonly NodeProcess[]): Promise<void> {
  const stopped = Promise.withResolvers<void>();
  let asked = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      stopped.resolve();
      if (++asked > 1) for (const node of nodes) void node.crash();
    });
  }
  return stopped.promise;
}

/** The lines of a file are opaque payloads: an application takes none of them. */
function inputFile({ input, sample }: ClusterOptions, application: string): string | null {
  if (input === false) return null;
  if (application !== "log" && input === undefined) return null;
  if (application !== "log")
    throw new CommandFailed(
      `--input feeds opaque payloads, and this cluster runs the application ${application}`,
      EXIT.usage,
    );
  if (input === undefined) return sample ? SAMPLE_FILE : null;
  if (!existsSync(input)) throw new CommandFailed(`--input ${input}: there is no such file`, EXIT.usage);
  return input;
}

function applicationIn(folder: string, { application }: ClusterOptions): string {
  const named = existsSync(join(folder, "genesis.json")) ? genesisIn(folder).application : application;
  if (named !== "custom") return named ?? "log";
  const how = "make it with `cretoai-node testnet --application custom`, and start each node with --app <file>";
  throw new CommandFailed(`a cluster of one command has no application of its own: ${how}`, EXIT.usage);
}

async function ensureTestnet(folder: string, options: ClusterOptions): Promise<boolean> {
  if (existsSync(join(folder, "genesis.json"))) {
    refuseOtherShape(folder, options);
    return true;
  }
  await createTestnet({
    validators: options.validators ?? VALIDATORS_DEFAULT,
    engine: options.engine ?? "pbft",
    ...(options.application === undefined ? {} : { application: options.application }),
    ...(options.phases === undefined ? {} : { phases: options.phases }),
    ...(options.voteRoute === undefined ? {} : { voteRoute: options.voteRoute }),
    ...(options.leaders === undefined ? {} : { leaders: options.leaders }),
    output: folder,
    basePort: options.basePort ?? BASE_PORT_DEFAULT,
    host: "127.0.0.1",
    hybrid: true,
  });
  return false;
}

/** A cluster is what its genesis says: an option that asks for another one is a mistake to be told, not ignored. */
function refuseOtherShape(folder: string, options: ClusterOptions): void {
  const { validators, basePort, engine, application, phases, voteRoute, leaders } = options;
  const genesis = genesisIn(folder);
  const { hotstuff = HOTSTUFF_DEFAULTS } = genesis;
  const there = genesis.validators;
  for (const [what, wanted, is] of [
    ["engine", engine, genesis.engine],
    ["phases", phases, hotstuff.phases],
    ["vote route", voteRoute, hotstuff.voteRoute],
    ["leaders", leaders, hotstuff.leaders],
    ["application", application, genesis.application ?? "log"],
  ] as const) {
    if (wanted === undefined || wanted === is) continue;
    const why = `${folder} holds a cluster with ${what} ${is}, not ${wanted}`;
    throw new CommandFailed(`${why}: name another folder with --data for a new one`, EXIT.usage);
  }
  if (validators !== undefined && validators !== there.length) {
    const what = `${folder} holds a cluster of ${there.length} validators, not ${validators}`;
    throw new CommandFailed(`${what}: name another folder with --data for a new one`, EXIT.usage);
  }
  const first = there[0]?.address.split(":").at(-1);
  if (basePort !== undefined && basePort !== 0 && String(basePort) !== first) {
    const what = `${folder} holds a cluster whose first port is ${first}, not ${basePort}`;
    throw new CommandFailed(
      `${what}: its node.toml files say so; name another folder with --data for a new one`,
      EXIT.usage,
    );
  }
}

async function refuseTakenPorts(configs: readonly NodeConfig[]): Promise<void> {
  const taken = await takenPorts(configs);
  if (taken.length === 0) return;
  const ways =
    "Is another cluster running? End it, or make a new cluster on other ports: --data <folder> --base-port <port>";
  throw new CommandFailed(`in use already:\n${taken.map((port) => `  ${port}`).join("\n")}\n${ways}`);
}

function genesisIn(folder: string): Genesis {
  return parseGenesis(readFileSync(join(folder, "genesis.json"), "utf8"));
}

function configsIn(folder: string): readonly NodeConfig[] {
  return genesisIn(folder).validators.map(({ name }) => loadConfig(join(folder, name, "node.toml"), process.env));
}
