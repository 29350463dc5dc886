import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { JobQueue } from "./job-queue.ts";

describe("a job queue", () => {
  test("starts waiting jobs in the order in which they came, as others end", async () => {
    const queue = new JobQueue({ runningMax: 2, waitingMax: 10 });
    const started: number[] = [];
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const jobs = gates.map((gate, index) =>
      queue.run(async () => {
        started.push(index);
        await gate.promise;
        return index;
      }),
    );
    expect(started).toEqual([0, 1]);
    gates[1]?.resolve();
    expect(await jobs[1]).toBe(1);
    expect(started).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    expect(await Promise.all(jobs)).toEqual([0, 1, 2, 3, 4]);
    expect([queue.running, queue.waiting]).toEqual([0, 0]);
  });

  test("goes on after a job that fails, and hands the failure to its caller", async () => {
    const queue = new JobQueue({ runningMax: 1, waitingMax: 10 });
    const failing = queue.run(() => Promise.reject(new Error("no")));
    const next = queue.run(() => Promise.resolve("yes"));
    expect(failing).rejects.toThrow("no");
    expect(await next).toBe("yes");
    expect(queue.running).toBe(0);
  });

  test("holds its bounds and answers every job that it took, whatever the load", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.nat(8),
        fc.array(fc.nat(6), { maxLength: 60 }),
        async (runningMax, waitingMax, bursts) => {
          const queue = new JobQueue({ runningMax, waitingMax });
          const taken: Promise<number>[] = [];
          let runningNow = 0;
          for (const burst of bursts) {
            for (let index = 0; index < burst; index++) {
              const hadRoom = queue.running < runningMax || queue.waiting < waitingMax;
              const job = queue.run(async () => {
                runningNow += 1;
                expect(runningNow).toBeLessThanOrEqual(runningMax);
                await Promise.resolve();
                runningNow -= 1;
                return index;
              });
              expect(job !== null).toBe(hadRoom);
              expect(queue.waiting).toBeLessThanOrEqual(waitingMax);
              if (job !== null) taken.push(job);
            }
            await Promise.resolve();
          }
          await Promise.all(taken);
          expect([queue.running, queue.waiting]).toEqual([0, 0]);
        },
      ),
    );
  });
});
