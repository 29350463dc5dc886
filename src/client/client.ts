import { ChangeFeed, type KeyChange } from "./change-feed.ts";
import {
  type CommandOptions,
  type ReadOptions,
  rememberedOutcome,
  sendCommand,
  sendCommands,
  sendQuery,
} from "./commands.ts";
import { CretoError } from "./creto-error.ts";
import type { Feed } from "./feed.ts";
import { Fields } from "./fields.ts";
import { KeyValue, type WatchOptions } from "./key-value.ts";
import { Ledger } from "./ledger.ts";
import { NodeOrder } from "./node-order.ts";
import type { PooledNode } from "./node-pool.ts";
import type { CommandOutcome, QueryAnswer } from "./outcome.ts";
import { type CallOptions, Patience } from "./patience.ts";
import { type CommandId, Session, type SessionOptions } from "./session.ts";
import type { WebSocketMaker } from "./socket.ts";
import { type SubmitOneOptions, type SubmitOptions, submitMany, submitOne, whenFinal } from "./submissions.ts";
import { type StreamOptions, type StreamParts, Subscription } from "./subscription.ts";
import type { Transport } from "./transport.ts";
import { type StreamEvent, type Topic, VertexFeed } from "./vertex-feed.ts";
import { LightClient, type VerifiedVertex } from "./verified.ts";
import {
  type Bytes,
  checkedHash,
  type FinalizedVertex,
  type FinalReceipt,
  finalizedOf,
  type NodeStatus,
  type Receipt,
  type Vertex,
  vertexOf,
} from "./vertices.ts";
import { Workflow } from "./workflow.ts";
import { WorkflowBell } from "./workflow-bell.ts";

/** What `connect` makes a client of. */
export interface ClientParts {
  readonly transport: Transport;
  readonly webSocket: WebSocketMaker | null;
  readonly timeoutMs: number;
  readonly heartbeatMs: number;
  readonly genesis: string | null;
  readonly session: SessionOptions;
  /** Encoded validators that are believed; null where nodes are. */
  readonly trusted: Uint8Array | null;
}

export interface SubscribeOptions<T extends Topic> extends StreamOptions {
  readonly topics: readonly T[];
  /** The first sequence of `finalized` that is wanted; those from now on unless given. */
  readonly from?: number;
}

export interface FinalizedOptions extends CallOptions {
  /** The first sequence; 1 unless given. */
  readonly from?: number;
  /** The most vertices; all that the node has unless given. */
  readonly limit?: number;
}

/** Vertices of one page. */
const PAGE_ITEMS = 500;

/**
 * A network, by whichever of its nodes answers. Every call rejects with CretoError and with nothing else; all that is not
 * a plain submission is sent again, to another node if need be, until its `timeoutMs` is over.
 */
export class Client {
  /** The key-value store, where that is the network's application. */
  readonly kv: KeyValue;
  /** The ledger, where that is the network's application. */
  readonly ledger: Ledger;
  /** Runs of steps that workers do, where the network's application is that. */
  readonly workflow: Workflow;
  readonly #parts: ClientParts;
  readonly #session: Session;
  readonly #order: NodeOrder;
  readonly #light: LightClient | null;
  readonly #closing: AbortController = new AbortController();

  /** Use `connect`. @throws CretoError `invalid-argument` */
  constructor(parts: ClientParts) {
    const run = <T>(options: CallOptions, work: (patience: Patience) => Promise<T>): Promise<T> =>
      this.#run(options, work);
    this.#parts = parts;
    this.#session = new Session(parts.session);
    this.#order = new NodeOrder(parts.transport, parts.genesis);
    this.#light = parts.trusted === null ? null : new LightClient(parts.transport, parts.trusted);
    this.ledger = new Ledger(parts.transport, this.#session, run);
    this.kv = new KeyValue(parts.transport, this.#session, run, (options) => this.#watch(options));
    this.workflow = new Workflow({
      send: (command, options) => this.command(command, options),
      ask: (question, options) => this.query(question, options),
      run,
      bell: new WorkflowBell((feed) => this.#hints(feed)),
    });
  }

  /** Who this client is to the network, and the number of its next command: to be kept, and given to `connect` again. */
  get session(): { readonly client: string; readonly nextNumber: number } {
    return { client: this.#session.client, nextNumber: this.#session.nextNumber };
  }

  /** Resolves when one node has it on disk, or when it is final. @throws CretoError `outcome-unknown`, `conflict`, ... */
  submit(payload: Bytes, options: SubmitOneOptions & { readonly wait: "finalized" }): Promise<FinalReceipt>;
  submit(payload: Bytes, options?: SubmitOneOptions): Promise<Receipt>;
  async submit(payload: Bytes, options: SubmitOneOptions = {}): Promise<Receipt> {
    return await this.#run(options, (patience) => submitOne(this.#parts.transport, payload, options, patience));
  }

  /** Up to 10,000 payloads, all or none; the receipts are in their order. */
  submitBatch(
    payloads: readonly Bytes[],
    options: SubmitOptions & { readonly wait: "finalized" },
  ): Promise<readonly FinalReceipt[]>;
  submitBatch(payloads: readonly Bytes[], options?: SubmitOptions): Promise<readonly Receipt[]>;
  async submitBatch(payloads: readonly Bytes[], options: SubmitOptions = {}): Promise<readonly Receipt[]> {
    return await this.#run(options, (patience) => submitMany(this.#parts.transport, payloads, options, patience));
  }

  /** Also for a vertex that this node has not heard of yet. @throws CretoError `timeout`, `conflict` */
  async waitForFinality(hash: string, options: CallOptions = {}): Promise<FinalReceipt> {
    return await this.#run(options, (patience) => whenFinal(this.#parts.transport, hash, patience));
  }

  /** Null where the node that answers knows no such vertex. */
  async vertex(hash: string, options: CallOptions = {}): Promise<Vertex | null> {
    return await this.#run(options, async (patience) => {
      try {
        const ask = { method: "GET", path: `/v1/vertices/${checkedHash(hash)}`, isRepeatable: true } as const;
        return vertexOf(new Fields((await this.#parts.transport.ask(ask, patience)).body, "vertex"));
      } catch (error) {
        if (error instanceof CretoError && error.code === "unknown-vertex") return null;
        throw error;
      }
    });
  }

  /**
   * The vertex of this hash, final for sure: proved by a quorum of the validators that `connect` was given as `trusted`, or
   * of those that came after them. No node is believed, and one that proves nothing is passed over for the next one.
   * @throws CretoError `not-proved`, `unknown-vertex`, `not-provable`
   */
  async verified(hash: string, options: CallOptions = {}): Promise<VerifiedVertex> {
    const light = this.#light;
    if (light === null) {
      const how = "give it `trusted`, the bytes that `cretoai-node verify --write-trusted` wrote";
      throw new CretoError("invalid-argument", `connect was given no trusted validators: ${how}`);
    }
    return await this.#run(options, (patience) => light.verified(hash, patience));
  }

  /** The validators that are believed by now: to be kept, and given to `connect` again. Null where it was given none. */
  get trusted(): Uint8Array | null {
    return this.#light?.trusted ?? null;
  }

  /** What is final, ascending, up to the last that the node has now; `timeoutMs` is that of a page. */
  async *finalized(options: FinalizedOptions = {}): AsyncGenerator<FinalizedVertex, void, undefined> {
    const { from = 1, limit = Number.POSITIVE_INFINITY } = options;
    let pinned: PooledNode | null = null;
    for (let count = 0; count < limit; ) {
      const range = { from: from + count, limit: Math.min(PAGE_ITEMS, limit - count) };
      const page: readonly FinalizedVertex[] = await this.#run(options, async (patience) => {
        pinned ??= await this.#order.pin(patience);
        const ask = { method: "GET", path: "/v1/finalized", query: range, isRepeatable: true, pinned } as const;
        return new Fields((await this.#parts.transport.ask(ask, patience)).body, "page").list("items", finalizedOf);
      });
      yield* page;
      if (page.length === 0) return;
      count += page.length;
    }
  }

  /** Of the node that answers. */
  async status(options: CallOptions = {}): Promise<NodeStatus> {
    return await this.#run(options, (patience) => this.#order.status(patience));
  }

  /**
   * Applied once by the network's application, however often its answer is lost and whichever nodes fail. Where the call
   * ends without an outcome, the same `number` asks for it again.
   */
  async command(command: Bytes, options: CommandOptions = {}): Promise<CommandOutcome> {
    const { transport } = this.#parts;
    return await this.#run(options, (patience) =>
      this.#session.run(patience, (id) => sendCommand(transport, command, id, patience), options.number),
    );
  }

  /** Many commands; the outcomes are in their order. */
  async commands(commands: readonly Bytes[], options: CallOptions = {}): Promise<readonly CommandOutcome[]> {
    return await this.#run(options, (patience) =>
      sendCommands(this.#parts.transport, this.#session, commands, patience),
    );
  }

  /** What the network remembers of a command of this client, or of another one; null where it remembers none. */
  async outcome(id: number | CommandId, options: CallOptions = {}): Promise<CommandOutcome | null> {
    const whole = typeof id === "number" ? { client: this.#session.client, number: id } : id;
    return await this.#run(options, (patience) => rememberedOutcome(this.#parts.transport, whole, patience));
  }

  /** A question to the application; linearizable unless asked otherwise. */
  async query(question: Bytes, options: ReadOptions = {}): Promise<QueryAnswer> {
    const { consistency = "linearizable" } = options;
    return await this.#run(options, (patience) => sendQuery(this.#parts.transport, question, consistency, patience));
  }

  /** The network's events. The finalized vertices come in their order, each once, over lost connections too. */
  subscribe<T extends Topic>(options: SubscribeOptions<T>): Subscription<StreamEvent<T>> {
    const { topics, from = null } = options;
    if (topics.length === 0) throw new CretoError("invalid-argument", "topics must name one topic at least");
    const feed = new VertexFeed<T>(topics, from === null ? null : checkedFrom(from));
    return new Subscription(feed, this.#streamParts(), options);
  }

  /** Ends every call and stream of this client. */
  close(): void {
    this.#closing.abort(new CretoError("closed", "the client was closed"));
  }

  #watch({ prefix = "", from, ...options }: WatchOptions): Subscription<KeyChange> {
    const feed = new ChangeFeed(prefix, from === undefined ? null : checkedFrom(from));
    return new Subscription(feed, this.#streamParts(), options);
  }

  /** A stream that nothing depends on: it may fail for ever, and no node is left alone for that. */
  #hints<E>(feed: Feed<E>): Subscription<E> | null {
    const { transport, webSocket } = this.#parts;
    if (webSocket === null) return null;
    const parts = { ...this.#streamParts(), transport: transport.aside() };
    return new Subscription(feed, parts, { timeoutMs: Number.POSITIVE_INFINITY });
  }

  #streamParts(): StreamParts {
    const { transport, webSocket, heartbeatMs } = this.#parts;
    return { transport, webSocket, heartbeatMs, order: this.#order, closed: this.#closing.signal };
  }

  async #run<T>({ timeoutMs, signal }: CallOptions, work: (patience: Patience) => Promise<T>): Promise<T> {
    const patience = new Patience(timeoutMs ?? this.#parts.timeoutMs, signal, this.#closing.signal);
    try {
      if (patience.ended !== null) throw patience.ended;
      return await work(patience);
    } finally {
      patience.release();
    }
  }
}

function checkedFrom(from: number): number {
  if (Number.isSafeInteger(from) && from >= 1) return from;
  throw new CretoError("invalid-argument", `from must be a whole number from 1, not ${from}`);
}
