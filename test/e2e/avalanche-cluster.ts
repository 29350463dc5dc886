import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { createTestnet, type TestnetNode } from "../../src/cli/testnet.ts";
import { loadConfig } from "../../src/node/config.ts";
import { ask } from "./growing-cluster.ts";
import { UdpRelay } from "./udp-relay.ts";

const LIAR = join(import.meta.dirname, "run-dag-liar.ts");
const READY_MS = 30_000;
const DEADLINE_MS = 45_000;
const POLL_MS = 50;

/** A machine under load answers late, a process that hangs never. */
const ASK_MS_MAX = 35_000;

const TESTNET = { engine: "avalanche", basePort: 0, host: "127.0.0.1", hybrid: true } as const;

export interface ClusterOptions {
  /** Lines of `[consensus]` of every node. */
  readonly consensus?: string;
  readonly application?: string;
  /** All packets between the nodes go through a relay, which can cut them off from each other. */
  readonly isRelayed?: boolean;
  /** Below which a removal waits for a successor; the default of a genesis where it is absent. */
  readonly validatorsMin?: number;
}

/** Validators of a leaderless network as processes of their own: real QUIC, RocksDB and signatures. */
export class AvalancheCluster {
  readonly folder: string = mkdtempSync(join(tmpdir(), "cretoai-avalanche-"));
  readonly relay: UdpRelay = new UdpRelay();
  readonly nodes: NodeProcess[] = [];
  readonly configs: string[] = [];
  readonly ids: string[] = [];
  #liar: ChildProcess | null = null;

  static async create(validators: number, options: ClusterOptions = {}): Promise<AvalancheCluster> {
    const cluster = new AvalancheCluster();
    const { consensus = "", application = "log", isRelayed = false, validatorsMin } = options;
    const made = await createTestnet({ ...TESTNET, application, validators, output: join(cluster.folder, "net") });
    for (const [index, { config, nodeId }] of made.entries()) {
      edit(config, (toml) => toml.replace("[network]\n", `${consensus}\n[network]\naccept_observers = true\n`));
      if (isRelayed) await cluster.#reroute(made, index);
      if (validatorsMin !== undefined)
        edit(join(dirname(config), "genesis.json"), (text) => {
          return JSON.stringify({ ...(JSON.parse(text) as object), validators_min: validatorsMin });
        });
      cluster.#add(config, nodeId);
    }
    return cluster;
  }

  /** A node with a key that nobody knows, and the network's genesis. */
  async addObserver(name: string): Promise<NodeProcess> {
    const [made] = await createTestnet({ ...TESTNET, validators: 1, output: join(this.folder, name) });
    if (made === undefined) throw new Error("one node");
    const [first = ""] = this.configs;
    const genesis = readFileSync(join(dirname(first), "genesis.json"), "utf8");
    writeFileSync(join(dirname(made.config), "genesis.json"), genesis);
    edit(made.config, (toml) => toml.replace('id = "node-1"', `id = "${name}"`));
    return this.#add(made.config, made.nodeId);
  }

  node(index: number): NodeProcess {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no node ${index}`);
    return node;
  }

  async start(nodes: readonly NodeProcess[] = this.nodes): Promise<void> {
    for (const node of nodes) node.start();
    await Promise.all(nodes.map((node) => node.whenReady(READY_MS)));
  }

  /** In the place of this validator one that lies, until the cluster is stopped; the lies are those of `run-dag-liar.ts`. */
  startLiar(index: number, lie: "votes" | "malformed" | "fork" | "spend"): void {
    const args = ["--no-warnings", LIAR, this.configs[index] ?? "", lie];
    this.#liar = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  }

  async #endLiar(): Promise<void> {
    const child = this.#liar;
    this.#liar = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async stop(): Promise<void> {
    await this.#endLiar();
    await Promise.all(this.nodes.map((node) => node.stop()));
    this.relay.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The first answer that is no null; what is watched are other processes, which send no events here. */
  async eventually<T>(what: string, look: () => Promise<T | null>): Promise<T> {
    const deadlineMs = performance.now() + DEADLINE_MS;
    let failure = "";
    for (;;) {
      const seen = await look().catch((error: unknown) => {
        failure = String(error);
        return null;
      });
      if (seen !== null) return seen;
      if (performance.now() > deadlineMs)
        throw new Error(`not within ${DEADLINE_MS} ms: ${what} ${failure}\n${await this.#standings()}\n${this.logs()}`);
      await Bun.sleep(POLL_MS);
    }
  }

  /** Until each of these nodes has these vertices final. */
  async whenFinal(hashes: readonly string[], nodes: readonly NodeProcess[] = this.nodes): Promise<void> {
    await this.eventually(`${hashes.length} vertices final at ${nodes.length} nodes`, async () => {
      for (const node of nodes) {
        const { lastSequence } = await standing(node);
        if (lastSequence < hashes.length) return null;
        const final = new Set((await finalized(node)).map(({ hash }) => hash));
        if (!hashes.every((hash) => final.has(hash))) return null;
      }
      return true;
    });
  }

  logs(): string {
    return this.nodes.map((node) => `--- ${node.name}\n${logOf(node).slice(-2_500)}`).join("\n");
  }

  async #standings(): Promise<string> {
    const all = this.nodes
      .filter(({ isAlive }) => isAlive)
      .map(async (node) => `${node.name}: ${JSON.stringify(await standing(node))}`);
    return (await Promise.allSettled(all))
      .map((one) => (one.status === "fulfilled" ? one.value : String(one.reason)))
      .join("\n");
  }

  /** `bootstrap_peers` go before the genesis file's addresses. */
  async #reroute(made: readonly TestnetNode[], from: number): Promise<void> {
    for (const [to, { nodeId, quicPort }] of made.entries()) {
      if (to === from) continue;
      const port = await this.relay.open(from, to, quicPort);
      const peer = (at: number): string => `/udp/${at}/quic/p2p/${nodeId}`;
      edit(made[from]?.config ?? "", (toml) => {
        if (!toml.includes(peer(quicPort))) throw new Error("the configuration names every peer with its port");
        return toml.replace(peer(quicPort), peer(port));
      });
    }
  }

  #add(config: string, nodeId: string): NodeProcess {
    const node = new NodeProcess(loadConfig(config));
    this.configs.push(config);
    this.ids.push(nodeId);
    this.nodes.push(node);
    return node;
  }
}

function edit(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, "utf8")));
}

export function logOf(node: NodeProcess): string {
  try {
    return readFileSync(node.logFile, "utf8");
  } catch {
    return "(no log)";
  }
}

export interface Standing {
  readonly nodeId: string;
  readonly engine: string;
  readonly role: string;
  readonly epoch: number;
  readonly lastSequence: number;
  readonly pending: number;
  readonly peers: number;
  readonly dag: {
    readonly undecidedVertices: number;
    readonly conflicts: number;
    readonly polls: number;
    readonly timeoutShare: number;
    readonly isPartitioned: boolean;
    readonly mayVote: boolean;
  } | null;
}

export async function standing(node: NodeProcess): Promise<Standing> {
  return await ask<Standing>(node, "/v1/status");
}

export interface FinalItem {
  readonly sequence: number;
  readonly hash: string;
  readonly creator: string;
  /** As it was submitted, in base64. */
  readonly payload: string;
}

/** The node's own order of acceptance, from its first vertex to its last. */
export async function finalized(node: NodeProcess): Promise<readonly FinalItem[]> {
  const all: FinalItem[] = [];
  for (let from = 1; ; ) {
    const page = await ask<{ readonly items: readonly FinalItem[]; readonly next: number }>(
      node,
      `/v1/finalized?from=${from}&limit=1000`,
    );
    if (page.items.length === 0) return all;
    all.push(...page.items);
    from = page.next;
  }
}

export interface Vertex {
  readonly hash: string;
  readonly creator: string;
  readonly nonce: number;
  readonly parents: readonly string[];
  readonly state: "pending" | "finalized" | "rejected";
  readonly confidence: number | null;
  readonly sequence: number | null;
  readonly height: number | null;
}

/** Null where the node knows no such vertex. */
export async function vertex(node: NodeProcess, hash: string): Promise<Vertex | null> {
  const response = await fetch(`${node.apiUrl}/v1/vertices/${hash}`, { signal: AbortSignal.timeout(ASK_MS_MAX) });
  if (response.status === 404) return null;
  return (await response.json()) as Vertex;
}

export interface Answered {
  readonly status: number;
  readonly body: {
    readonly hash?: string;
    readonly finalized?: boolean;
    readonly finalityMs?: number;
    readonly type?: string;
    readonly detail?: string;
  };
}

/** One vertex; with `wait`, answered when it is final or lost. */
export async function propose(
  node: NodeProcess,
  payload: string,
  { keys = [], wait = false }: { readonly keys?: readonly string[]; readonly wait?: boolean } = {},
): Promise<Answered> {
  const base64 = (text: string): string => new TextEncoder().encode(text).toBase64();
  const response = await fetch(`${node.apiUrl}/v1/vertices${wait ? "?wait=finalized&timeoutMs=30000" : ""}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ payload: base64(payload), conflictKeys: keys.map(base64) }),
    signal: AbortSignal.timeout(ASK_MS_MAX),
  });
  return { status: response.status, body: (await response.json()) as Answered["body"] };
}

/** The hash of a vertex that was taken in. */
export function hashOf({ status, body }: Answered): string {
  if (body.hash === undefined) throw new Error(`${status}: ${body.detail}`);
  return body.hash;
}

/**
 * The one that is final. All others were told that they lost, and to whom, as far as the winner was final where they asked:
 * a node that catches up may learn of the loss first.
 */
export function winnerOf(answers: readonly Answered[]): string {
  const [winner, ...more] = answers.filter(({ status }) => status === 200);
  const hash = winner?.body.hash ?? "";
  const isTold = ({ status, body: { type, detail = "" } }: Answered): boolean => {
    if (status === 200) return true;
    return type === "/problems/conflict" && (detail.includes(hash) || detail.includes("not final here yet"));
  };
  if (hash === "" || more.length > 0 || !answers.every(isTold))
    throw new Error(`one winner, and the others told so: ${JSON.stringify(answers)}`);
  return hash;
}

/** The value of one series of a node's metrics; 0 where it is absent. */
export async function metric(node: NodeProcess, series: string): Promise<number> {
  const text = await (await fetch(node.metricsUrl, { signal: AbortSignal.timeout(ASK_MS_MAX) })).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}
