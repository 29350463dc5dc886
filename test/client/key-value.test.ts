import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Client, connect, type KeyChange } from "../../src/client/main.ts";
import { ScriptedNetwork, ScriptedStream } from "./scripted-network.ts";

const GENESIS = "ab".repeat(32);

let network: ScriptedNetwork;
let client: Client;
let streams: ScriptedStream[] = [];

beforeEach(async () => {
  network = new ScriptedNetwork(2);
  client = connect({ nodes: await network.start(), timeoutMs: 20_000 });
  streams = [];
});

afterEach(async () => {
  client.close();
  await network.stop();
  await Promise.all(streams.map((stream) => stream.stop()));
});

function textOf(value: Uint8Array | null | undefined): string {
  return value === null || value === undefined ? "none" : new TextDecoder().decode(value);
}

async function keys(...args: Parameters<Client["kv"]["range"]>): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { key } of client.kv.range(...args)) found.push(key);
  return found;
}

describe("the key-value store", () => {
  test("gives back what was put, with versions, and nothing where there is nothing", async () => {
    expect(await client.kv.get("a/ä b?")).toBeNull();
    const { version, previous } = await client.kv.put("a/ä b?", "wört");
    expect(previous).toBeNull();
    const entry = await client.kv.get("a/ä b?", { consistency: "local" });
    expect([entry?.key, textOf(entry?.value), entry?.version]).toEqual(["a/ä b?", "wört", version]);
    expect(network.seen.at(-1)?.path).toContain("consistency=local");
    expect((await client.kv.delete("a/ä b?")).previous).toBe(version);
    expect(await client.kv.get("a/ä b?")).toBeNull();
  });

  test("writes once, though the answers are lost", async () => {
    network.everywhere("drop-after");
    await client.kv.put("k", "v");
    expect(network.store.applied).toEqual(["PUT k"]);
  });

  test("sets only what is as expected, and says what it is otherwise", async () => {
    const first = await client.kv.compareAndSet("k", "absent", "1");
    if (!first.isSet) throw new Error("the key was absent");
    expect(await client.kv.compareAndSet("k", "absent", "2")).toEqual({ isSet: false, current: first.version });
    expect(await client.kv.compareAndSet("k", first.version + 1, "2")).toMatchObject({ isSet: false });
    expect(await client.kv.compareAndSet("k", first.version, "2")).toMatchObject({ isSet: true });
    expect(await client.kv.compareAndSet("k", 9, null)).toMatchObject({ isSet: false });
    expect(textOf((await client.kv.get("k"))?.value)).toBe("2");
  });

  test("has the outcome of a conditional write again, where the answer to a conflict or a success was lost", async () => {
    network.everywhere("drop-after");
    expect(await client.kv.compareAndSet("k", "absent", "1")).toMatchObject({ isSet: true });
  });

  test("tells a range page by page, in both directions, up to a limit", async () => {
    const all = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for (const key of all) await client.kv.put(key, key);
    expect(await keys()).toEqual(all);
    expect(await keys({ reverse: true })).toEqual([...all].reverse());
    expect(await keys({ from: "c", to: "g" })).toEqual(["c", "d", "e", "f"]);
    expect(await keys({ from: "c", to: "h", reverse: true })).toEqual(["g", "f", "e", "d", "c"]);
    expect(await keys({ limit: 5 })).toEqual(all.slice(0, 5));
    expect(await keys({ prefix: "b" })).toEqual(["b"]);
    expect(await keys({ limit: 0 })).toEqual([]);
  });

  test("lists a range with the oldest position of its pages, from which a watch misses nothing", async () => {
    for (const key of ["a", "b", "c", "d"]) await client.kv.put(key, key);
    network.onRequest = async ({ path }) => {
      // Between the first page and the second.
      if (path.startsWith("/v1/kv?") && path.includes("from=d")) await other.kv.put("e", "e");
    };
    const other = connect({ nodes: network.urls });
    const { entries, position } = await client.kv.list();
    expect([entries.map(({ key }) => key), position]).toEqual([["a", "b", "c", "d", "e"], 4]);
    expect((await client.kv.list({ prefix: "nothing" })).position).toBe(5);
    await expect(client.kv.list({ limit: 0 })).rejects.toMatchObject({ code: "invalid-argument" });
    other.close();
  });

  test.each([".", ".."])("takes %s for a key like any other", async (key) => {
    await client.kv.put(key, "1");
    expect(await client.kv.get(key)).toMatchObject({ key, version: 1 });
    await client.kv.delete(key);
    expect(await client.kv.get(key)).toBeNull();
    expect(network.store.applied).toEqual([`PUT ${key}`, `DELETE ${key}`]);
  });

  test("answers questions", async () => {
    const { answer } = await client.query("how many?");
    expect(textOf(answer)).toBe("linearizable: how many?");
    expect(textOf((await client.query("how many?", { consistency: "local" })).answer)).toBe("local: how many?");
  });
});

function change(position: number, key: string, value: string | null): object {
  return { position, key, value: value === null ? null : btoa(value), version: position };
}

function watching(...given: readonly ScriptedStream[]): Client {
  streams.push(...given);
  client.close();
  client = connect({ nodes: given.map(({ url }) => url), timeoutMs: 20_000 });
  return client;
}

async function take(stream: AsyncIterable<KeyChange>, count: number): Promise<readonly string[]> {
  const seen: string[] = [];
  for await (const { position, key, value } of stream) {
    seen.push(`${position} ${key} ${textOf(value)}`);
    if (seen.length === count) break;
  }
  return seen;
}

describe("a watch", () => {
  test("goes on in the middle of a position where the connection was lost there", async () => {
    const stream = new ScriptedStream(GENESIS);
    const begun = { type: "subscribed", topics: ["changes"], from: 5 };
    stream.next([begun, { type: "changes", items: [change(5, "p/a", "1"), change(7, "p/a", "2")] }], "ends");
    const again = [change(7, "p/a", "2"), change(7, "p/b", null), change(7, "p/c", "3"), change(9, "p/a", "4")];
    stream.next([begun, { type: "changes", items: again }], "stays");
    const watch = watching(stream).kv.watch({ prefix: "p/" });
    expect(await take(watch, 5)).toEqual(["5 p/a 1", "7 p/a 2", "7 p/b none", "7 p/c 3", "9 p/a 4"]);
    expect(stream.subscriptions).toEqual([
      { subscribe: ["changes"], prefix: "p/" },
      { subscribe: ["changes"], prefix: "p/", from: 7 },
    ]);
  });

  test("goes on where it began when the connection was lost before the first change", async () => {
    const stream = new ScriptedStream(GENESIS);
    stream.next([{ type: "subscribed", topics: ["changes"], from: 5 }], "ends");
    stream.next([{ type: "changes", items: [change(6, "k", "1")] }], "stays");
    expect(await take(watching(stream).kv.watch(), 1)).toEqual(["6 k 1"]);
    expect(stream.subscriptions.at(-1)).toEqual({ subscribe: ["changes"], prefix: "", from: 5 });
  });

  test.each(["too-old", "no-application"])("ends with the node's problem where that is %s", async (code) => {
    const stream = new ScriptedStream(GENESIS);
    const problem = { type: `/problems/${code}`, title: "It is so", status: 410, detail: "read the range anew" };
    stream.next([{ type: "error", id: null, problem }], "stays");
    const watch = watching(stream).kv.watch({ from: 1 });
    await expect(watch.next()).rejects.toMatchObject({ code, problem: { detail: "read the range anew" } });
    await expect(watch.ready).rejects.toMatchObject({ code });
    expect((await watch.next()).done).toBe(true);
  });

  test("leaves a node of another network", async () => {
    const [ours, foreign] = [new ScriptedStream(GENESIS), new ScriptedStream("cd".repeat(32))];
    watching(ours, foreign).close();
    client = connect({ nodes: [foreign.url, ours.url], genesis: GENESIS });
    ours.next([{ type: "changes", items: [change(1, "k", "1")] }], "stays");
    expect(await take(client.kv.watch({ from: 1 }), 1)).toEqual(["1 k 1"]);
    expect(foreign.subscriptions).toEqual([]);
  });

  test("needs a WebSocket", async () => {
    const stream = new ScriptedStream(GENESIS);
    watching(stream);
    const native = globalThis.WebSocket;
    Reflect.deleteProperty(globalThis, "WebSocket");
    const plain = connect({ nodes: [stream.url] });
    globalThis.WebSocket = native;
    await expect(plain.kv.watch().next()).rejects.toMatchObject({ code: "no-websocket" });
    plain.close();
  });
});
