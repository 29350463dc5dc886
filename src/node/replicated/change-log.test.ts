import { describe, expect, test } from "bun:test";
import type { Position } from "../../membership/ids.ts";
import { type Change, CHANGES_MAX } from "../../replication/key-value/changes.ts";
import { ChangeLog } from "./change-log.ts";

function changesOf(positions: readonly number[]): readonly Change[] {
  return positions.map((position) => {
    const at = position as Position;
    return { position: at, key: `k${position}`, value: null, version: at };
  });
}

function watch(log: ChangeLog, from: number | null): { readonly seen: number[]; gaps: number; end(): unknown } {
  const watcher = { seen: [] as number[], gaps: 0, end: (): unknown => undefined };
  const listener = (changes: readonly Change[]): void => {
    watcher.seen.push(...changes.map(({ position }) => position));
  };
  watcher.end = log.subscribe(listener, from, () => {
    watcher.gaps += 1;
  });
  return watcher;
}

describe("the changes that a node keeps", () => {
  test("reach who watches, from the position that it names, until it ends", () => {
    const log = new ChangeLog(10);
    log.add({ items: changesOf([11, 12, 12, 14]), droppedThrough: null });
    const [all, some, live] = [watch(log, 11), watch(log, 12), watch(log, null)];
    log.add({ items: changesOf([15]), droppedThrough: null });
    live.end();
    log.add({ items: changesOf([16]), droppedThrough: null });
    expect([all.seen, some.seen, live.seen]).toEqual([[11, 12, 12, 14, 15, 16], [12, 12, 14, 15, 16], [15]]);
    expect(() => watch(log, 10)).toThrow("changes from position 11 on are kept, not from 10");
  });

  test("are bounded, a command's whole or not at all", () => {
    const log = new ChangeLog(0);
    const pairs = Array.from({ length: 3 * CHANGES_MAX }, (_, at) => 1 + (at >> 1));
    for (let at = 0; at < pairs.length; at += 100)
      log.add({ items: changesOf(pairs.slice(at, at + 100)), droppedThrough: null });
    const last = pairs.at(-1) ?? 0;
    expect(() => watch(log, 1)).toThrow("read the range anew");
    const { seen } = watch(log, last - CHANGES_MAX / 2 + 1);
    expect(seen).toHaveLength(CHANGES_MAX);
    expect(seen.filter((position) => position === seen[0])).toHaveLength(2);
  });

  test("that were too many at once end every watch, which is told so", () => {
    const log = new ChangeLog(0);
    const watcher = watch(log, null);
    log.add({ items: changesOf([7, 8]), droppedThrough: 6 as Position });
    expect([watcher.seen, watcher.gaps]).toEqual([[], 1]);
    expect(watch(log, 7).seen).toEqual([7, 8]);
    expect(() => watch(log, 6)).toThrow("read the range anew");
  });
});
