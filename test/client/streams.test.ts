import { afterEach, describe, expect, test } from "bun:test";
import { EventQueue } from "../../src/client/event-queue.ts";
import {
  type Client,
  type ConnectOptions,
  connect,
  type StreamEvent,
  type Subscription,
} from "../../src/client/main.ts";
import { ScriptedStream } from "./scripted-network.ts";

const GENESIS = "ab".repeat(32);

let streams: ScriptedStream[] = [];
let client: Client | null = null;

afterEach(async () => {
  client?.close();
  await Promise.all(streams.map((stream) => stream.stop()));
  streams = [];
});

function stream(): ScriptedStream {
  const made = new ScriptedStream(GENESIS);
  streams.push(made);
  return made;
}

function follow(from: ScriptedStream, options: Partial<ConnectOptions> = {}): Subscription<StreamEvent<"finalized">> {
  client = connect({ nodes: [from.url], ...options });
  return client.subscribe({ topics: ["finalized"], from: 1 });
}

function finalized(first: number, count: number, payloadBytes = 3): object {
  const common = { purpose: "application", hash: GENESIS, creator: GENESIS, timestamp: 1 };
  const payload = btoa("x".repeat(payloadBytes));
  const items = Array.from({ length: count }, (_, index) => ({ sequence: first + index, payload, ...common }));
  return { type: "finalized", items };
}

async function sequences(events: Subscription<StreamEvent<"finalized">>, count: number): Promise<readonly number[]> {
  const seen: number[] = [];
  while (seen.length < count) seen.push((await events.next()).value?.vertex.sequence ?? 0);
  return seen;
}

const SUBSCRIBED = { type: "subscribed", topics: ["finalized"], from: 1 };

describe("a stream", () => {
  test("drops what comes twice, and asks again where something is missing", async () => {
    const node = stream();
    node.next([SUBSCRIBED, finalized(1, 3), finalized(2, 3), finalized(7, 1)], "stays");
    node.next([SUBSCRIBED, finalized(5, 3)], "stays");
    expect(await sequences(follow(node), 7)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(node.subscriptions.at(-1)).toEqual({ subscribe: ["finalized"], from: 5 });
  });

  test("lets go of its node while its reader is far behind, and goes on where it was", async () => {
    const node = stream();
    node.next([SUBSCRIBED, finalized(1, 2, 7_000_000), finalized(3, 1)], "stays");
    node.next([SUBSCRIBED, finalized(3, 2)], "stays");
    const events = follow(node);
    await node.whenClosed();
    expect(node.subscriptions).toHaveLength(1);
    expect(await sequences(events, 4)).toEqual([1, 2, 3, 4]);
    expect(node.subscriptions).toEqual([1, 3].map((from) => ({ subscribe: ["finalized"], from })));
  });

  test("that tells nothing, though its node has more, is begun anew", async () => {
    const node = stream();
    node.lastSequence = 2;
    node.next([SUBSCRIBED], "stays");
    node.next([SUBSCRIBED, finalized(1, 2)], "stays");
    expect(await sequences(follow(node, { heartbeatMs: 20 }), 2)).toEqual([1, 2]);
  });

  test("that nobody begins ends with what kept it, after its time", async () => {
    const node = stream();
    client = connect({ nodes: [node.url], attemptTimeoutMs: 50 });
    const events = client.subscribe({ topics: ["finalized"], timeoutMs: 300 });
    await expect(events.next()).rejects.toMatchObject({ code: "unreachable", node: node.url });
    await expect(events.ready).rejects.toMatchObject({ code: "unreachable" });
    expect((await events.next()).done).toBe(true);
  });

  test("goes on when the node sends what is no message", async () => {
    const node = stream();
    node.next([SUBSCRIBED, { type: "finalized", items: [{ sequence: "1" }] }], "stays");
    node.next([SUBSCRIBED, { type: "news of a later version" }, finalized(1, 1)], "stays");
    expect(await sequences(follow(node), 1)).toEqual([1]);
  });
});

describe("the queue of a stream", () => {
  test("hands events to who waits, and then tells the end once", async () => {
    const queue = new EventQueue<number>();
    const waiting = [queue.next(), queue.next()];
    queue.push(1, 1);
    queue.push(2, 1);
    queue.push(3, 1);
    queue.finish(new Error("over"));
    queue.push(4, 1);
    expect(await Promise.all(waiting)).toEqual([1, 2].map((value) => ({ value, done: false })));
    expect(await queue.next()).toEqual({ value: 3, done: false });
    await expect(queue.next()).rejects.toThrow("over");
    expect(await queue.next()).toEqual({ value: undefined, done: true });
  });

  test("keeps the order of many events, read in between", async () => {
    const queue = new EventQueue<number>();
    const seen: number[] = [];
    for (let event = 0; event < 1_000; event++) {
      queue.push(event, 1);
      if (event % 3 === 0) seen.push((await queue.next()).value ?? -1);
    }
    queue.finish(null);
    for (let next = await queue.next(); next.done !== true; next = await queue.next()) seen.push(next.value);
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, index) => index));
  });
});
