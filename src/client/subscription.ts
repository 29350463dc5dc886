import { CretoError } from "./creto-error.ts";
import { EventQueue } from "./event-queue.ts";
import type { Feed } from "./feed.ts";
import { Fields } from "./fields.ts";
import type { NodeOrder } from "./node-order.ts";
import type { PooledNode } from "./node-pool.ts";
import { Patience, pause, reasonOf } from "./patience.ts";
import { StreamSocket, type WebSocketMaker } from "./socket.ts";
import type { Transport } from "./transport.ts";

export interface StreamOptions {
  /** Ends the stream: its iterator throws CretoError `aborted`. */
  readonly signal?: AbortSignal;
  /** How long the stream may be without any node before its iterator throws, in milliseconds; a minute unless given. */
  readonly timeoutMs?: number;
}

export interface StreamParts {
  readonly transport: Transport;
  readonly order: NodeOrder;
  /** Null where the runtime has none. */
  readonly webSocket: WebSocketMaker | null;
  /** A stream that is silent this long is looked after, in milliseconds. */
  readonly heartbeatMs: number;
  /** Aborted when the client is closed. */
  readonly closed: AbortSignal;
}

const OUTAGE_MS = 60_000;

/** Between two questions of who has no WebSocket, where nothing is new. */
const POLL_MS = 250;

/** The node will say the same of every other try, and so will the next one. */
const FINAL_CODES: readonly string[] = [
  "malformed",
  "too-old",
  "no-application",
  "no-websocket",
  "aborted",
  "closed",
  "not-found",
];

/**
 * Events of the network, one after the other, over lost connections and other nodes. It begins at once; what is not read
 * yet waits, up to 16 MiB of it, and the rest at the node.
 */
export class Subscription<E> implements AsyncIterableIterator<E, undefined> {
  /** Resolves when a node has begun to tell; rejects where none ever does. */
  readonly ready: Promise<void>;
  readonly #feed: Feed<E>;
  readonly #parts: StreamParts;
  readonly #queue: EventQueue<E> = new EventQueue();
  readonly #ending: AbortController = new AbortController();
  readonly #life: Patience;
  #onReady: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | null = null;
  /** In a leaderless network the node whose numbers these are. */
  #pinned: PooledNode | null = null;

  constructor(feed: Feed<E>, parts: StreamParts, { signal, timeoutMs = OUTAGE_MS }: StreamOptions) {
    this.#feed = feed;
    this.#parts = parts;
    this.#life = new Patience(Number.POSITIVE_INFINITY, signal, parts.closed, this.#ending.signal);
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = { resolve, reject };
    });
    // Who never looks at it must not be punished for it.
    this.ready.catch(() => undefined);
    void this.#run(timeoutMs);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<E, undefined>> {
    return this.#queue.next();
  }

  return(): Promise<IteratorResult<E, undefined>> {
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Ends it: its iterator is done, and what was not read is dropped. */
  close(): void {
    this.#ending.abort(new CretoError("closed", "the subscription was closed"));
    this.#queue.finish(null, true);
  }

  async #run(timeoutMs: number): Promise<void> {
    try {
      while (!this.#queue.isEnded) await this.#connect(timeoutMs);
    } catch (error) {
      const isQuiet = error instanceof CretoError && error.code === "closed";
      this.#onReady?.reject(error);
      this.#queue.finish(isQuiet ? null : error, this.#life.ended !== null);
    } finally {
      this.#life.release();
    }
  }

  /** From one connection, however many tries it takes, to its loss. */
  async #connect(timeoutMs: number): Promise<void> {
    await this.#queue.whenRoomy();
    const outage = new Patience(timeoutMs, this.#life.signal);
    let last: CretoError | null = null;
    try {
      for (;;) {
        const node = await this.#parts.transport.pool.pick(outage, this.#pinned);
        const error = await this.#serve(node, outage);
        if (error === null) return;
        last = error;
      }
    } catch (error) {
      // What kept it from any node says more than how long that lasted.
      throw error instanceof CretoError && error.code === "timeout" && last !== null ? last : error;
    } finally {
      outage.release();
    }
  }

  /** Null after a connection that was one; else why there was none. @throws CretoError what no other node would mend */
  async #serve(node: PooledNode, outage: Patience): Promise<CretoError | null> {
    let hasBegun = false;
    const onBegun = (): void => {
      hasBegun = true;
      outage.release();
      this.#parts.transport.pool.succeeded(node);
      this.#onReady?.resolve();
    };
    try {
      await this.#tell(node, outage, onBegun);
    } catch (error) {
      if (!(error instanceof CretoError) || FINAL_CODES.includes(error.code)) throw error;
      if (this.#life.ended !== null) throw this.#life.ended;
      this.#parts.transport.pool.failed(node, error.retryAfterMs);
      if (!hasBegun) return error;
    }
    const interruption = this.#feed.interruption();
    if (interruption !== null) this.#queue.push(interruption, 0);
    return null;
  }

  async #tell(node: PooledNode, outage: Patience, onBegun: () => void): Promise<void> {
    const { order, webSocket } = this.#parts;
    const { isLeaderless, lastSequence } = await order.statusOf(node, outage);
    if (isLeaderless) this.#pinned = node;
    if (webSocket !== null) return await this.#listen(node, webSocket, onBegun);
    if (this.#feed.poll() === null) {
      const what = "this runtime has no WebSocket";
      throw new CretoError(
        "no-websocket",
        `${what}: give connect one, such as \`webSocket: WebSocket\` of the package ws`,
      );
    }
    this.#feed.begin(lastSequence + 1);
    onBegun();
    await this.#askAgainAndAgain(node);
  }

  async #listen(node: PooledNode, maker: WebSocketMaker, onBegun: () => void): Promise<void> {
    let heard = 0;
    const socket = new StreamSocket({ maker, node: node.url, hello: this.#feed.hello() }, (message, weight) => {
      heard += 1;
      if (message.text("type") === "subscribed") {
        clearTimeout(opening);
        const from = message.maybe("from", message.count);
        if (from !== null) this.#feed.begin(from);
        return onBegun();
      }
      const events = this.#feed.take(message);
      for (const event of events) this.#queue.push(event, weight / events.length);
      // It goes on from here when some were read.
      if (this.#queue.isFull) socket.close();
    });
    const mute = new CretoError("unreachable", `${node.url} does not begin to stream`, { node: node.url });
    const opening = setTimeout(() => socket.fail(mute), this.#parts.transport.attemptMs);
    const stopWatching = this.#watch(node, socket, () => heard);
    try {
      await socket.whenOver(this.#life.signal);
    } finally {
      clearTimeout(opening);
      stopWatching();
    }
  }

  /** Looks after a silent stream: a connection whose other end is gone looks like one on which nothing happens. */
  #watch(node: PooledNode, socket: StreamSocket, heard: () => number): () => void {
    const stop = new AbortController();
    const watching = new Patience(Number.POSITIVE_INFINITY, this.#life.signal, stop.signal);
    const look = async (): Promise<void> => {
      let before = heard();
      let wasBehind = false;
      for (;;) {
        await pause(this.#parts.heartbeatMs, watching.signal);
        const isSilent = heard() === before;
        before = heard();
        const isBehind = isSilent && this.#feed.isBehind(await this.#parts.order.statusOf(node, watching));
        if (isBehind && wasBehind) throw new CretoError("unreachable", `the stream of ${node.url} tells nothing more`);
        wasBehind = isBehind;
      }
    };
    look().catch((error: unknown) => {
      socket.fail(error instanceof CretoError ? error : new CretoError("unreachable", String(error), { cause: error }));
    });
    return () => stop.abort(new CretoError("closed", "the stream is over"));
  }

  async #askAgainAndAgain(node: PooledNode): Promise<void> {
    while (!this.#queue.isEnded) {
      const poll = this.#feed.poll();
      if (poll === null) return;
      const ask = { method: "GET", isRepeatable: true, ...poll } as const;
      const { body } = await this.#parts.transport.askOnce(ask, node, this.#life);
      const events = this.#feed.take(new Fields({ ...(body as object), type: "finalized" }, "page"));
      const weight = events.length === 0 ? 0 : JSON.stringify(body).length / events.length;
      for (const event of events) this.#queue.push(event, weight);
      if (events.length === 0) await pause(POLL_MS, this.#life.signal);
      await this.#queue.whenRoomy();
    }
    throw reasonOf(this.#life.signal);
  }
}
