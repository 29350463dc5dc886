import { type Client, connect, type WebSocketLike } from "../../src/client/main.ts";
import { hashOf } from "../../src/crypto/hash.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import type { Position, Sequence } from "../../src/membership/ids.ts";
import { type ClientId, type Command, encodeCommand } from "../../src/replication/command.ts";
import { Replica } from "../../src/replication/replica.ts";
import {
  decodeWorkflowCommand,
  decodeWorkflowResult,
  type WorkflowCommand,
} from "../../src/replication/workflow/workflow-command.ts";
import { decodeRunChange } from "../../src/replication/workflow/run-change.ts";
import { decodeWorkflowQuestion, type WorkflowQuestion } from "../../src/replication/workflow/workflow-query.ts";
import { Workflows } from "../../src/replication/workflow/workflows.ts";

const CREATOR = "cd".repeat(32) as NodeId;
const URL_OF_NODE = "http://node.test";
const GENESIS = "ab".repeat(32);
const STATUS = { nodeId: GENESIS, engine: "pbft", genesis: GENESIS, role: "validator", dag: null, uptimeMs: 1 };
const COUNTS = { lastSequence: 0, pending: 0, peers: 0, validators: 1, quorum: 1, epoch: 0 };

/** One connection of a client to `/v1/stream`. */
class FakeSocket extends EventTarget implements WebSocketLike {
  readonly #onHello: (socket: FakeSocket) => void;

  constructor(onHello: (socket: FakeSocket) => void) {
    super();
    this.#onHello = onHello;
    queueMicrotask(() => this.dispatchEvent(new Event("open")));
  }

  send(): void {
    this.say({ type: "subscribed", topics: ["runs"], from: 1 });
    this.#onHello(this);
  }

  close(): void {
    queueMicrotask(() => this.dispatchEvent(new Event("close")));
  }

  say(message: object): void {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }
}

interface SentCommand {
  readonly client: string;
  readonly number: number;
  readonly command: string;
}

/** A network as clients see it: a real replica of workflows behind `fetch`, every command a batch of its own. */
export class WorkflowNetwork {
  /** Commands that took effect or were refused, replays left out. */
  readonly seen: WorkflowCommand[] = [];
  readonly commits: { readonly kind: string; readonly status: string }[] = [];
  /** How each question wanted to be answered. */
  readonly reads: string[] = [];
  /** The most steps that were held at a time. */
  mostHeld = 0;
  /** Says of a command whether its answer is lost on its way back. */
  losesAnswer: (command: WorkflowCommand, number: number) => boolean = () => false;
  /** Is told of each question before it is answered. */
  onQuestion: (question: WorkflowQuestion) => Promise<unknown> = () => Promise.resolve();
  /** Added to the agreed time: leases run out by it, and nobody waits. */
  aheadMs = 0;
  /** Who is told of runs; a network that does not stream has a runtime without a WebSocket before it. */
  readonly sockets = new Set<FakeSocket>();
  readonly replica: Replica;
  readonly #workflows: Workflows;
  readonly #streams: boolean;
  #held = 0;
  #position = 0;

  constructor(workflows: Workflows = new Workflows(), { streams = false }: { readonly streams?: boolean } = {}) {
    this.#workflows = workflows;
    this.#streams = streams;
    this.replica = new Replica(workflows);
  }

  client(timeoutMs = 20_000): Client {
    const connected = (socket: FakeSocket): void => {
      this.sockets.add(socket);
      socket.addEventListener("close", () => this.sockets.delete(socket));
    };
    const streams = this.#streams;
    const webSocket = class extends FakeSocket {
      constructor() {
        if (!streams) throw new Error("there is no WebSocket");
        super(connected);
      }
    };
    return connect({
      nodes: [URL_OF_NODE],
      timeoutMs,
      webSocket,
      fetch: (url, init) => this.#fetch(String(url), init),
    });
  }

  /** Agreed time is monotone, whatever the clock of this machine does. */
  nowMs(): number {
    return 1_800_000_000_000 + Math.floor(performance.now()) + this.aheadMs;
  }

  async #fetch(url: string, init: RequestInit | undefined): Promise<Response> {
    await Promise.resolve();
    const body = JSON.parse(String(init?.body ?? "null")) as unknown;
    const { pathname } = new URL(url);
    if (pathname === "/v1/commands") return this.#command(body as SentCommand);
    if (pathname === "/v1/query") {
      const { question: base64, consistency } = body as { readonly question: string; readonly consistency: string };
      this.reads.push(consistency);
      const question = Uint8Array.fromBase64(base64);
      await this.onQuestion(decodeWorkflowQuestion(question));
      const answer = this.replica.query(question).toBase64();
      return Response.json({ answer, position: this.#position, batch: this.#position, stateHash: this.replica.root() });
    }
    if (pathname === "/v1/status") return Response.json({ ...STATUS, ...COUNTS });
    throw new Error(`nobody serves ${pathname}`);
  }

  #command({ client, number, command: base64 }: SentCommand): Response {
    const body = Uint8Array.fromBase64(base64);
    const command: Command = { client: client as ClientId, number, body };
    this.#position += 1;
    const position = this.#position;
    const [handled] = this.replica.applyBatch({
      sequence: position as Sequence,
      timestampMs: this.nowMs(),
      history: hashOf("record", Uint8Array.of(position & 255)),
      payloads: [{ position: position as Position, creator: CREATOR, payload: encodeCommand(command) }],
    });
    if (handled?.kind !== "outcome") throw new Error("a number that is forgotten");
    this.#tell();
    const said = decodeWorkflowCommand(body);
    if (said === null) throw new Error("the client's bytes are no command");
    const { outcome, isReplay } = handled;
    if (!isReplay) {
      this.seen.push(said);
      this.commits.push({ kind: said.kind, status: outcome.status });
      if (outcome.status === "applied" && outcome.result.kind === "bytes") this.#count(outcome.result.bytes);
    }
    if (this.losesAnswer(said, number)) throw new TypeError("the connection was lost");
    const result = outcome.result.kind === "bytes" ? outcome.result.bytes.toBase64() : null;
    const { status, reason } = outcome;
    const place = { position: outcome.position, batch: outcome.sequence, hash: null, stateHash: this.replica.root() };
    return Response.json({ status, reason, result, isReplay, ...place });
  }

  #tell(): void {
    const items = this.#workflows.takeChanges().items.map(({ position, key, value }) => {
      return { position, run: key, ...(value === null ? { ready: [] } : decodeRunChange(value)) };
    });
    if (items.length > 0) for (const socket of this.sockets) socket.say({ type: "runs", items });
  }

  #count(bytes: Uint8Array): void {
    const result = decodeWorkflowResult(bytes);
    if (result.kind === "claimed" && result.task !== null) this.#held += 1;
    if (result.kind === "completed" || result.kind === "failed" || result.kind === "released") this.#held -= 1;
    this.mostHeld = Math.max(this.mostHeld, this.#held);
  }
}
