import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ReplicatedDouble, serveReplicated } from "../../test/api/replicated-double.ts";
import { NodeError } from "../node/service.ts";
import { VALUE_BYTES_MAX } from "../replication/key-value/entry.ts";
import { encodeKvCommand } from "../replication/key-value/kv-command.ts";
import type { ApiServer } from "./server.ts";

const CLIENT = "0123456789abcdef".repeat(2);

let double: ReplicatedDouble;
let server: ApiServer;
beforeEach(async () => {
  double = new ReplicatedDouble();
  server = await serveReplicated(double);
});
afterEach(() => server.close());

interface Said {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

async function ask(path: string, init: RequestInit = {}): Promise<Said> {
  const response = await fetch(server.url + path, init);
  return { status: response.status, headers: response.headers, body: (await response.json()) as Said["body"] };
}

function put(
  key: string,
  value: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Said> {
  return ask(`/v1/kv/${encodeURIComponent(key)}`, { method: "PUT", body: value, headers });
}

function remove(key: string, headers: Record<string, string> = {}): Promise<Said> {
  return ask(`/v1/kv/${encodeURIComponent(key)}`, { method: "DELETE", headers });
}

function get(key: string, query = ""): Promise<Said> {
  return ask(`/v1/kv/${encodeURIComponent(key)}${query}`);
}

function named(number: number): Record<string, string> {
  return { "x-cretoai-client": CLIENT, "x-cretoai-number": String(number) };
}

describe("a key", () => {
  test("is written, read with its version, and deleted", async () => {
    const bytes = Uint8Array.of(0, 255, 7);
    const written = await put("a", bytes);
    expect(written).toMatchObject({ status: 200, body: { version: 1, previous: null, batch: 1, isReplay: false } });
    expect(written.headers.get("etag")).toBe('"1"');
    expect((await put("a", "two")).body).toMatchObject({ version: 2, previous: 1 });
    const read = await get("a");
    expect([read.status, read.body]).toEqual([200, { key: "a", value: btoa("two"), version: 2 }]);
    expect(read.headers.get("etag")).toBe('"2"');
    const gone = await remove("a");
    expect(gone).toMatchObject({ status: 200, body: { version: 3, previous: 2 } });
    expect(gone.headers.get("etag")).toBeNull();
    expect(await get("a")).toMatchObject({ status: 404, body: { type: "/problems/no-such-key" } });
    expect(await remove("a")).toMatchObject({ status: 200, body: { version: 4, previous: null } });
  });

  test.each(["users/ada", "a b", "%2F", "ключ", "\u{1F511}", "a\u0000b", "x".repeat(512), "?#&=+", "{key}", "\u0800"])(
    "may be %p",
    async (key) => {
      expect((await put(key, "v")).status).toBe(200);
      expect((await get(key)).body).toMatchObject({ key, value: btoa("v") });
    },
  );

  test.each([
    ["nothing", ""],
    ["a bare slash", "a/b"],
    ["bytes that are no UTF-8", "%ff"],
    ["half of a surrogate pair", "%ED%A0%80"],
    ["a percent sign alone", "a%zz"],
    ["513 bytes", "x".repeat(513)],
    ["257 characters of two bytes", "%D0%B6".repeat(257)],
  ])("cannot be %s", async (_name, path) => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await ask(`/v1/kv/${path}`, { method, ...(method === "PUT" ? { body: "v" } : {}) });
      expect(answer).toMatchObject({ status: 400, body: { type: "/problems/malformed" } });
    }
    expect(double.commands).toEqual([]);
  });

  test("has a value of a bounded size, empty ones too", async () => {
    expect((await put("a", new Uint8Array(VALUE_BYTES_MAX))).status).toBe(200);
    expect(await put("a", new Uint8Array(VALUE_BYTES_MAX + 1))).toMatchObject({
      status: 413,
      body: { type: "/problems/payload-too-large" },
    });
    expect((await put("empty", "")).status).toBe(200);
    expect((await get("empty")).body).toMatchObject({ value: "" });
  });

  test("is read safely unless the caller wants it quick", async () => {
    await put("a", "v");
    for (const query of ["", "?consistency=linearizable", "?consistency=local"]) await get("a", query);
    expect(double.reads).toEqual(["linearizable", "linearizable", "local"]);
    expect((await get("a", "?consistency=maybe")).status).toBe(400);
  });

  test("takes GET, PUT and DELETE only", async () => {
    expect(await ask("/v1/kv/a", { method: "POST", body: "v" })).toMatchObject({
      status: 405,
      body: { detail: expect.stringContaining("GET, PUT, DELETE") },
    });
  });
});

describe("a condition", () => {
  test("is met by the version, bare or as an ETag, and by absence", async () => {
    expect((await put("a", "1", { "if-none-match": "*" })).body).toMatchObject({ version: 1, previous: null });
    expect((await put("a", "2", { "if-match": "1" })).body).toMatchObject({ version: 2, previous: 1 });
    expect((await put("a", "3", { "if-match": '"2"' })).body).toMatchObject({ version: 3, previous: 2 });
    expect((await remove("a", { "if-match": "3" })).body).toMatchObject({ version: 4, previous: 3 });
    expect((await remove("a", { "if-none-match": "*" })).status).toBe(200);
  });

  test("that is not met is 412 with the version as it is, and nothing changes", async () => {
    const conflict = (current: number | null) => ({
      status: 412,
      body: { type: "/problems/version-conflict", current },
    });
    expect(await put("a", "x", { "if-match": "1" })).toMatchObject(conflict(null));
    expect(await remove("a", { "if-match": "1" })).toMatchObject(conflict(null));
    const { version } = (await put("a", "1")).body;
    expect(await put("a", "x", { "if-none-match": "*" })).toMatchObject(conflict(Number(version)));
    expect(await put("a", "x", { "if-match": "1" })).toMatchObject(conflict(Number(version)));
    expect(await remove("a", { "if-match": "1" })).toMatchObject(conflict(Number(version)));
    expect((await get("a")).body).toMatchObject({ value: btoa("1"), version });
  });

  test.each([
    { "if-match": "*" },
    { "if-match": "x" },
    { "if-match": "1, 2" },
    { "if-match": "" },
    { "if-none-match": "1" },
    { "if-match": "1", "if-none-match": "*" },
    { "if-match": "9999999999999999" },
  ] as Record<string, string>[])("cannot be %p", async (headers) => {
    expect(await put("a", "v", headers)).toMatchObject({ status: 400, body: { type: "/problems/malformed" } });
    expect(double.commands).toEqual([]);
  });
});

describe("a write", () => {
  test("with a name takes effect once, whatever came after it", async () => {
    expect((await put("a", "1", named(1))).body).toMatchObject({ version: 1, isReplay: false });
    await put("a", "2", named(2));
    expect((await put("a", "1", named(1))).body).toMatchObject({ version: 1, previous: null, isReplay: true });
    expect((await get("a")).body).toMatchObject({ value: btoa("2"), version: 2 });
    await put("a", "x", { ...named(3), "if-match": "99" });
    expect(await put("a", "x", { ...named(3), "if-match": "99" })).toMatchObject({ status: 412, body: { current: 2 } });
  });

  test("with a name of something else is 409, and so is one too old to tell", async () => {
    const writes = ["x", "y"].map((key) => ({ kind: "delete", key }) as const);
    const batch = encodeKvCommand({ kind: "batch", writes }).toBase64();
    const headers = { "content-type": "application/json" };
    for (const [number, command] of [
      [1, batch],
      [2, "////"],
    ]) {
      const body = JSON.stringify({ client: CLIENT, number, command });
      await ask("/v1/commands", { method: "POST", headers, body });
      const answer = await put("a", "1", named(Number(number)));
      expect(answer).toMatchObject({ status: 409, body: { type: "/problems/number-used" } });
    }
    await put("a", "1", named(65));
    expect(await put("a", "1", named(1))).toMatchObject({ status: 409, body: { type: "/problems/number-forgotten" } });
  });

  test("with half a name is refused", async () => {
    expect((await put("a", "1", { "x-cretoai-client": CLIENT })).status).toBe(400);
    expect((await put("a", "1", { "x-cretoai-number": "1" })).status).toBe(400);
    expect((await put("a", "1", { ...named(1), "x-cretoai-number": "01" })).status).toBe(400);
  });

  test("without a name goes by one of the node's own, one at a time and each number once", async () => {
    for (let count = 0; count < 70; count++) expect((await put("a", "v")).status).toBe(200);
    const clients = new Set(double.commands.map(({ client }) => client));
    expect([clients.size, double.commands.map(({ number }) => number)]).toEqual([
      1,
      Array.from({ length: 70 }, (_, index) => index + 1),
    ]);
    await Promise.all(Array.from({ length: 20 }, (_, index) => put(`k${index}`, "v")));
    const names = double.commands.map(({ client, number }) => `${client}/${number}`);
    expect(new Set(names).size).toBe(90);
  });

  test("without a name whose outcome is not known says the name that it went by", async () => {
    double.refusal = { error: new NodeError("timeout", "not ordered in time"), isApplied: true };
    const { status, body } = await put("a", "1");
    expect([status, body["number"]]).toEqual([504, 1]);
    await put("b", "2");
    const [first, second] = double.commands;
    expect(String(first?.client)).toBe(String(body["client"]));
    expect(second?.client).not.toBe(first?.client);
    const headers = { "x-cretoai-client": String(body["client"]), "x-cretoai-number": "1" };
    expect((await put("a", "1", headers)).body).toMatchObject({ version: 1, isReplay: true });
  });

  test("without a name goes by a new one where the network has retired the node's", async () => {
    await put("a", "1");
    double.refusal = { error: new NodeError("number-forgotten", "retired"), isApplied: false };
    expect((await put("a", "2")).body).toMatchObject({ version: 2, previous: 1 });
    expect(double.commands.map(({ number }) => number)).toEqual([1, 1]);
  });

  test("by a page of another origin is refused, and welcome ones may send the headers", async () => {
    for (const method of ["PUT", "DELETE"]) {
      expect((await ask("/v1/kv/a", { method, headers: { origin: "https://b.example" } })).status).toBe(403);
    }
    expect(double.commands).toEqual([]);
    const headers = { origin: "https://a.example" };
    const preflight = await fetch(`${server.url}/v1/kv/a`, { method: "OPTIONS", headers });
    expect(preflight.headers.get("access-control-allow-methods")).toContain("PUT, DELETE");
    expect(preflight.headers.get("access-control-allow-headers")).toContain("if-match");
    expect((await ask("/v1/kv/a", { method: "PUT", body: "v", headers })).status).toBe(200);
  });
});

describe("a key that no path can hold", () => {
  const at = (key: string): string => `/v1/kv/?key=${encodeURIComponent(key)}`;

  test.each([".", "..", "a/b", "ж"])("is read and written in the query: %s", async (key) => {
    expect(await ask(at(key), { method: "PUT", body: "1" })).toMatchObject({ status: 200, body: { version: 1 } });
    expect((await ask(`${at(key)}&consistency=local`)).body).toEqual({ key, value: btoa("1"), version: 1 });
    expect((await ask("/v1/kv")).body).toMatchObject({ items: [{ key }] });
    expect(await ask(at(key), { method: "DELETE" })).toMatchObject({ status: 200, body: { previous: 1 } });
  });

  test.each(["/v1/kv/?key=", "/v1/kv/", "/v1/kv/a?key=b", "/v1/kv/?key=a&key=b", "/v1/kv?key=a", "/v1/kv/?key=%ff"])(
    "is one key, and of that address only: %s",
    async (path) => {
      expect(await ask(path)).toMatchObject({ status: 400, body: { type: "/problems/malformed" } });
    },
  );
});

describe("a range", () => {
  const keysOf = ({ body }: Said) => (body["items"] as readonly { key: string }[]).map(({ key }) => key);

  beforeEach(async () => {
    for (const key of ["b/2", "a", "b/1", "c", "b/3", "ж"]) await put(key, key.at(-1) ?? "");
  });

  test("is in the order of the keys, with values and versions", async () => {
    const { body } = await ask("/v1/kv?prefix=b/&limit=2");
    expect(body).toEqual({
      items: [
        { key: "b/1", value: btoa("1"), version: 3 },
        { key: "b/2", value: btoa("2"), version: 1 },
      ],
      next: "b/3",
      position: 6,
      batch: 6,
      stateHash: double.standing().stateHash,
    });
    expect((await ask("/v1/kv?prefix=b/&from=b/3")).body).toMatchObject({ next: null, items: [{ key: "b/3" }] });
  });

  test("has bounds, a limit and a direction", async () => {
    expect(keysOf(await ask("/v1/kv"))).toEqual(["a", "b/1", "b/2", "b/3", "c", "ж"]);
    expect(keysOf(await ask("/v1/kv?from=b/2&to=c"))).toEqual(["b/2", "b/3"]);
    expect(keysOf(await ask(`/v1/kv?prefix=${encodeURIComponent("ж")}`))).toEqual(["ж"]);
    expect(keysOf(await ask("/v1/kv?prefix=nothing"))).toEqual([]);
    const back = await ask("/v1/kv?reverse=true&limit=2");
    expect([keysOf(back), back.body["next"]]).toEqual([["ж", "c"], "c"]);
    expect(keysOf(await ask("/v1/kv?reverse=true&limit=2&to=c"))).toEqual(["b/3", "b/2"]);
    expect(double.reads).not.toContain("local");
    await ask("/v1/kv?consistency=local");
    expect(double.reads.at(-1)).toBe("local");
  });

  test.each([
    "limit=0",
    "limit=1001",
    "limit=x",
    "reverse=yes",
    "consistency=x",
    "prefix=%ff",
    "from=a%zz",
    `to=${"x".repeat(513)}`,
  ])("cannot have %s", async (query) => {
    expect(await ask(`/v1/kv?${query}`)).toMatchObject({ status: 400, body: { type: "/problems/malformed" } });
  });
});
