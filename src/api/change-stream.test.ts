import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type FeedDouble, ReplicatedDouble, serveReplicated } from "../../test/api/replicated-double.ts";
import type { NodeEvent } from "../node/service.ts";
import type { Change } from "../replication/key-value/changes.ts";
import { type ChangeSink, ChangeStream } from "./change-stream.ts";
import { openApiDocument } from "./openapi.ts";
import { ROUTES } from "./routes.ts";
import type { ApiServer } from "./server.ts";

interface Item {
  readonly position: number;
  readonly key: string;
  readonly value: string | null;
  readonly version: number;
}

let double: ReplicatedDouble;
let server: ApiServer;
const sockets: WebSocket[] = [];
const events = new Set<(event: NodeEvent) => void>();

beforeEach(async () => {
  double = new ReplicatedDouble();
  server = await serveReplicated(double, {
    status: () => ({ lastSequence: 40 }) as never,
    finalized: () => Promise.resolve([]),
    subscribe: (listener) => {
      events.add(listener);
      return () => events.delete(listener);
    },
  });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await server.close();
});

async function stream(): Promise<{
  readonly send: (message: unknown) => void;
  readonly next: () => Promise<Record<string, unknown>>;
  readonly items: (count: number) => Promise<readonly Item[]>;
  readonly close: () => void;
}> {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/stream`);
  sockets.push(socket);
  const queue: Record<string, unknown>[] = [];
  let wake: () => void = () => undefined;
  socket.onmessage = ({ data }) => {
    queue.push(JSON.parse(String(data)));
    wake();
  };
  await new Promise((resolve) => {
    socket.onopen = resolve;
  });
  const next = async (): Promise<Record<string, unknown>> => {
    for (let message = queue.shift(); ; message = queue.shift()) {
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const items = async (count: number): Promise<readonly Item[]> => {
    const all: Item[] = [];
    while (all.length < count) all.push(...((await next())["items"] as Item[]));
    return all;
  };
  return { send: (message) => socket.send(JSON.stringify(message)), next, items, close: () => socket.close() };
}

async function put(key: string, value: string): Promise<void> {
  expect((await fetch(`${server.url}/v1/kv/${encodeURIComponent(key)}`, { method: "PUT", body: value })).status).toBe(
    200,
  );
}

describe("the topic of changes", () => {
  test("tells what happens from now on, deletions too, each key's with its version", async () => {
    await put("before", "x");
    const { send, next, items } = await stream();
    send({ subscribe: ["changes"] });
    expect(await next()).toEqual({ type: "subscribed", topics: ["changes"], from: 2 });
    await put("a", "1");
    await fetch(`${server.url}/v1/kv/a`, { method: "DELETE" });
    expect(await items(2)).toEqual([
      { position: 2, key: "a", value: btoa("1"), version: 2 },
      { position: 3, key: "a", value: null, version: 3 },
    ]);
  });

  test("is of the keys with a prefix, and begins where it is told to", async () => {
    for (const key of ["u/1", "v/1", "u/2", "u/3"]) await put(key, key);
    const { send, next, items } = await stream();
    send({ subscribe: ["changes"], prefix: "u/", from: 3 });
    expect(await next()).toMatchObject({ type: "subscribed", from: 3 });
    await put("v/2", "no");
    await put("u/4", "yes");
    expect((await items(3)).map(({ position, key }) => [position, key])).toEqual([
      [3, "u/2"],
      [4, "u/3"],
      [6, "u/4"],
    ]);
  });

  test("tells nothing before a position that is still to come", async () => {
    const { send, next, items } = await stream();
    send({ subscribe: ["changes"], from: 3 });
    await next();
    for (const key of ["a", "b", "c"]) await put(key, "v");
    expect((await items(1)).map(({ position }) => position)).toEqual([3]);
  });

  test("goes on in order over many messages, while more happens", async () => {
    for (let count = 0; count < 1_200; count++) double.changes?.add([changeOf(count + 1)]);
    const { send, next, items } = await stream();
    send({ subscribe: ["changes"], from: 1 });
    await next();
    const first = await items(500);
    double.changes?.add([changeOf(1_201)]);
    const rest = await items(1_201 - first.length);
    expect([...first, ...rest].map(({ position }) => position)).toEqual(
      Array.from({ length: 1_201 }, (_, index) => index + 1),
    );
  });

  test("is a problem where it cannot begin, and the subscription before it stays", async () => {
    const feed = double.changes as FeedDouble;
    const { send, next, items } = await stream();
    send({ subscribe: ["changes"], prefix: "a" });
    await next();
    feed.keptFrom = 5;
    send({ subscribe: ["changes"], from: 4, id: 9 });
    expect(await next()).toMatchObject({
      type: "error",
      id: 9,
      problem: { type: "/problems/too-old", status: 410, detail: expect.stringContaining("5") },
    });
    for (const message of [
      { subscribe: ["changes"], prefix: 7 },
      { subscribe: ["changes"], prefix: "x".repeat(513) },
      { subscribe: ["changes"], prefix: "\ud800" },
      { subscribe: ["changes"], from: 0 },
    ]) {
      send(message);
      expect(await next()).toMatchObject({ type: "error", problem: { type: "/problems/malformed" } });
    }
    await put("a", "1");
    expect(await items(1)).toMatchObject([{ key: "a" }]);
  });

  test("ends with a problem where changes went by that the node does not know", async () => {
    const feed = double.changes as FeedDouble;
    const { send, next } = await stream();
    send({ subscribe: ["changes"] });
    await next();
    feed.lose();
    expect(await next()).toMatchObject({
      type: "error",
      id: null,
      problem: { type: "/problems/too-old", status: 410 },
    });
    expect(feed.listeners.size).toBe(0);
  });

  test("is a problem where the application has none", async () => {
    const { send, next } = await stream();
    double.name = "./my-app.ts";
    send({ subscribe: ["changes"] });
    expect(await next()).toMatchObject({ type: "error", problem: { type: "/problems/no-application" } });
  });

  test("may stand beside others, whose first sequence is the one that is told", async () => {
    const { send, next } = await stream();
    send({ subscribe: ["finalized", "changes"] });
    expect(await next()).toMatchObject({ type: "subscribed", from: 41 });
    await put("a", "1");
    expect(await next()).toMatchObject({ type: "changes", items: [{ position: 1 }] });
  });

  test("lets go of the feed when the client leaves or subscribes to something else", async () => {
    const feed = double.changes as FeedDouble;
    const { send, next, close } = await stream();
    send({ subscribe: ["changes"] });
    await next();
    expect(feed.listeners.size).toBe(1);
    send({ subscribe: ["finalized"] });
    await next();
    expect(feed.listeners.size).toBe(0);
    send({ subscribe: ["changes"] });
    await next();
    close();
    while (feed.listeners.size > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(feed.listeners.size).toBe(0);
  });
});

describe("a client that reads slowly", () => {
  function slow(): { readonly sink: ChangeSink; readonly sent: number[]; readonly read: () => void; sentAway: number } {
    const sent: number[] = [];
    let release: () => void = () => undefined;
    const state = {
      sent,
      sentAway: 0,
      read: () => release(),
      sink: {
        isOpen: () => true,
        send: (message: unknown) => {
          sent.push((message as { readonly items: readonly unknown[] }).items.length);
          return true;
        },
        drained: () =>
          new Promise<void>((resolve) => {
            release = resolve;
          }),
        sayLost: () => undefined,
        sendAway: () => {
          state.sentAway += 1;
        },
      },
    };
    return state;
  }

  test("is sent no more than it reads, large values one by one", async () => {
    const feed = double.changes as FeedDouble;
    const { sink, sent, read } = slow();
    const changes = new ChangeStream(feed, { topic: "changes", prefix: "", from: 1 }, sink);
    changes.open();
    const value = new Uint8Array(700_000);
    feed.add([1, 2, 3].map((position) => ({ ...changeOf(position), value })));
    feed.add([changeOf(4)]);
    expect(sent).toEqual([1]);
    for (let turn = 0; turn < 2; turn++) {
      read();
      await Promise.resolve();
      await Promise.resolve();
    }
    expect(sent).toEqual([1, 1, 2]);
    changes.close();
  });

  test("is sent away when too much waits for it", () => {
    const feed = double.changes as FeedDouble;
    const slowOne = slow();
    new ChangeStream(feed, { topic: "changes", prefix: "", from: 1 }, slowOne.sink).open();
    feed.add(Array.from({ length: 30_000 }, (_, index) => changeOf(index + 1)));
    expect(slowOne.sentAway).toBe(0);
    feed.add(Array.from({ length: 600 }, (_, index) => changeOf(30_001 + index)));
    expect([slowOne.sentAway, feed.listeners.size]).toEqual([1, 0]);
    const late = slow();
    new ChangeStream(feed, { topic: "changes", prefix: "", from: 1 }, late.sink).open();
    expect([late.sentAway, late.sent, feed.listeners.size]).toEqual([1, [], 0]);
  });
});

function changeOf(position: number): Change {
  return {
    position: position as Change["position"],
    key: `k${position}`,
    value: new Uint8Array(1),
    version: 1 as never,
  };
}

describe("the OpenAPI document", () => {
  const document = openApiDocument() as {
    readonly paths: Readonly<
      Record<string, Readonly<Record<string, { readonly parameters?: readonly { name: string }[] }>>>
    >;
    readonly components: { readonly schemas: Readonly<Record<string, object>> };
  };

  test("has every route with what varies in it, and no reference that leads nowhere", () => {
    for (const { method, path } of ROUTES) expect(document.paths[path]).toHaveProperty(method.toLowerCase());
    const named = (path: string, method: string) => document.paths[path]?.[method]?.parameters?.map(({ name }) => name);
    expect(named("/v1/kv/{key}", "put")).toEqual([
      "key",
      "key",
      "timeoutMs",
      "if-match",
      "if-none-match",
      "x-cretoai-client",
      "x-cretoai-number",
    ]);
    expect(named("/v1/commands/{client}/{number}", "get")).toEqual(["client", "number"]);
    expect(named("/v1/kv", "get")).toContain("consistency");
    for (const [, name = ""] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      expect(Object.keys(document.components.schemas)).toContain(name);
    }
    expect(JSON.stringify(document.paths["/v1/stream"])).toContain("too-old");
  });

  test("describes the answers that the routes give", async () => {
    const schemaOf = (name: string) =>
      document.components.schemas[name] as { readonly required: readonly string[]; readonly properties: object };
    const ask = async (path: string, init: RequestInit = {}) =>
      Object.keys((await (await fetch(server.url + path, init)).json()) as object);
    const headers = { "content-type": "application/json" };
    const command = { client: "ab".repeat(16), number: 1, command: "AQ==" };
    const answers: readonly (readonly [string, readonly string[]])[] = [
      ["KeyWritten", await ask("/v1/kv/a", { method: "PUT", body: "v" })],
      ["KeyValueEntry", await ask("/v1/kv/a")],
      ["KeyValueRange", await ask("/v1/kv")],
      ["Outcome", await ask("/v1/commands", { method: "POST", headers, body: JSON.stringify(command) })],
      ["QueryAnswer", await ask("/v1/query", { method: "POST", headers, body: '{"question":"AAAAAAEAAAAAAAAAYQ=="}' })],
    ];
    for (const [name, members] of answers) {
      expect([name, [...members].sort((a, b) => (a < b ? -1 : 1))]).toEqual([
        name,
        [...schemaOf(name).required].sort((a, b) => (a < b ? -1 : 1)),
      ]);
    }
  });
});
