import { expect, test } from "bun:test";
import { systemClock } from "./system-clock.ts";

test("a timer never fires before its time, also when that lies between two milliseconds", async () => {
  const early: number[] = [];
  await Promise.all(
    Array.from({ length: 200 }, (_, index) => {
      const atMs = systemClock.monotonicMs() + 1 + index / 7;
      const { promise, resolve } = Promise.withResolvers<void>();
      systemClock.setTimer(atMs, () => {
        if (systemClock.monotonicMs() < atMs) early.push(atMs);
        resolve();
      });
      return promise;
    }),
  );
  expect(early).toEqual([]);
});

test("a cancelled timer does not fire", async () => {
  let fired = false;
  const cancel = systemClock.setTimer(systemClock.monotonicMs() + 1, () => {
    fired = true;
  });
  cancel();
  const { promise, resolve } = Promise.withResolvers<void>();
  systemClock.setTimer(systemClock.monotonicMs() + 5, resolve);
  await promise;
  expect(fired).toBe(false);
});
