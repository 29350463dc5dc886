import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ReplicatedDouble, serveReplicated } from "../../test/api/replicated-double.ts";
import { NodeError } from "../node/service.ts";
import { COMMAND_BODY_BYTES_MAX } from "../replication/command.ts";
import { decodeWritten, encodeKvCommand } from "../replication/key-value/kv-command.ts";
import { decodeAnswer, encodeQuestion } from "../replication/key-value/kv-query.ts";
import type { ApiServer } from "./server.ts";

const CLIENT = "0123456789abcdef".repeat(2);
const ROOT = /^[0-9a-f]{64}$/;

let double: ReplicatedDouble;
let server: ApiServer;
beforeEach(async () => {
  double = new ReplicatedDouble();
  server = await serveReplicated(double);
});
afterEach(() => server.close());

interface Said {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function post(path: string, value: unknown): Promise<Said> {
  return await ask(path, {
    method: "POST",
    body: JSON.stringify(value),
    headers: { "content-type": "application/json" },
  });
}

async function ask(path: string, init: RequestInit = {}): Promise<Said> {
  const response = await fetch(server.url + path, init);
  return { status: response.status, body: (await response.json()) as Said["body"] };
}

function putOf(key: string, value: string): string {
  return encodeKvCommand({ kind: "put", key, value: new TextEncoder().encode(value) }).toBase64();
}

describe("a command", () => {
  test("takes effect once, and is answered with what became of it", async () => {
    const command = { client: CLIENT, number: 1, command: putOf("a", "one") };
    const first = await post("/v1/commands", command);
    expect(first).toEqual({
      status: 200,
      body: {
        client: CLIENT,
        number: 1,
        status: "applied",
        result: expect.any(String),
        reason: null,
        position: 1,
        batch: 1,
        hash: expect.stringMatching(ROOT),
        stateHash: expect.stringMatching(ROOT),
        isReplay: false,
      },
    });
    expect(decodeWritten(Uint8Array.fromBase64(String(first.body["result"])))).toEqual([
      { version: 1 as never, previous: null },
    ]);
    const again = await post("/v1/commands", command);
    expect(again.body).toMatchObject({ result: first.body["result"], position: 1, isReplay: true });
    expect(again.body["stateHash"]).toBe(first.body["stateHash"]);
  });

  test("may be the body's bytes, with its name in headers", async () => {
    const headers = { "x-cretoai-client": CLIENT, "x-cretoai-number": "7", "content-type": "application/octet-stream" };
    const body = new Uint8Array(encodeKvCommand({ kind: "delete", key: "b" }));
    const answer = await ask("/v1/commands", { method: "POST", headers, body });
    expect(answer).toMatchObject({ status: 200, body: { status: "applied", number: 7 } });
    expect(double.commands).toEqual([{ client: CLIENT as never, number: 7, body }]);
  });

  test("that the application refuses is an outcome, with the refusal's detail", async () => {
    const nothing = await post("/v1/commands", { client: CLIENT, number: 1, command: "////" });
    expect(nothing).toMatchObject({ status: 200, body: { status: "rejected", reason: "malformed", result: null } });
    const cas = encodeKvCommand({
      kind: "compare-and-set",
      key: "a",
      expected: { kind: "version", version: 9 as never },
      next: null,
    });
    const conflict = await post("/v1/commands", { client: CLIENT, number: 2, command: cas.toBase64() });
    expect(conflict.body).toMatchObject({ status: "rejected", reason: "conflict", result: expect.any(String) });
  });

  test("that is not known to have been ordered in time is 504 with its name, and may be sent again", async () => {
    const error = new NodeError("timeout", "not ordered in time");
    double.refusal = { error, isApplied: true };
    const command = { client: CLIENT, number: 3, command: putOf("a", "one") };
    expect(await post("/v1/commands?timeoutMs=5", command)).toMatchObject({
      status: 504,
      body: { type: "/problems/timeout", detail: "not ordered in time", client: CLIENT, number: 3 },
    });
    expect(await post("/v1/commands", command)).toMatchObject({ status: 200, body: { position: 1, isReplay: true } });
  });

  test("with a number below the window is 409, and above all others it is new", async () => {
    for (const number of [1, 64]) await post("/v1/commands", { client: CLIENT, number, command: putOf("a", "x") });
    expect((await post("/v1/commands", { client: CLIENT, number: 80, command: putOf("a", "y") })).status).toBe(200);
    for (const answer of [
      await post("/v1/commands", { client: CLIENT, number: 2, command: putOf("a", "z") }),
      await ask(`/v1/commands/${CLIENT}/2`),
    ]) {
      expect(answer).toMatchObject({ status: 409, body: { type: "/problems/number-forgotten" } });
    }
  });

  test.each([
    ["client", { client: "me" }],
    ["client", { client: CLIENT.toUpperCase() }],
    ["number", { number: 0 }],
    ["number", { number: "1" }],
    ["number", { number: 2 ** 53 }],
    ["command", { command: "?" }],
    ["command", { command: null }],
    ["memo", { memo: 1 }],
  ])("is refused for its %s: %p", async (word, change) => {
    const answer = await post("/v1/commands", { client: CLIENT, number: 1, command: "AQ==", ...change });
    expect(answer).toMatchObject({
      status: 400,
      body: { type: "/problems/malformed", detail: expect.stringContaining(word) },
    });
    expect(double.commands).toEqual([]);
  });

  test("is refused without a name, of another media type, or too large", async () => {
    const octets = { "content-type": "application/octet-stream" };
    const only = { ...octets, "x-cretoai-client": CLIENT };
    const named = { ...only, "x-cretoai-number": "1" };
    const send = (headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer> = "x") =>
      ask("/v1/commands", { method: "POST", headers, body });
    expect(await send(octets)).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining("32 hexadecimal digits") },
    });
    expect((await send(only)).status).toBe(400);
    expect((await send({ ...named, "x-cretoai-number": "1.5" })).status).toBe(400);
    expect((await send({ ...named, "content-type": "text/plain" })).status).toBe(415);
    expect(await send(named, new Uint8Array(COMMAND_BODY_BYTES_MAX + 1))).toMatchObject({
      status: 413,
      body: { type: "/problems/payload-too-large" },
    });
    expect(double.commands).toEqual([]);
    expect((await send(named, new Uint8Array(COMMAND_BODY_BYTES_MAX))).status).toBe(200);
  });

  test.each([
    ["overloaded", 429],
    ["not-ready", 503],
    ["observer", 503],
  ] as const)("is answered with the node's %s as %d", async (code, status) => {
    double.refusal = { error: new NodeError(code, "because", { retryAfterMs: 10 }), isApplied: false };
    expect(await post("/v1/commands", { client: CLIENT, number: 1, command: "AQ==" })).toMatchObject({
      status,
      body: { type: `/problems/${code}` },
    });
  });
});

describe("several commands", () => {
  test("have their outcomes in their order, those of repeated ones too", async () => {
    const commands = [2, 1, 2].map((number) => ({ client: CLIENT, number, command: putOf("a", String(number)) }));
    const { status, body } = await post("/v1/commands/batch", { commands });
    const outcomes = body["outcomes"] as readonly Said["body"][];
    expect(status).toBe(200);
    expect(outcomes.map(({ number, position, isReplay }) => [number, position, isReplay])).toEqual([
      [2, 1, false],
      [1, 2, false],
      [2, 1, true],
    ]);
    expect((await post("/v1/commands/batch", { commands: [] })).body).toEqual({ outcomes: [] });
  });

  test("are all refused where one is malformed", async () => {
    const commands = [{ client: CLIENT, number: 1, command: "AQ==" }, { client: CLIENT }];
    expect(await post("/v1/commands/batch", { commands })).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining("commands[1].number") },
    });
    for (const other of [{ commands: {} }, { commands: [1] }, {}]) {
      expect((await post("/v1/commands/batch", other)).status).toBe(400);
    }
    const many = Array.from({ length: 10_001 }, () => 1);
    expect((await post("/v1/commands/batch", { commands: many })).status).toBe(413);
    expect(double.commands).toEqual([]);
  });
});

describe("what is remembered of a command", () => {
  test("is its outcome, or that there is none", async () => {
    await post("/v1/commands", { client: CLIENT, number: 1, command: putOf("a", "one") });
    expect(await ask(`/v1/commands/${CLIENT}/1`)).toMatchObject({
      status: 200,
      body: { client: CLIENT, number: 1, status: "applied", position: 1, hash: null, isReplay: true },
    });
    expect(await ask(`/v1/commands/${CLIENT}/2`)).toMatchObject({
      status: 404,
      body: { type: "/problems/unknown-command" },
    });
    for (const path of [`${CLIENT}/0`, `${CLIENT}/x`, "me/1"])
      expect((await ask(`/v1/commands/${path}`)).status).toBe(400);
    expect((await ask(`/v1/commands/${CLIENT}`)).status).toBe(404);
  });
});

describe("a question", () => {
  const question = encodeQuestion({ kind: "count", prefix: "", from: null, to: null }).toBase64();

  test("is answered with where the state stands, safely unless it wants it quick", async () => {
    await post("/v1/commands", { client: CLIENT, number: 1, command: putOf("a", "one") });
    const { status, body } = await post("/v1/query", { question });
    expect(status).toBe(200);
    expect(body).toEqual({ answer: expect.any(String), position: 1, batch: 1, stateHash: expect.stringMatching(ROOT) });
    expect(decodeAnswer(Uint8Array.fromBase64(String(body["answer"])))).toEqual({ kind: "count", count: 1 });
    await post("/v1/query", { question, consistency: "local" });
    expect(double.reads).toEqual(["linearizable", "local"]);
  });

  test("that the application cannot read is 400, and so is an unknown consistency", async () => {
    expect(await post("/v1/query", { question: "////" })).toMatchObject({
      status: 400,
      body: { type: "/problems/malformed-question" },
    });
    expect((await post("/v1/query", { question, consistency: "eventual" })).status).toBe(400);
    expect((await post("/v1/query", {})).status).toBe(400);
  });
});

describe("without a replicated application", () => {
  test("all of its routes are 404", async () => {
    await server.close();
    server = await serveReplicated(null);
    for (const answer of [
      await post("/v1/commands", { client: CLIENT, number: 1, command: "AQ==" }),
      await post("/v1/commands/batch", { commands: [] }),
      await ask(`/v1/commands/${CLIENT}/1`),
      await post("/v1/query", { question: "AQ==" }),
      await ask("/v1/kv/a"),
      await ask("/v1/kv"),
      await ask("/v1/kv/a", { method: "PUT", body: "x" }),
      await ask("/v1/kv/a", { method: "DELETE" }),
    ]) {
      expect(answer).toMatchObject({ status: 404, body: { type: "/problems/no-application" } });
    }
  });

  test("those of the key-value store are 404 where the application is another one", async () => {
    double.name = "./my-app.ts";
    for (const answer of [await ask("/v1/kv/a"), await ask("/v1/kv"), await ask("/v1/kv/a", { method: "DELETE" })]) {
      expect(answer).toMatchObject({ status: 404, body: { type: "/problems/no-application" } });
    }
    expect((await post("/v1/commands", { client: CLIENT, number: 1, command: "AQ==" })).status).toBe(200);
  });
});
