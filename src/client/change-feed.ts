import type { Feed } from "./feed.ts";
import type { Fields } from "./fields.ts";

/** A key of the key-value store was written or deleted. */
export interface KeyChange {
  /** Of the command that did it; one command may change several keys. */
  readonly position: number;
  readonly key: string;
  /** Null where the key was deleted. */
  readonly value: Uint8Array | null;
  readonly version: number;
}

/** Changes of keys with a prefix. */
export class ChangeFeed implements Feed<KeyChange> {
  readonly #prefix: string;
  /** The position from which on changes are wanted; null until a node has said where it begins. */
  #from: number | null;
  /** Changes of exactly that position that were taken already: a connection may end between two of them. */
  #taken = 0;
  /** Of those, how many are still to come again on this connection. */
  #repeated = 0;

  constructor(prefix: string, from: number | null) {
    this.#prefix = prefix;
    this.#from = from;
  }

  hello(): object {
    this.#repeated = this.#taken;
    return { subscribe: ["changes"], prefix: this.#prefix, ...(this.#from === null ? {} : { from: this.#from }) };
  }

  begin(from: number): void {
    this.#from ??= from;
  }

  take(message: Fields): readonly KeyChange[] {
    if (message.text("type") !== "changes") return [];
    return message.list("items", changeOf).filter((change) => this.#isNew(change));
  }

  interruption(): null {
    return null;
  }

  isBehind(): boolean {
    return false;
  }

  poll(): null {
    return null;
  }

  #isNew({ position }: KeyChange): boolean {
    const from = this.#from ?? position;
    if (position < from) return false;
    if (position > from) this.#repeated = this.#taken = 0;
    this.#from = position;
    if (this.#repeated > 0) {
      this.#repeated -= 1;
      return false;
    }
    this.#taken += 1;
    return true;
  }
}

function changeOf(fields: Fields): KeyChange {
  return {
    position: fields.count("position"),
    key: fields.text("key"),
    value: fields.maybe("value", fields.bytes),
    version: fields.count("version"),
  };
}
