import type { IncomingHttpHeaders } from "node:http";

export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answered {
  readonly status: number;
  readonly body: object;
}

const HASH = "ab".repeat(32);

/** Pages of at most this many entries, also where more are wanted. */
const PAGE_ITEMS = 3;

/** The state behind scripted nodes: an application that counts, a key-value store, sessions that remember everything. */
export class ScriptedStore {
  /** Every application of a command, in order. */
  readonly applied: string[] = [];
  /** Plain submissions. */
  readonly submitted: string[] = [];
  readonly #outcomes = new Map<string, Answered>();
  readonly #entries = new Map<string, { readonly value: string; readonly version: number }>();
  #position = 0;

  status(genesis: string = HASH): object {
    const counts = { lastSequence: 0, pending: 0, peers: 3, validators: 4, quorum: 3, epoch: 0, uptimeMs: 1 };
    return { nodeId: HASH, engine: "pbft", genesis, role: "validator", dag: null, ...counts };
  }

  answer(asked: Asked): Answered {
    const { method, url, headers, body } = asked;
    const path = url.pathname;
    if (path === "/v1/status") return { status: 200, body: this.status() };
    if (path === "/health") return { status: 200, body: { status: "alive" } };
    if (path === "/v1/vertices") {
      this.submitted.push(body.toString());
      return { status: 202, body: { hash: HASH, sequence: null, finalized: false, finalityMs: null } };
    }
    if (path === "/v1/commands") return this.#command(JSON.parse(body.toString()) as Command);
    if (path === "/v1/commands/batch") {
      const { commands } = JSON.parse(body.toString()) as { commands: readonly Command[] };
      return { status: 200, body: { outcomes: commands.map((command) => this.#command(command).body) } };
    }
    if (path.startsWith("/v1/commands/")) {
      return this.#remembered(path.slice("/v1/commands/".length)) ?? problem(404, "unknown-command");
    }
    if (path === "/v1/query") {
      const { question, consistency } = JSON.parse(body.toString()) as { question: string; consistency: string };
      const answer = btoa(`${consistency}: ${atob(question)}`);
      return { status: 200, body: { answer, position: this.#position, batch: 1, stateHash: HASH } };
    }
    if (path === "/v1/kv") return this.#range(url.searchParams);
    if (path.startsWith("/v1/kv/") && method === "GET") return this.#get(keyOf(url));
    if (!path.startsWith("/v1/kv/")) return problem(404, "not-found");
    const id = `${headers["x-cretoai-client"]}/${headers["x-cretoai-number"]}`;
    return this.#once(id, () => this.#write(asked, keyOf(url)));
  }

  #command({ client, number, command }: Command): Answered {
    const text = atob(command);
    return this.#once(`${client}/${number}`, () => {
      this.applied.push(text);
      const isRejected = text.startsWith("reject");
      const outcome = isRejected
        ? { status: "rejected", result: null, reason: "as it was told" }
        : { status: "applied", result: btoa(`done ${text}`), reason: null };
      return { status: 200, body: { ...outcome, ...this.#place() } };
    });
  }

  #place(): object {
    this.#position += 1;
    return { position: this.#position, batch: this.#position, hash: HASH, stateHash: HASH, isReplay: false };
  }

  #once(id: string, work: () => Answered): Answered {
    const remembered = this.#remembered(id);
    if (remembered !== null) return remembered;
    const answered = work();
    this.#outcomes.set(id, answered);
    return answered;
  }

  #remembered(id: string): Answered | null {
    const known = this.#outcomes.get(id);
    return known === undefined ? null : { ...known, body: { ...known.body, isReplay: true, hash: null } };
  }

  #write({ method, headers, body }: Asked, key: string): Answered {
    const current = this.#entries.get(key)?.version ?? null;
    const wanted = headers["if-match"];
    const isConflict =
      (wanted !== undefined && wanted !== String(current)) || (headers["if-none-match"] === "*" && current !== null);
    if (isConflict) return problem(412, "version-conflict", { current });
    this.#position += 1;
    this.applied.push(`${method} ${key}`);
    if (method === "PUT") this.#entries.set(key, { value: body.toString("base64"), version: this.#position });
    else this.#entries.delete(key);
    return { status: 200, body: { version: this.#position, previous: current } };
  }

  #get(key: string): Answered {
    const entry = this.#entries.get(key);
    return entry === undefined ? problem(404, "no-such-key") : { status: 200, body: { key, ...entry } };
  }

  #range(query: URLSearchParams): Answered {
    const isReverse = query.get("reverse") === "true";
    const [from, to, prefix] = [query.get("from") ?? "", query.get("to"), query.get("prefix") ?? ""];
    const keys = [...this.#entries.keys()]
      .filter((key) => key.startsWith(prefix) && key >= from && (to === null || key < to))
      .sort((left, right) => (left < right ? -1 : 1) * (isReverse ? -1 : 1));
    const limit = Math.min(PAGE_ITEMS, Number(query.get("limit") ?? PAGE_ITEMS));
    const items = keys.slice(0, limit).map((key) => ({ key, ...this.#entries.get(key) }));
    // `from` of the next page, or `to` of the next one in reverse.
    const rest = keys.length > limit ? keys[isReverse ? limit - 1 : limit] : null;
    return { status: 200, body: { items, next: rest, position: this.#position } };
  }
}

interface Command {
  readonly client: string;
  readonly number: number;
  readonly command: string;
}

function keyOf({ pathname, searchParams }: URL): string {
  return searchParams.get("key") ?? decodeURIComponent(pathname.slice("/v1/kv/".length));
}

function problem(status: number, kind: string, extra: object = {}): Answered {
  return { status, body: { type: `/problems/${kind}`, title: kind, status, detail: `a problem: ${kind}`, ...extra } };
}
