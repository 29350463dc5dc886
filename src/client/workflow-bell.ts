import type { Feed } from "./feed.ts";
import type { Fields } from "./fields.ts";
import type { Subscription } from "./subscription.ts";

/** What one command made of a run. */
export interface RunChange {
  readonly position: number;
  readonly run: string;
  /** Handlers of the steps that it made ready. */
  readonly ready: readonly string[];
}

/** Gets each change; null where there may have been others: the stream has just begun, or ended. */
export type BellListener = (change: RunChange | null) => void;

/** What opens the stream; null where the runtime has no WebSocket. */
export type OpenStream = (feed: Feed<RunChange>) => Subscription<RunChange> | null;

/**
 * One stream for all who wait for workflows, open as long as somebody does. It says when to look and not what is there: what
 * it misses costs time, because all who listen look by themselves every now and then.
 */
export class WorkflowBell {
  readonly #open: OpenStream;
  readonly #listeners = new Set<BellListener>();
  #stream: Subscription<RunChange> | null = null;
  #isLive = false;
  #position = 0;

  constructor(open: OpenStream) {
    this.#open = open;
  }

  /** A node tells at this time what happens. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** Of the last change that was told: an answer from before it is an old one. */
  get position(): number {
    return this.#position;
  }

  /** Calls back until the answer is called. */
  listen(listener: BellListener): () => void {
    this.#listeners.add(listener);
    if (this.#stream === null) this.#start();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
  }

  #start(): void {
    const stream = this.#open({
      hello: () => ({ subscribe: ["runs"] }),
      begin: () => this.#turn(true),
      take: (message) => (message.text("type") === "runs" ? message.list("items", changeOf) : []),
      interruption: () => {
        this.#turn(false);
        return null;
      },
      isBehind: () => false,
      poll: () => null,
    });
    this.#stream = stream;
    if (stream !== null) void this.#follow(stream);
  }

  /** To the end of the stream. A node that has none, or another application, ends it for good: whoever listens looks by itself. */
  async #follow(stream: Subscription<RunChange>): Promise<void> {
    try {
      for await (const change of stream) {
        this.#position = Math.max(this.#position, change.position);
        this.#tell(change);
      }
    } catch {
      // Nothing is lost with it but time.
    }
    if (this.#stream === stream && this.#isLive) this.#turn(false);
  }

  /** Who listens looks now, and then waits as long as that allows. */
  #turn(isLive: boolean): void {
    this.#isLive = isLive;
    this.#tell(null);
  }

  #stop(): void {
    this.#isLive = false;
    this.#stream?.close();
    this.#stream = null;
  }

  #tell(change: RunChange | null): void {
    for (const listener of [...this.#listeners]) listener(change);
  }
}

function changeOf(fields: Fields): RunChange {
  return { position: fields.count("position"), run: fields.text("run"), ready: fields.texts("ready") };
}
