import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { packPayloads } from "../../src/cli/submit.ts";
import { createTestnet, type TestnetOptions } from "../../src/cli/testnet.ts";
import { loadConfig } from "../../src/node/config.ts";

export const READY_MS = 30_000;
const AWAIT_MS = 30_000;

export interface Item {
  readonly sequence: number;
  readonly hash: string;
  readonly creator: string;
  readonly payload: string;
  readonly timestamp: number;
}

/** Validators as processes of their own: real QUIC, RocksDB and signatures, free ports, a temporary folder. */
export class RealCluster {
  readonly folder: string;
  readonly nodes: readonly NodeProcess[];
  readonly configs: readonly string[];

  private constructor(folder: string, configs: readonly string[]) {
    this.folder = folder;
    this.configs = configs;
    this.nodes = configs.map((config) => new NodeProcess(loadConfig(config)));
  }

  /** @param validatorsMin below which a removal waits for a successor; the default of a genesis where it is absent */
  static async create(
    validators: number,
    {
      validatorsMin,
      engine = "pbft",
      ...choice
    }: Partial<Pick<TestnetOptions, "engine" | "application" | "phases" | "voteRoute">> & {
      readonly validatorsMin?: number;
    } = {},
  ): Promise<RealCluster> {
    const folder = mkdtempSync(join(tmpdir(), "cretoai-e2e-"));
    const output = join(folder, "net");
    const testnet = await createTestnet({
      validators,
      engine,
      ...choice,
      output,
      basePort: 0,
      host: "127.0.0.1",
      hybrid: true,
    });
    if (validatorsMin !== undefined) for (const { config } of testnet) setValidatorsMin(config, validatorsMin);
    return new RealCluster(
      folder,
      testnet.map(({ config }) => config),
    );
  }

  async start(): Promise<void> {
    for (const node of this.nodes) node.start();
    await Promise.all(this.nodes.map((node) => node.whenReady(READY_MS)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  node(index: number): NodeProcess {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no node ${index}`);
    return node;
  }

  /** The node that leads now, as the others see it. */
  async leader(): Promise<NodeProcess> {
    const alive = this.nodes.filter((node) => node.isAlive);
    const { leader } = (await status(alive[0] ?? this.node(0))) as { leader: string };
    for (const node of alive) if ((await status(node))["nodeId"] === leader) return node;
    throw new Error(`the leader ${leader} is no running node`);
  }

  /** What the logs say, for a test that failed. */
  logs(): string {
    return this.nodes.map((node) => `--- ${node.name}\n${readFileSync(node.logFile, "utf8").slice(-2_000)}`).join("\n");
  }
}

function setValidatorsMin(config: string, min: number): void {
  const file = join(dirname(config), "genesis.json");
  const genesis = JSON.parse(readFileSync(file, "utf8")) as object;
  writeFileSync(file, JSON.stringify({ ...genesis, validators_min: min }));
}

export async function status(node: NodeProcess): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(`${node.apiUrl}/v1/status`);
  return (await response.json()) as Readonly<Record<string, unknown>>;
}

export function payloads(label: string, count: number): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, index) => new TextEncoder().encode(`${label}-${index}`));
}

/** Submits and answers the hashes; with `wait`, when all are final. */
export async function submit(
  node: NodeProcess,
  batch: readonly Uint8Array[],
  wait: boolean,
): Promise<readonly string[]> {
  const response = await fetch(`${node.apiUrl}/v1/vertices/batch${wait ? "?wait=finalized" : ""}`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: packPayloads(batch),
  });
  const body = (await response.json()) as { items?: readonly { hash: string }[]; detail?: string };
  if (body.items === undefined) throw new Error(`${response.status}: ${body.detail}`);
  return body.items.map(({ hash }) => hash);
}

/** The total order from 1 to `last`, by the node's own stream: resolves when the node has finalized that much. */
export async function order(node: NodeProcess, last: number): Promise<readonly Item[]> {
  const items: Item[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = new WebSocket(`${node.apiUrl.replace("http", "ws")}/v1/stream`);
  const timer = setTimeout(
    () => reject(new Error(`${node.name}: ${items.length} of ${last} after ${AWAIT_MS} ms`)),
    AWAIT_MS,
  );
  socket.onopen = () => socket.send(JSON.stringify({ subscribe: ["finalized"], from: 1 }));
  socket.onerror = () => reject(new Error(`${node.name}: the stream failed`));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data)) as { type: string; items?: readonly Item[] };
    if (message.type === "finalized") items.push(...(message.items ?? []));
    if (items.length >= last) resolve();
  };
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    socket.close();
  }
  return items.slice(0, last);
}

/** Keeps submitting to a node until told to stop; answers the hashes of everything that was accepted. */
export function keepSubmitting(node: NodeProcess, label: string): { stop(): Promise<readonly string[]> } {
  let running = true;
  const accepted: string[] = [];
  const work = (async () => {
    for (let round = 0; running; round++) {
      accepted.push(...(await submit(node, payloads(`${label}-${round}`, 20), false).catch(() => [])));
    }
  })();
  return {
    stop: async () => {
      running = false;
      await work;
      return accepted;
    },
  };
}
