import type { ReadOptions } from "./commands.ts";
import type { KeyChange } from "./change-feed.ts";
import { CretoError } from "./creto-error.ts";
import { Fields } from "./fields.ts";
import type { CallOptions, Patience } from "./patience.ts";
import type { CommandId, Session } from "./session.ts";
import type { Subscription, StreamOptions } from "./subscription.ts";
import type { Answer, Ask, Transport } from "./transport.ts";
import { type Bytes, bytesOf } from "./vertices.ts";

export interface KeyValueEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** The position of the command that last wrote the key. */
  readonly version: number;
}

export interface Written {
  readonly version: number;
  /** The version that the key had before; null where there was none. */
  readonly previous: number | null;
}

export interface WriteOptions extends CallOptions {
  /** Sends the write of this number again, as after a crash; the next number unless given. */
  readonly number?: number;
}

/** What a compare-and-set expects the key to be: absent, or of this version. */
export type Expected = "absent" | number;

/** `current` is the key's version as it is; null where the key is absent. */
export type SetOutcome =
  | (Written & { readonly isSet: true })
  | { readonly isSet: false; readonly current: number | null };

export interface RangeOptions extends ReadOptions {
  readonly prefix?: string;
  /** The first key, inclusive. */
  readonly from?: string;
  /** The end, exclusive. */
  readonly to?: string;
  readonly reverse?: boolean;
  /** The most entries; all unless given. */
  readonly limit?: number;
}

export interface WatchOptions extends StreamOptions {
  readonly prefix?: string;
  /** The first position whose changes are wanted; those from now on unless given. */
  readonly from?: number;
}

/** A range as a whole. */
export interface KeyValueList {
  readonly entries: readonly KeyValueEntry[];
  /** No entry is older than this position: a watch from the next one on misses no change. */
  readonly position: number;
}

interface Page {
  readonly items: readonly KeyValueEntry[];
  /** The last position that the node's state had seen. */
  readonly position: number;
  /** The start of the next page, or in reverse its end; null after the last. */
  readonly next: string | null;
}

type Run = <T>(options: CallOptions, work: (patience: Patience) => Promise<T>) => Promise<T>;

/** Entries of one page of a range. */
const PAGE_ITEMS = 100;

/** UTF-8 bytes. */
const KEY_BYTES_MAX = 512;

/** The key-value store of a network whose application is that. Every write is a command, applied once. */
export class KeyValue {
  readonly #transport: Transport;
  readonly #session: Session;
  readonly #run: Run;
  readonly #watch: (options: WatchOptions) => Subscription<KeyChange>;

  constructor(
    transport: Transport,
    session: Session,
    run: Run,
    watch: (options: WatchOptions) => Subscription<KeyChange>,
  ) {
    this.#transport = transport;
    this.#session = session;
    this.#run = run;
    this.#watch = watch;
  }

  /** Null where there is no such key. */
  async get(key: string, options: ReadOptions = {}): Promise<KeyValueEntry | null> {
    const query = { consistency: options.consistency ?? "linearizable" };
    return await this.#run(options, async (patience) => {
      try {
        const place = placeOf(key);
        const ask = {
          method: "GET",
          path: place.path,
          query: { ...place.query, ...query },
          isRepeatable: true,
          nodeWaits: true,
        } as const;
        return entryOf(new Fields((await this.#transport.ask(ask, patience)).body, "entry"));
      } catch (error) {
        if (error instanceof CretoError && error.code === "no-such-key") return null;
        throw error;
      }
    });
  }

  async put(key: string, value: Bytes, options: WriteOptions = {}): Promise<Written> {
    return writtenOf(await this.#write("PUT", key, {}, options, bytesOf(value)));
  }

  /** Deletes the key; `previous` is null where there was none. */
  async delete(key: string, options: WriteOptions = {}): Promise<Written> {
    return writtenOf(await this.#write("DELETE", key, {}, options));
  }

  /** Writes `next`, or deletes the key where that is null, if the key still is as expected. */
  async compareAndSet(
    key: string,
    expected: Expected,
    next: Bytes | null,
    options: WriteOptions = {},
  ): Promise<SetOutcome> {
    const headers: Record<string, string> =
      expected === "absent" ? { "if-none-match": "*" } : { "if-match": String(expected) };
    try {
      const body = next === null ? undefined : bytesOf(next);
      const answer = await this.#write(next === null ? "DELETE" : "PUT", key, headers, options, body);
      return { isSet: true, ...writtenOf(answer) };
    } catch (error) {
      if (!(error instanceof CretoError) || error.code !== "version-conflict") throw error;
      const current = error.problem?.extra["current"];
      return { isSet: false, current: typeof current === "number" ? current : null };
    }
  }

  /** Ascending by key unless reversed; page by page, so that entries written meanwhile may be seen or not. */
  async *range(options: RangeOptions = {}): AsyncGenerator<KeyValueEntry, void, undefined> {
    for await (const { items } of this.#pages(options)) yield* items;
  }

  /**
   * All of a range, with the position that it is as of: `watch({ from: position + 1 })` tells every change that is not in it,
   * and of a range of several pages some that are. Applied in order, they make the range what it is at the network.
   */
  async list(options: RangeOptions = {}): Promise<KeyValueList> {
    const entries: KeyValueEntry[] = [];
    let position = Number.POSITIVE_INFINITY;
    for await (const page of this.#pages(options)) {
      entries.push(...page.items);
      // Pages may come from several nodes, and the later one from a node that lags.
      position = Math.min(position, page.position);
    }
    if (position === Number.POSITIVE_INFINITY) throw new CretoError("invalid-argument", "limit must be 1 or more");
    return { entries, position };
  }

  async *#pages(options: RangeOptions): AsyncGenerator<Page, void, undefined> {
    const { limit = Number.POSITIVE_INFINITY } = options;
    let rest: RangeOptions = options;
    for (let count = 0; count < limit; ) {
      const page = await this.#page({ ...rest, limit: Math.min(PAGE_ITEMS, limit - count) });
      yield page;
      count += page.items.length;
      if (page.next === null) return;
      rest = { ...options, ...(options.reverse === true ? { to: page.next } : { from: page.next }) };
    }
  }

  /**
   * Every change from now or from a position on, once and in order, over lost connections too. Nodes keep the last
   * 10,000 changes: one that was away for longer gets CretoError `too-old`, and reads the range anew (`list`).
   */
  watch(options: WatchOptions = {}): Subscription<KeyChange> {
    return this.#watch(options);
  }

  async #page(options: RangeOptions): Promise<Page> {
    const { prefix, from, to, limit, reverse, consistency = "linearizable" } = options;
    const query = { prefix, from, to, limit, reverse, consistency };
    return await this.#run(options, async (patience) => {
      const ask = { method: "GET", path: "/v1/kv", query, isRepeatable: true, nodeWaits: true } as const;
      const { body } = await this.#transport.ask(ask, patience);
      const fields = new Fields(body, "range");
      const [items, next] = [fields.list("items", entryOf), fields.maybe("next", fields.text)];
      return { items, next, position: fields.count("position") };
    });
  }

  async #write(
    method: "PUT" | "DELETE",
    key: string,
    condition: Readonly<Record<string, string>>,
    options: WriteOptions,
    body?: Uint8Array,
  ): Promise<Answer> {
    const place = placeOf(key);
    const send =
      (patience: Patience) =>
      async (id: CommandId): Promise<Answer> => {
        const headers = { ...condition, "x-cretoai-client": id.client, "x-cretoai-number": String(id.number) };
        const ask: Ask = {
          method,
          ...place,
          headers,
          isRepeatable: true,
          nodeWaits: true,
          ...(body === undefined ? {} : { body }),
        };
        return await this.#transport.ask(ask, patience);
      };
    return await this.#run(options, (patience) => this.#session.run(patience, send(patience), options.number));
  }
}

/** Where the key is. @throws CretoError `invalid-argument` where it is none */
function placeOf(key: string): Pick<Ask, "path" | "query"> {
  const size = bytesOf(key).length;
  if (size < 1 || size > KEY_BYTES_MAX) {
    throw new CretoError("invalid-argument", `a key has 1 to ${KEY_BYTES_MAX} bytes of UTF-8, not ${size}`);
  }
  // Every client of HTTP takes these for folders (WHATWG URL §4.4), escaped or not.
  if (key === "." || key === "..") return { path: "/v1/kv/", query: { key } };
  return { path: `/v1/kv/${encodeURIComponent(key)}` };
}

function entryOf(fields: Fields): KeyValueEntry {
  return { key: fields.text("key"), value: fields.bytes("value"), version: fields.count("version") };
}

function writtenOf({ body }: Answer): Written {
  const fields = new Fields(body, "answer");
  return { version: fields.count("version"), previous: fields.maybe("previous", fields.count) };
}
