import { call } from "./node-client.ts";
import type { NodeProcess } from "./node-process.ts";

const REFRESH_MS = 1_000;

/** A node that hangs shows as away. */
const ASK_MS_MAX = 900;

interface Row {
  readonly node: NodeProcess;
  last: number;
  rate: number;
  /** When `last` was read. */
  atMs: number;
  view: number;
  isLeader: boolean;
  pending: number;
  peers: number;
  hash: string;
  reachable: boolean;
}

/** What every node finalizes, once a second: a table in place on a terminal, a line when something changed elsewhere. */
export class ClusterView {
  readonly #rows: readonly Row[];
  readonly #isTty = process.stdout.isTTY;
  #timer: ReturnType<typeof setInterval> | null = null;
  #refreshing: Promise<void> | null = null;
  #isRead = false;
  #drawn = 0;
  #line = "";

  constructor(nodes: readonly NodeProcess[]) {
    this.#rows = nodes.map((node) => ({
      node,
      last: -1,
      rate: 0,
      atMs: 0,
      view: 0,
      isLeader: false,
      pending: 0,
      peers: 0,
      hash: "",
      reachable: false,
    }));
  }

  start(): void {
    this.#keepFresh();
    this.#timer = setInterval(() => this.#keepFresh(), REFRESH_MS);
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#refreshing;
    await this.#refresh();
  }

  /** A sentence above the table. */
  note(text: string): void {
    this.#erase();
    console.log(text);
    this.#draw();
  }

  #keepFresh(): void {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
  }

  async #refresh(): Promise<void> {
    await Promise.all(this.#rows.map((row) => read(row)));
    this.#isRead = true;
    this.#erase();
    this.#draw();
  }

  #draw(): void {
    if (!this.#isRead) return;
    if (this.#isTty) {
      // A line that wraps would be two to erase.
      const lines = table(this.#rows).map((line) => line.slice(0, Math.max(20, process.stdout.columns - 1)));
      process.stdout.write(`${lines.join("\n")}\n`);
      this.#drawn = lines.length;
      return;
    }
    const line = this.#rows
      .map(
        (row) =>
          `${row.node.name}${row.isLeader ? "*" : ""} ${row.reachable ? `${Math.max(0, row.last)} (${row.rate}/s)` : "away"}`,
      )
      .join("  ");
    if (line !== this.#line) console.log(`finalized  ${line}`);
    this.#line = line;
  }

  #erase(): void {
    // A terminal echoes what is typed: the cursor may stand anywhere in its line.
    if (this.#drawn > 0) process.stdout.write(`\r\u001b[${this.#drawn}A\u001b[0J`);
    this.#drawn = 0;
  }
}

function table(rows: readonly Row[]): readonly string[] {
  const header = "node       finalized     per s  view  waiting  peers  last vertex";
  const body = rows.map((row) => {
    const name = `${row.node.name}${row.isLeader ? " *" : ""}`.padEnd(9);
    if (!row.reachable) return `${name}  (away)`;
    const columns = [
      String(Math.max(0, row.last)).padStart(10),
      String(row.rate).padStart(8),
      String(row.view).padStart(4),
      String(row.pending).padStart(7),
      String(row.peers).padStart(5),
      row.hash.slice(0, 16),
    ];
    return `${name} ${columns.join("  ")}`;
  });
  return [header, ...body, "* leads the present view; Ctrl-C stops all nodes"];
}

async function read(row: Row): Promise<void> {
  const answer = row.node.isAlive
    ? await call(row.node.apiUrl, "/v1/status", { timeoutMs: ASK_MS_MAX }).catch(() => null)
    : null;
  const status: unknown = answer?.body;
  row.reachable = answer?.status === 200 && typeof status === "object" && status !== null;
  row.rate = 0;
  if (!row.reachable || typeof status !== "object" || status === null) return;
  const number = (key: string): number => Number(Reflect.get(status, key));
  const last = number("lastSequence");
  const nowMs = performance.now();
  if (row.last >= 0) row.rate = Math.round(((last - row.last) * 1_000) / (nowMs - row.atMs));
  row.atMs = nowMs;
  if (last !== row.last && last > 0) row.hash = await lastHash(row.node.apiUrl, last);
  row.last = last;
  row.view = number("view");
  row.pending = number("pending");
  row.peers = number("peers");
  row.isLeader = Reflect.get(status, "leader") === Reflect.get(status, "nodeId");
}

async function lastHash(url: string, sequence: number): Promise<string> {
  const answer = await call(url, `/v1/finalized?from=${sequence}&limit=1`, { timeoutMs: ASK_MS_MAX }).catch(() => null);
  const items: unknown =
    typeof answer?.body === "object" && answer.body !== null ? Reflect.get(answer.body, "items") : null;
  const first: unknown = Array.isArray(items) ? items[0] : null;
  const hash: unknown = typeof first === "object" && first !== null ? Reflect.get(first, "hash") : "";
  return typeof hash === "string" ? hash : "";
}
