import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ApiServer } from "../../src/api/server.ts";
import { type Client, connect } from "../../src/client/main.ts";
import type { NodeStatus } from "../../src/node/service.ts";
import { encodeKvCommand } from "../../src/replication/key-value/kv-command.ts";
import { decodeAnswer, encodeQuestion } from "../../src/replication/key-value/kv-query.ts";
import { ReplicatedDouble, serveReplicated } from "./replicated-double.ts";

const ID = "ab".repeat(32);
const COUNTS = { lastSequence: 0, pending: 0, peers: 3, validators: 4, quorum: 3, epoch: 0, uptimeMs: 1 };
const STATUS = { nodeId: ID, engine: "pbft", genesis: ID, role: "validator", dag: null, ...COUNTS };

let server: ApiServer;
let client: Client;
beforeEach(async () => {
  server = await serveReplicated(new ReplicatedDouble(), {
    status: () => STATUS as unknown as NodeStatus,
    subscribe: () => () => undefined,
  });
  client = connect({ nodes: [server.url], timeoutMs: 5_000 });
});
afterEach(async () => {
  client.close();
  await server.close();
});

describe("the client library at the routes", () => {
  test("writes, reads, compares, walks and deletes", async () => {
    const { kv } = client;
    const { version } = await kv.put("users/ada", "engineer");
    expect(await kv.compareAndSet("users/ada", "absent", "x")).toEqual({ isSet: false, current: version });
    expect(await kv.compareAndSet("users/ada", version, "countess")).toMatchObject({ isSet: true, previous: version });
    expect(new TextDecoder().decode((await kv.get("users/ada"))?.value)).toBe("countess");
    expect(await kv.get("nobody")).toBeNull();
    for (let index = 0; index < 250; index++) await kv.put(`many/${String(index).padStart(3, "0")}`, "v");
    const up: string[] = [];
    for await (const { key } of kv.range({ prefix: "many/" })) up.push(key);
    const down: string[] = [];
    for await (const { key } of kv.range({ prefix: "many/", reverse: true })) down.push(key);
    expect([up.length, new Set(up).size, [...up].reverse()]).toEqual([250, 250, down]);
    expect(await kv.delete("users/ada")).toMatchObject({ previous: expect.any(Number) });
    expect(await kv.compareAndSet("users/ada", 5, null)).toEqual({ isSet: false, current: null });
  });

  test("sends commands, remembers their outcomes, and asks", async () => {
    const command = encodeKvCommand({ kind: "put", key: "a", value: new Uint8Array(1) });
    expect(await client.command(command, { number: 1 })).toMatchObject({ status: "applied", isReplay: false });
    const outcomes = await client.commands([command, Uint8Array.of(255)]);
    expect(outcomes.map(({ status }) => status)).toEqual(["applied", "rejected"]);
    const question = encodeQuestion({ kind: "count", prefix: "", from: null, to: null });
    expect(decodeAnswer((await client.query(question)).answer)).toEqual({ kind: "count", count: 1 });
  });

  test("asks for outcomes that are remembered", async () => {
    const command = encodeKvCommand({ kind: "delete", key: "a" });
    const first = await client.command(command, { number: 1 });
    expect(await client.command(command, { number: 1 })).toMatchObject({ position: first.position, isReplay: true });
  });

  test("watches changes", async () => {
    const watch = client.kv.watch({ prefix: "a" });
    await watch.ready;
    await client.kv.put("b", "1");
    await client.kv.put("a", "2");
    const { value } = await watch.next();
    expect(value).toMatchObject({ key: "a", position: 2 });
    watch.close();
  });
});
