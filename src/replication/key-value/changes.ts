import type { Position } from "../../membership/ids.ts";

/** As many as a node keeps for those who watch: a watcher that is further behind reads anew. */
export const CHANGES_MAX = 10_000;

/** What one command made of one key. */
export interface Change {
  readonly position: Position;
  readonly key: string;
  /** Null where it was deleted. */
  readonly value: Uint8Array | null;
  /** The key's version; of a deletion its position. */
  readonly version: Position;
}

export interface TakenChanges {
  /** In the order of their positions. */
  readonly items: readonly Change[];
  /** Changes up to this position were too many to be kept and are missing; null where none are. */
  readonly droppedThrough: Position | null;
}

/** The values of what is kept, in bytes, at most: they may be of entries that are long overwritten. */
export const CHANGES_BYTES_MAX: number = 64 * 1024 * 1024;

/** What has changed since somebody took it. */
export class Changes {
  #items: Change[] = [];
  #bytes = 0;
  #droppedThrough: Position | null = null;

  add(change: Change): void {
    this.#items.push(change);
    this.#bytes += sizeOf(change);
    // At twice the bound, so that a change costs no shift of all others.
    if (this.#items.length >= 2 * CHANGES_MAX || this.#bytes >= 2 * CHANGES_BYTES_MAX) this.#cut();
  }

  take(): TakenChanges {
    if (this.#items.length > CHANGES_MAX || this.#bytes > CHANGES_BYTES_MAX) this.#cut();
    const taken = { items: this.#items, droppedThrough: this.#droppedThrough };
    this.clear();
    return taken;
  }

  clear(): void {
    this.#items = [];
    this.#bytes = 0;
    this.#droppedThrough = null;
  }

  /** What one command changed is given out as a whole or not at all. */
  #cut(): void {
    let count = this.#items.length;
    let dropped: Position | null = null;
    for (const change of this.#items) {
      const fits = count <= CHANGES_MAX && this.#bytes <= CHANGES_BYTES_MAX;
      if (fits && change.position !== dropped) break;
      dropped = change.position;
      count--;
      this.#bytes -= sizeOf(change);
    }
    this.#items = this.#items.slice(this.#items.length - count);
    this.#droppedThrough = dropped ?? this.#droppedThrough;
  }
}

function sizeOf({ value }: Change): number {
  return value === null ? 0 : value.length;
}
