import { afterEach, describe, expect, test } from "bun:test";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import { type Client, connect } from "../../src/client/main.ts";
import { READY_MS, RealCluster, status } from "./real-cluster.ts";

/** So that a few hundred batches are a long log. */
const STORAGE = "\n[storage]\nsnapshot_interval = 100\nsnapshots_kept = 2\njoin_gap = 60\nretention_vertices = 200\n";

/** Where every view has another leader, a round of them waits for a node that is down: not for long. */
const HOTSTUFF = "finality_timeout_ms = 50\nview_change_timeout_ms = 400\n";

const WRITERS = 3;

const AWAIT_MS = 90_000;

let cluster: RealCluster | null = null;
let client: Client | null = null;
let load: Load | null = null;

afterEach(async () => {
  load?.abandon();
  load = null;
  client?.close();
  client = null;
  await cluster?.stop();
  cluster = null;
}, 60_000);

async function created(engine: string): Promise<RealCluster> {
  cluster = await RealCluster.create(4, { application: "key-value", engine });
  for (const config of cluster.configs) {
    const patience = engine === "hotstuff" ? HOTSTUFF : "";
    writeFileSync(config, readFileSync(config, "utf8").replace("[consensus]\n", `[consensus]\n${patience}`));
    appendFileSync(config, STORAGE);
  }
  return cluster;
}

/** Writes without a pause, and knows what was acknowledged last of each key. */
class Load {
  readonly written = new Map<string, string>();
  readonly #client: Client;
  readonly #running: Promise<void>[];
  #count = 0;
  #isOver = false;

  constructor(writing: Client) {
    this.#client = writing;
    this.#running = Array.from({ length: WRITERS }, async (_, writer) => await this.#write(writer));
  }

  get count(): number {
    return this.#count;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  /** The test ends before its time: what its writers make of that is of no interest. */
  abandon(): void {
    this.#isOver = true;
    for (const running of this.#running) running.catch(() => undefined);
  }

  async #write(writer: number): Promise<void> {
    for (let round = 0; !this.#isOver; round++) {
      const key = `writer-${writer}/${round % 20}`;
      await this.#client.kv.put(key, `${round}`);
      this.written.set(key, `${round}`);
      this.#count += 1;
    }
  }
}

async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + AWAIT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Null while the node starts. */
async function statusOrNull(node: NodeProcess): Promise<Readonly<Record<string, unknown>> | null> {
  return await status(node).catch(() => null);
}

describe("a validator that comes when the log is long", () => {
  test.each(["pbft", "hotstuff"])(
    "joins by a snapshot and the log behind it, under load, and the network can do without another one (%s)",
    async (engine) => {
      const running = await created(engine);
      const early = running.nodes.slice(0, 3);
      const late = running.node(3);
      for (const node of early) node.start();
      await Promise.all(early.map((node) => node.whenReady(READY_MS)));
      client = connect({ nodes: early.map(({ apiUrl }) => apiUrl) });
      load = new Load(client);
      const writing = load;
      await until(async () => Number((await status(running.node(0)))["lastBatch"]) > 250, "a long log");
      late.start();
      const saysAll = (...events: readonly string[]): boolean => {
        const log = readFileSync(late.logFile, "utf8");
        return events.every((event) => log.includes(event));
      };
      await until(() => saysAll("state.taken", "node.starts-again"), "a state that is taken over");
      await until(async () => (await statusOrNull(late)) !== null, "the node is there again");
      await late.whenReady(READY_MS);
      const old = await fetch(`${late.apiUrl}/v1/finalized?from=1`);
      expect(old.status).toBe(410);
      expect(await old.text()).toContain("begins with sequence");
      await running.node(0).crash();
      const { count } = writing;
      await until(() => writing.count > count + 60, "writes without the node that was killed");
      await writing.stop();
      const reader = connect({ nodes: [late.apiUrl] });
      const listed = await reader.kv.list({ consistency: "linearizable" });
      reader.close();
      const found = new Map(listed.entries.map(({ key, value }) => [key, new TextDecoder().decode(value)]));
      expect(found).toEqual(writing.written);
    },
    240_000,
  );
});
