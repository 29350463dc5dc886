import { describe, expect, test } from "bun:test";
import type { Position } from "../../membership/ids.ts";
import { CHANGES_BYTES_MAX, CHANGES_MAX, Changes } from "./changes.ts";

const at = (position: number, value: Uint8Array | null = null) => ({
  position: position as Position,
  key: "k",
  value,
  version: position as Position,
});

describe("the changes that nobody took yet", () => {
  test.each([CHANGES_MAX + 1, 2 * CHANGES_MAX, 5 * CHANGES_MAX + 3])("are the last ones of %d", (count) => {
    const changes = new Changes();
    for (let position = 1; position <= count; position++) changes.add(at(position));
    const { items, droppedThrough } = changes.take();
    expect(items).toHaveLength(CHANGES_MAX);
    expect(droppedThrough).toBe((count - CHANGES_MAX) as Position);
    expect(items[0]?.position).toBe((count - CHANGES_MAX + 1) as Position);
    expect(changes.take()).toEqual({ items: [], droppedThrough: null });
  });

  test("are all of what a command changed, or nothing of it", () => {
    const changes = new Changes();
    for (let position = 1; position <= CHANGES_MAX; position++) changes.add(at(Math.max(position, 50)));
    changes.add(at(CHANGES_MAX + 1));
    const { items, droppedThrough } = changes.take();
    expect(droppedThrough).toBe(50 as Position);
    expect(items).toHaveLength(CHANGES_MAX + 1 - 50);
  });

  test("hold no more bytes than they may", () => {
    const changes = new Changes();
    const value = new Uint8Array(CHANGES_BYTES_MAX / 64);
    for (let position = 1; position <= 100; position++) changes.add(at(position, value));
    expect(changes.take()).toMatchObject({ items: { length: 64 }, droppedThrough: 36 });
  });
});
