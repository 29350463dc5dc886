import { assert } from "../../lib/assert.ts";
import type { StepRecord } from "./records.ts";
import type { Position } from "../../membership/ids.ts";

/** A step that can be claimed from a time on: a ready one, or one whose lease is over then. */
export interface Claimable {
  readonly atMs: number;
  /** Of its run. */
  readonly started: Position;
  readonly run: string;
  readonly step: number;
}

/** When a step can be claimed, as it is; null where it cannot. */
function claimableAt({ state }: StepRecord): number | null {
  if (state.kind === "ready") return state.fromMs;
  return state.kind === "leased" ? state.untilMs : null;
}

/** What can be claimed, for each handler in the order of the times; of one time, the run that started first. A function of the steps. */
export class Agenda {
  /** None is empty. */
  readonly #lists = new Map<string, Claimable[]>();

  add(record: StepRecord, started: Position): void {
    const atMs = claimableAt(record);
    if (atMs === null) return;
    const { run, step, handler } = record;
    const item = { atMs, started, run, step };
    const list = this.#lists.get(handler);
    if (list === undefined) this.#lists.set(handler, [item]);
    else list.splice(placeIn(list, item), 0, item);
  }

  delete(record: StepRecord, started: Position): void {
    const atMs = claimableAt(record);
    const list = this.#lists.get(record.handler);
    if (atMs === null || list === undefined) return;
    const [deleted] = list.splice(placeIn(list, { atMs, started, run: record.run, step: record.step }), 1);
    assert(deleted?.run === record.run && deleted.step === record.step, "a step that can be claimed is on the agenda");
    if (list.length === 0) this.#lists.delete(record.handler);
  }

  /** The first of these handlers; null where there is none. */
  first(handlers: readonly string[]): Claimable | null {
    let first: Claimable | null = null;
    for (const handler of handlers) {
      const head = this.#lists.get(handler)?.[0];
      if (head !== undefined && (first === null || compare(head, first) < 0)) first = head;
    }
    return first;
  }

  /** How many of these handlers are claimable by that time, counted to `max`, and the time of the first that is not yet. */
  claimable(
    handlers: readonly string[],
    byMs: number,
    max: number,
  ): { readonly count: number; readonly nextMs: number | null } {
    let count = 0;
    let nextMs: number | null = null;
    for (const handler of new Set(handlers)) {
      const list = this.#lists.get(handler) ?? [];
      const due = firstWhere(list.length, (at) => (list[at]?.atMs ?? 0) > byMs);
      const next = list[due]?.atMs;
      if (next !== undefined && (nextMs === null || next < nextMs)) nextMs = next;
      count += due;
    }
    return { count: Math.min(count, max), nextMs };
  }
}

function compare(left: Claimable, right: Claimable): number {
  return left.atMs - right.atMs || left.started - right.started || left.step - right.step;
}

function placeIn(list: readonly Claimable[], item: Claimable): number {
  return firstWhere(list.length, (at) => compare(list[at] ?? item, item) >= 0);
}

/** The first place from which on the condition holds; `length` where it holds nowhere. */
function firstWhere(length: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
