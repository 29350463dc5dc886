import { afterEach, expect, test } from "bun:test";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import { type Client, connect } from "../../src/client/main.ts";
import { Random } from "../fuzz/random.ts";
import { READY_MS, RealCluster } from "./real-cluster.ts";

const CHILD = join(import.meta.dirname, "run-counting-client.ts");
const EXAMPLE = resolve(import.meta.dirname, "../../examples/counters.ts");
const NUMBERS = 160;
const KILLS = 6;

/** The counting client as a process, line by line. */
class CountingClient {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string, undefined>;

  constructor(journal: string, urls: readonly string[]) {
    const args = [CHILD, journal, String(NUMBERS), ...urls];
    this.#child = Bun.spawn([process.execPath, ...args], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#lines = linesOf(this.#child.stdout);
  }

  /** Null when it has ended. */
  async line(): Promise<string | null> {
    return (await this.#lines.next()).value ?? null;
  }

  /** When so many more commands were acknowledged; false where it was done before. */
  async acknowledged(count: number): Promise<boolean> {
    for (let seen = 0; seen < count; ) {
      const line = await this.line();
      if (line === null) throw new Error(`the client ended with ${await this.#child.exited}`);
      if (line === "done") return false;
      if (line.startsWith("acknowledged ")) seen += 1;
    }
    return true;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined, undefined> {
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + new TextDecoder().decode(chunk)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

let cluster: RealCluster | null = null;
let child: CountingClient | null = null;
const clients: Client[] = [];

afterEach(async () => {
  await child?.kill();
  child = null;
  for (const client of clients.splice(0)) client.close();
  await cluster?.stop();
  cluster = null;
}, 60_000);

/** Where every view has another leader, each round of them waits once for a node that is down: not for long. */
const HOTSTUFF = "finality_timeout_ms = 50\nview_change_timeout_ms = 400\n";

/** Four nodes that count, in small steps between snapshots. */
async function started(engine: string): Promise<RealCluster> {
  cluster = await RealCluster.create(4, { application: "custom", engine });
  for (const config of cluster.configs) {
    const toml = readFileSync(config, "utf8")
      .replace("[node]\n", `[node]\napplication = ${JSON.stringify(EXAMPLE)}\n`)
      .replace("[consensus]\n", `[consensus]\n${engine === "hotstuff" ? HOTSTUFF : ""}`);
    writeFileSync(config, toml);
    appendFileSync(config, "\n[storage]\nsnapshot_interval = 40\n");
  }
  await cluster.start();
  return cluster;
}

/** Numbers that were written down as sent, and not as acknowledged. */
function unacknowledged(journal: string): readonly string[] {
  const text = readFileSync(journal, "utf8");
  const numbers = (word: string): readonly string[] =>
    [...text.matchAll(new RegExp(`^${word} (\\d+)$`, "gm"))].map(([, number = ""]) => number);
  const acknowledged = new Set(numbers("acknowledged"));
  return [...new Set(numbers("sent"))].filter((number) => !acknowledged.has(number));
}

/** What each counter of this node stands at; null where there is none. */
async function counted(node: NodeProcess): Promise<readonly (number | null)[]> {
  const client = connect({ nodes: [node.apiUrl], timeoutMs: 60_000 });
  clients.push(client);
  const countOf = async (number: number, consistency: "local" | "linearizable"): Promise<number | null> => {
    const text = `number-${number}`;
    const answer = await client.query(text, { consistency }).catch((error: unknown) => {
      if (error instanceof Error && error.message.includes(`there is no counter "${text}"`)) return null;
      throw error;
    });
    if (answer === null) return null;
    return (JSON.parse(new TextDecoder().decode(answer.answer)) as { readonly value: number }).value;
  };
  await countOf(1, "linearizable");
  return await Promise.all(Array.from({ length: NUMBERS + 1 }, (_, at) => countOf(at + 1, "local")));
}

test.each(["pbft", "hotstuff"])(
  "a client that is killed with commands under way has each applied once, though its nodes are killed too, on %s",
  async (engine) => {
    const running = await started(engine);
    const journal = join(running.folder, "journal");
    const urls = running.nodes.map(({ apiUrl }) => apiUrl);
    const random = new Random(Number(process.env["EXACTLY_ONCE_SEED"] ?? 5));
    let interrupted = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      child = new CountingClient(journal, urls);
      const asks = (await child.line())?.replace("asks ", "");
      const used = running.nodes.find(({ apiUrl }) => apiUrl === asks);
      if (used === undefined) throw new Error(`the client asks ${asks}`);
      expect(await child.acknowledged(random.between(1, 9))).toBe(true);
      const losesNode = kill % 2 === 1;
      if (losesNode) {
        await used.crash();
        // It goes on with another node, and is killed there.
        expect(await child.acknowledged(random.between(1, 9))).toBe(true);
      }
      await child.kill();
      interrupted += unacknowledged(journal).length;
      if (losesNode) {
        used.start();
        await used.whenReady(READY_MS);
      }
    }
    child = new CountingClient(journal, urls);
    expect(await child.acknowledged(NUMBERS + 1)).toBe(false);
    expect(unacknowledged(journal)).toEqual([]);
    // The kills did hit commands under way.
    expect(interrupted).toBeGreaterThan(0);
    const once = [...Array.from({ length: NUMBERS }, () => 1), null];
    for (const node of running.nodes) expect(await counted(node)).toEqual(once);
  },
  240_000,
);
