import { afterEach, describe, expect, test } from "bun:test";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { type Batch, batchesOf, packPayloads, submitAll, submitBatch } from "./submit.ts";

let server: ReturnType<typeof Bun.serve> | null = null;
afterEach(async () => {
  await server?.stop(true);
  server = null;
});

/** A node that answers with these, one after the other, and keeps what it was asked. */
function node(...answers: readonly Response[]): { url: string; asked: { path: string; body: Uint8Array }[] } {
  const asked: { path: string; body: Uint8Array }[] = [];
  const left = [...answers];
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      asked.push({ path: pathname + search, body: await request.bytes() });
      return left.shift() ?? new Response("no more answers", { status: 500 });
    },
  });
  return { url: server.url.origin, asked };
}

function problem(status: number, retryAfter?: string): Response {
  const headers = new Headers({ "content-type": "application/problem+json" });
  if (retryAfter !== undefined) headers.set("retry-after", retryAfter);
  return new Response(JSON.stringify({ status, detail: `because of ${status}` }), { status, headers });
}

const RECEIPTS = [{ hash: "a".repeat(64), sequence: 1, finalized: true, finalityMs: 3 }];
const payload = (size: number): Uint8Array => new Uint8Array(size).fill(1);

async function collect(groups: readonly Batch[], countMax: number): Promise<readonly (readonly number[])[]> {
  const sizes: number[][] = [];
  for await (const batch of batchesOf(groups, countMax)) sizes.push(batch.map(({ length }) => length));
  return sizes;
}

async function* stream(batches: readonly Batch[]): AsyncGenerator<Batch> {
  yield* batches;
}

describe("batches", () => {
  test("hold no more payloads than asked for, and none crosses a group", async () => {
    expect(await collect([[payload(1), payload(2), payload(3)], [payload(4)], []], 2)).toEqual([[1, 2], [3], [4]]);
  });

  test("stay below what one request may carry, however large the payloads are", async () => {
    const sizes = await collect([Array.from({ length: 100 }, () => payload(131_072))], 10_000);
    expect(sizes.flat()).toHaveLength(100);
    for (const batch of sizes) expect(batch.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(4 * 1024 * 1024);
    expect(sizes.length).toBe(4);
  });

  test("pack each payload behind its length", () => {
    expect(packPayloads([payload(1), payload(0), payload(258)]).toHex()).toStartWith("01000000010000000002010000");
  });
});

describe("submitting a batch", () => {
  test("answers the receipts, waiting for finality or not", async () => {
    const { url, asked } = node(
      Response.json({ items: RECEIPTS }),
      Response.json({ items: RECEIPTS }, { status: 202 }),
    );
    expect(await submitBatch(url, [payload(2)], { wait: true })).toEqual(RECEIPTS);
    await submitBatch(url, [payload(2)], { wait: false });
    expect(asked.map(({ path }) => path)).toEqual(["/v1/vertices/batch?wait=finalized", "/v1/vertices/batch"]);
    expect(asked[0]?.body.toHex()).toBe("020000000101");
  });

  test("asks again, the same, while the node is overloaded or not ready", async () => {
    const { url, asked } = node(problem(429, "0"), problem(503, "0"), Response.json({ items: RECEIPTS }));
    expect(await submitBatch(url, [payload(2)], { wait: true })).toEqual(RECEIPTS);
    expect(new Set(asked.map(({ path, body }) => path + body.toHex())).size).toBe(1);
    expect(asked).toHaveLength(3);
  });

  test.each([
    [400, EXIT.failed],
    [413, EXIT.failed],
    [503, EXIT.notReady],
    [504, EXIT.notReady],
  ])("fails at once for %d, with its own exit status and the node's reason", async (status, exitCode) => {
    const { url, asked } = node(problem(status));
    const failure = await submitBatch(url, [payload(1)], { wait: true }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandFailed);
    expect(failure).toMatchObject({ exitCode, message: `the node answered ${status}: because of ${status}` });
    expect(asked).toHaveLength(1);
  });

  test("refuses an answer that is no node's", async () => {
    const { url } = node(new Response("<html>"));
    expect(submitBatch(url, [payload(1)], { wait: true })).rejects.toThrow("is this a cretoai node's API?");
  });
});

describe("submitting all", () => {
  test("has as many batches under way as allowed, and reads no further ahead", async () => {
    let read = 0;
    const input = async function* (): AsyncGenerator<Batch> {
      for (; read < 20; read++) yield [payload(1)];
    };
    const under: (() => void)[] = [];
    const full = Promise.withResolvers<void>();
    let count = 0;
    const work = submitAll(input(), {
      atOnce: 3,
      submit: async () => {
        count += 1;
        if (count > 3) return;
        await new Promise<void>((resolve) => {
          under.push(resolve);
          if (under.length === 3) full.resolve();
        });
      },
    });
    await full.promise;
    await new Promise((resolve) => setImmediate(resolve));
    expect([read, count]).toEqual([2, 3]);
    for (const release of under) release();
    await work;
    expect([read, count]).toEqual([20, 20]);
  });

  test("ends at the first failure", async () => {
    const batches = Array.from({ length: 50 }, () => [payload(1)]);
    let count = 0;
    const work = submitAll(stream(batches), {
      atOnce: 2,
      submit: async () => {
        if (++count === 3) throw new Error("third");
      },
    });
    expect(work).rejects.toThrow("third");
    await work.catch(() => undefined);
    expect(count).toBeLessThan(10);
  });
});
