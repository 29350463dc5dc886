import { CHANGES_BYTES_MAX, CHANGES_MAX, type Change, type TakenChanges } from "../../replication/key-value/changes.ts";
import type { ChangeFeed } from "../application-service.ts";
import { NodeError } from "../service.ts";

interface Watcher {
  readonly listener: (changes: readonly Change[]) => void;
  readonly onGap: () => void;
}

/** The last changes of a store, for those who watch and those who come back. */
export class ChangeLog implements ChangeFeed {
  readonly #watchers = new Set<Watcher>();
  #kept: Change[] = [];
  #bytes = 0;
  /** Changes up to this position are not kept. */
  #lost: number;

  /** @param position up to where this process knows of no changes */
  constructor(position: number) {
    this.#lost = position;
  }

  /** What one batch changed, durable by now. */
  add({ items, droppedThrough }: TakenChanges): void {
    if (droppedThrough !== null) {
      this.#kept = [];
      this.#bytes = 0;
      this.#lost = droppedThrough;
      for (const { onGap } of this.#watchers) onGap();
      this.#watchers.clear();
    }
    if (items.length === 0) return;
    this.#kept.push(...items);
    for (const { value } of items) this.#bytes += value?.length ?? 0;
    // At twice the bound, so that a change costs no copy of all others.
    if (this.#kept.length > 2 * CHANGES_MAX || this.#bytes > 2 * CHANGES_BYTES_MAX) this.#cut();
    for (const { listener } of this.#watchers) listener(items);
  }

  subscribe(listener: Watcher["listener"], from: number | null, onGap: () => void): () => void {
    if (from !== null) {
      if (from <= this.#lost) {
        const why = `changes from position ${this.#lost + 1} on are kept, not from ${from}`;
        throw new NodeError("too-old", `${why}: read the range anew, then subscribe from its position`);
      }
      const missed = this.#kept.filter(({ position }) => position >= from);
      if (missed.length > 0) listener(missed);
    }
    const watcher = { listener, onGap };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** What one command changed is kept as a whole or not at all. */
  #cut(): void {
    let count = 0;
    for (const { position, value } of this.#kept) {
      const fits = this.#kept.length - count <= CHANGES_MAX && this.#bytes <= CHANGES_BYTES_MAX;
      if (fits && position !== this.#lost) break;
      this.#lost = position;
      this.#bytes -= value?.length ?? 0;
      count++;
    }
    this.#kept = this.#kept.slice(count);
  }
}
