import type { ChangeFeed } from "../node/application-service.ts";
import { CHANGES_BYTES_MAX, CHANGES_MAX, type Change } from "../replication/key-value/changes.ts";
import { decodeRunChange } from "../replication/workflow/run-change.ts";
import { REPLAY_ITEMS } from "./limits.ts";

/** All that a node may keep, and half as much that happens while that is read: a watcher further behind is sent away. */
const WAITING_MAX: number = 3 * CHANGES_MAX;
const WAITING_BYTES_MAX: number = 3 * CHANGES_BYTES_MAX;

/** Values of one message, in bytes, unless one alone has more. */
const MESSAGE_BYTES_MAX: number = 1024 * 1024;

/** Topics that tell changes; each is of one application. */
export const CHANGE_TOPICS = { changes: "key-value", runs: "workflow" } as const;

export type ChangeTopic = keyof typeof CHANGE_TOPICS;

export interface WantedChanges {
  readonly topic: ChangeTopic;
  /** Of keys, or of the names of runs. */
  readonly prefix: string;
  /** The first position. */
  readonly from: number;
}

/** Where changes go: a WebSocket. */
export interface ChangeSink {
  readonly isOpen: () => boolean;
  /** False where the client was sent away. */
  readonly send: (message: unknown) => boolean;
  /** Resolves when the client has read most of what it was sent. */
  readonly drained: () => Promise<void>;
  /** The client is told to come back with the position that it is at. */
  readonly sendAway: () => void;
  /** The client is told that changes were lost: it reads anew. */
  readonly sayLost: () => void;
}

/** One client's changes, in order, no faster than it reads. */
export class ChangeStream {
  readonly #sink: ChangeSink;
  readonly #topic: ChangeTopic;
  #stop: () => void = () => undefined;
  #waiting: Change[] = [];
  #bytes = 0;
  #isOpen = false;
  #isOver = false;
  #isPumping = false;

  /**
   * Nothing is sent before `open`.
   * @throws NodeError `too-old`
   */
  constructor(feed: ChangeFeed, wanted: WantedChanges, sink: ChangeSink) {
    this.#sink = sink;
    this.#topic = wanted.topic;
    const take = (changes: readonly Change[]): void => {
      this.#take(changes.filter(({ position, key }) => position >= wanted.from && key.startsWith(wanted.prefix)));
    };
    this.#stop = feed.subscribe(take, wanted.from, () => this.#lose());
    if (this.#isOver) this.#stop();
  }

  open(): void {
    this.#isOpen = !this.#isOver;
    void this.#pump();
  }

  close(): void {
    this.#stop();
    this.#isOpen = false;
    this.#isOver = true;
    this.#waiting = [];
    this.#bytes = 0;
  }

  #take(changes: readonly Change[]): void {
    for (const change of changes) this.#waiting.push(change);
    this.#bytes += changes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    if (this.#waiting.length > WAITING_MAX || this.#bytes > WAITING_BYTES_MAX) {
      this.close();
      this.#sink.sendAway();
    } else void this.#pump();
  }

  #lose(): void {
    if (this.#isOver) return;
    this.close();
    this.#sink.sayLost();
  }

  async #pump(): Promise<void> {
    if (!this.#isOpen || this.#isPumping) return;
    this.#isPumping = true;
    while (this.#isOpen && this.#waiting.length > 0 && this.#sink.isOpen()) {
      const items = this.#next().map(this.#topic === "changes" ? changeBody : runBody);
      if (!this.#sink.send({ type: this.#topic, items })) break;
      await this.#sink.drained();
    }
    this.#isPumping = false;
  }

  #next(): readonly Change[] {
    let count = 0;
    let bytes = 0;
    for (const { value } of this.#waiting.slice(0, REPLAY_ITEMS)) {
      bytes += value?.length ?? 0;
      if (count > 0 && bytes > MESSAGE_BYTES_MAX) break;
      count++;
    }
    const items = this.#waiting.splice(0, count);
    this.#bytes -= items.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    return items;
  }
}

function changeBody({ position, key, value, version }: Change): Readonly<Record<string, unknown>> {
  return { position, key, value: value?.toBase64() ?? null, version };
}

/** A run that has ended long ago is dropped: its name is free again. */
function runBody({ position, key, value }: Change): Readonly<Record<string, unknown>> {
  if (value === null) return { position, run: key, state: "dropped", steps: 0, completed: 0, ready: [] };
  return { position, run: key, ...decodeRunChange(value) };
}
