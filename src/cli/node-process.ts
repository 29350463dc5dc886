import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { NodeConfig } from "../node/config.ts";
import { CommandFailed } from "./exit-codes.ts";
import { type Answer, apiUrlOf, call, metricsUrlOf } from "./node-client.ts";

const MAIN = join(import.meta.dirname, "main.ts");

/** Between two questions whether a node is ready: there is no event for that across processes. */
const READY_POLL_MS = 100;

/** A node that hangs must not hold up who asks it. */
const ASK_MS_MAX = 2_000;

const TERM_MS_MAX = 8_000;

/** One validator as a process of its own; its log goes to a file beside its configuration. */
export class NodeProcess {
  readonly name: string;
  readonly apiUrl: string;
  readonly metricsUrl: string;
  readonly logFile: string;
  readonly #config: NodeConfig;
  #child: ChildProcess | null = null;
  #exited: Promise<string> = Promise.resolve("not started");
  #alive = false;
  #stopping = false;

  constructor(config: NodeConfig) {
    this.#config = config;
    this.name = config.node.id;
    this.apiUrl = apiUrlOf(config);
    this.metricsUrl = metricsUrlOf(config);
    this.logFile = join(dirname(config.file), "node.log");
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  /** The operating system's id of the process. @throws CommandFailed where it does not run */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new CommandFailed(`${this.name} is not running`);
    return pid;
  }

  start(): void {
    this.#stopping = false;
    mkdirSync(dirname(this.logFile), { recursive: true });
    const log = openSync(this.logFile, "a");
    // A process group of its own: Ctrl-C reaches this command alone, which then stops the nodes in order.
    // Its input stays open as long as this process lives: a node never outlives the command that was to stop it.
    const child = spawn(process.execPath, [MAIN, "start", "--until-input-ends", "--config", this.#config.file], {
      stdio: ["pipe", log, log],
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    this.#alive = true;
    const { promise, resolve } = Promise.withResolvers<string>();
    child.once("exit", (code, signal) => resolve(signal ?? `exit status ${code}`));
    child.once("error", (error) => resolve(String(error)));
    this.#exited = promise.then((how) => {
      this.#alive = false;
      return how;
    });
  }

  /** Calls back when the process ends without having been stopped. */
  onExit(callback: (how: string) => void): void {
    void this.#exited.then((how) => {
      if (!this.#stopping) callback(how);
    });
  }

  /** @throws CommandFailed with the end of its log where the node ends or takes too long */
  async whenReady(timeoutMs: number): Promise<void> {
    await this.#whenOk("/ready", timeoutMs);
  }

  /** As `whenReady`, for a node that need not finalize itself. */
  async whenAnswering(timeoutMs: number): Promise<void> {
    await this.#whenOk("/health", timeoutMs);
  }

  async #whenOk(path: string, timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (performance.now() < deadlineMs && !this.#stopping) {
      if (!this.#alive) throw new CommandFailed(`${this.name} ended at its start:\n${this.#logTail()}`);
      if ((await this.#ask(path))?.status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
    if (!this.#stopping)
      throw new CommandFailed(`${this.name} is not ready after ${timeoutMs} ms:\n${this.#logTail()}`);
  }

  /** After a request failed: until the process is known to have ended, or answers again. */
  async whenGoneOrAnswering(): Promise<void> {
    while (this.#alive && !this.#stopping) {
      if ((await this.#ask("/health"))?.status === 200) return;
      await Promise.race([this.#exited, new Promise((resolve) => setTimeout(resolve, READY_POLL_MS))]);
    }
  }

  async lastSequence(): Promise<number> {
    if (!this.#alive) return 0;
    const answer = await this.#ask("/v1/status");
    const value: unknown =
      typeof answer?.body === "object" && answer.body !== null ? Reflect.get(answer.body, "lastSequence") : 0;
    return typeof value === "number" ? value : 0;
  }

  /** Ends the process at once, as a crash does (SIGKILL); resolves when it is gone. */
  async crash(): Promise<void> {
    this.#stopping = true;
    this.#child?.kill("SIGKILL");
    await this.#exited;
  }

  /** Asks the process to stop, and ends it where it does not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child === null || !this.#alive) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), TERM_MS_MAX);
    await this.#exited;
    clearTimeout(timer);
  }

  async #ask(path: string): Promise<Answer | null> {
    return await call(this.apiUrl, path, { timeoutMs: ASK_MS_MAX }).catch(() => null);
  }

  #logTail(): string {
    try {
      return readFileSync(this.logFile, "utf8").trim().split("\n").slice(-8).join("\n");
    } catch {
      return `(no log at ${this.logFile})`;
    }
  }
}
