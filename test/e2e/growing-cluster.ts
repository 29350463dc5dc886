import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { createTestnet } from "../../src/cli/testnet.ts";
import { loadConfig } from "../../src/node/config.ts";
import { run } from "../cli/command.ts";

const LIAR = join(import.meta.dirname, "run-liar.ts");
const READY_MS = 30_000;
const DEADLINE_MS = 45_000;
const POLL_MS = 100;

/** A machine under load answers late, a process that hangs never. */
const ASK_MS_MAX = 5_000;

export interface Member {
  readonly nodeId: string;
  readonly name: string;
  readonly standing: string;
  readonly condemned: string | null;
  readonly waiting: number | null;
}

export interface Membership {
  readonly epoch: number;
  readonly afterBatch: number;
  readonly active: number;
  readonly quorum: number;
  readonly members: readonly Member[];
  readonly pending: readonly { readonly kind: string; readonly approvals: readonly string[] }[];
}

/** Validators as processes of their own, and nodes that join them later, with keys of their own and the same genesis file. */
export class GrowingCluster {
  readonly folder: string = mkdtempSync(join(tmpdir(), "cretoai-membership-"));
  readonly nodes: NodeProcess[] = [];
  readonly configs: string[] = [];
  readonly #acceptObservers: boolean;
  readonly #engine: string;
  #liar: ChildProcess | null = null;

  private constructor(acceptObservers: boolean, engine: string) {
    this.#acceptObservers = acceptObservers;
    this.#engine = engine;
  }

  static async create(
    validators: number,
    policy: { readonly min: number; readonly max: number },
    acceptObservers = true,
    engine = "pbft",
  ): Promise<GrowingCluster> {
    const cluster = new GrowingCluster(acceptObservers, engine);
    const nodes = await createTestnet({ ...TESTNET, engine, validators, output: join(cluster.folder, "net") });
    for (const { config } of nodes) {
      const file = join(dirname(config), "genesis.json");
      const genesis = JSON.parse(readFileSync(file, "utf8")) as object;
      const changed = { ...genesis, validators_min: policy.min, validators_max: policy.max };
      writeFileSync(file, JSON.stringify(changed));
      cluster.#add(config);
    }
    return cluster;
  }

  /** A node with a key of its own, which nobody knows yet. */
  async addObserver(name: string): Promise<NodeProcess> {
    const [made] = await createTestnet({
      ...TESTNET,
      engine: this.#engine,
      validators: 1,
      output: join(this.folder, name),
    });
    if (made === undefined) throw new Error("one node");
    const [first = ""] = this.configs;
    writeFileSync(
      join(dirname(made.config), "genesis.json"),
      readFileSync(join(dirname(first), "genesis.json"), "utf8"),
    );
    const toml = readFileSync(made.config, "utf8").replace('id = "node-1"', `id = "${name}"`);
    writeFileSync(made.config, toml);
    return this.#add(made.config);
  }

  node(index: number): NodeProcess {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no node ${index}`);
    return node;
  }

  async start(nodes: readonly NodeProcess[]): Promise<void> {
    for (const node of nodes) node.start();
    await Promise.all(nodes.map((node) => node.whenReady(READY_MS)));
  }

  async stop(): Promise<void> {
    await this.endLiar();
    await Promise.all(this.nodes.map((node) => node.stop()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The public half of a node's key in a file, by the command that its operator has for that. */
  async keyFile(index: number): Promise<string> {
    const file = join(this.folder, `public-${index}.json`);
    writeFileSync(file, await this.say("validators", "key", "--config", this.configs[index] ?? ""));
    return file;
  }

  /** The admission of a node by the operators of these, one after the other. */
  async admit(index: number, by: readonly number[]): Promise<void> {
    const key = await this.keyFile(index);
    const address = `127.0.0.1:${loadConfig(this.configs[index] ?? "").network.quic_port}`;
    for (const operator of by) {
      await this.say("validators", "admit", "--key", key, "--address", address, "--url", this.node(operator).apiUrl);
    }
  }

  /** A command that must succeed; answers what it prints. */
  async say(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await run(args);
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}\n${this.logs()}`);
    return stdout;
  }

  /** The validator of this index lies to a victim, again and again until it is ended. */
  startLiar(index: number, victimId: string): void {
    const args = [LIAR, this.configs[index] ?? "", victimId, "equivocation"];
    this.#liar = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  }

  async endLiar(): Promise<void> {
    const child = this.#liar;
    this.#liar = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
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

  /** Until all of these have this epoch; what they say of it. */
  async whenEpoch(epoch: number, nodes: readonly NodeProcess[]): Promise<readonly Membership[]> {
    return await this.eventually(`epoch ${epoch}`, async () => {
      const seen = await Promise.all(nodes.map(membership));
      return seen.every((one) => one.epoch === epoch) ? seen : null;
    });
  }

  logs(): string {
    return this.nodes.map((node) => `--- ${node.name}\n${readFileSync(node.logFile, "utf8").slice(-2_500)}`).join("\n");
  }

  async #standings(): Promise<string> {
    const all = this.nodes
      .filter(({ isAlive }) => isAlive)
      .map(async (node) => {
        const { epoch, afterBatch, members } = await membership(node);
        const { lastBatch, role } = await ask<{ lastBatch: number; role: string }>(node, "/v1/status");
        const standings = members.map(
          ({ standing, condemned }) => `${standing}${condemned === null ? "" : `/${condemned}`}`,
        );
        return `${node.name} (${role}): epoch ${epoch} after ${afterBatch}, batch ${lastBatch}, ${standings.join(" ")}`;
      });
    return (await Promise.allSettled(all))
      .map((one) => (one.status === "fulfilled" ? one.value : String(one.reason)))
      .join("\n");
  }

  #add(config: string): NodeProcess {
    const toml = readFileSync(config, "utf8");
    writeFileSync(config, toml.replace("[network]\n", `[network]\naccept_observers = ${this.#acceptObservers}\n`));
    const node = new NodeProcess(loadConfig(config));
    this.configs.push(config);
    this.nodes.push(node);
    return node;
  }
}

const TESTNET = { basePort: 0, host: "127.0.0.1", hybrid: true } as const;

export async function ask<T>(node: NodeProcess, path: string): Promise<T> {
  const response = await fetch(node.apiUrl + path, { signal: AbortSignal.timeout(ASK_MS_MAX) });
  return (await response.json()) as T;
}

export async function membership(node: NodeProcess): Promise<Membership> {
  return await ask(node, "/v1/membership");
}

export function memberOf({ members }: Membership, nodeId: string): Member {
  const member = members.find((one) => one.nodeId === nodeId);
  if (member === undefined) throw new Error(`no member ${nodeId}`);
  return member;
}
