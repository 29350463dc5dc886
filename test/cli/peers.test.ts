import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { run } from "./command.ts";

const FIRST = `aaaa1${"0".repeat(59)}`;
const SECOND = `aaaa2${"0".repeat(59)}`;
const OBSERVER = `bbbb3${"0".repeat(59)}`;

const asked: { readonly path: string; readonly body: unknown; readonly type: string | null }[] = [];
let server: ReturnType<typeof Bun.serve> | null = null;
let url = "";

/** A node's API as far as this command asks for it. */
beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname: path } = new URL(request.url);
      if (path === "/v1/validators") {
        const items = [
          { nodeId: FIRST, name: "node-1" },
          { nodeId: SECOND, name: "node-2" },
        ];
        return Response.json({ items });
      }
      if (path === "/v1/peers") return Response.json({ items: [PEER, AWAY] });
      asked.push({ path, body: await request.json(), type: request.headers.get("content-type") });
      if (path.includes(FIRST)) return Response.json({ detail: "this id is its own" }, { status: 400 });
      return Response.json({ nodeId: SECOND, state: "banned", bannedUntil: 600_000 });
    },
  });
  url = `http://127.0.0.1:${server.port}`;
});

beforeEach(() => {
  asked.length = 0;
});

afterAll(() => server?.stop(true));

const PEER = {
  nodeId: OBSERVER,
  role: "observer",
  address: "10.0.0.9:1",
  direction: "inbound",
  roundTripMs: 1,
  bytesSent: 0,
  bytesReceived: 0,
  score: 0.625,
  state: "graylisted",
  bannedUntil: null,
  ban: null,
};
const AWAY = {
  ...PEER,
  nodeId: SECOND,
  role: null,
  address: null,
  direction: null,
  roundTripMs: null,
  score: 0,
  state: "banned",
  bannedUntil: 600_000,
  ban: {},
};

describe("peers", () => {
  test("are listed with score, state and the end of a ban, by default and by name", async () => {
    const listed = await run(["peers", "list", "--url", url]);
    expect(listed).toMatchObject({ code: 0, stderr: "" });
    const lines = listed.stdout.split("\n");
    expect(lines[1]).toMatch(/^bbbb300000000000 +observer +0\.63 +graylisted +- +10\.0\.0\.9:1 +it/);
    expect(lines[2]).toMatch(/^aaaa200000000000 +- +0\.00 +banned +1970-01-01 00:10:00 +away +- /);
    expect(await run(["peers", "--url", url])).toEqual(listed);
    expect(JSON.parse((await run(["peers", "--url", url, "--json"])).stdout)).toMatchObject({
      items: [{ score: 0.625 }, {}],
    });
  });

  test("are banned by name, by id and by first digits, for a time or until further notice", async () => {
    const named = await run(["peers", "ban", "node-2", "--for", "10m", "--reason", "noise", "--url", url]);
    expect(named).toMatchObject({ code: 0, stderr: "" });
    expect(named.stdout).toBe(
      "node-2 is banned at this node until 1970-01-01T00:10:00.000Z\n" +
        "It stays a validator: the others hear its votes, this node does not.\n",
    );
    await run(["peers", "ban", SECOND, "--url", url]);
    await run(["peers", "ban", "bbbb", "--url", url]);
    await run(["peers", "unban", "node-2", "--url", url]);
    expect(asked).toEqual([
      { path: `/v1/peers/${SECOND}/ban`, body: { seconds: 600, reason: "noise" }, type: "application/json" },
      { path: `/v1/peers/${SECOND}/ban`, body: {}, type: "application/json" },
      { path: `/v1/peers/${OBSERVER}/ban`, body: {}, type: "application/json" },
      { path: `/v1/peers/${SECOND}/unban`, body: {}, type: "application/json" },
    ]);
  });

  test("are left alone where it is not clear who is meant, and the answer says what would be", async () => {
    const refused: readonly (readonly [args: readonly string[], code: number, words: string])[] = [
      [["ban", "aaaa"], 2, "2 node ids begin with aaaa: give more digits"],
      [["ban", "node-9"], 2, "a validator's name (node-1, node-2)"],
      [["ban", "aa"], 2, "its first 4 digits or more"],
      [["ban", "node-2", "--for", "soon"], 2, "--for must be a time such as 90s"],
      [["ban"], 2, "missing required argument"],
    ];
    for (const [args, code, words] of refused) {
      const outcome = await run(["peers", ...args, "--url", url]);
      expect(outcome.code).toBe(code);
      expect(outcome.stderr).toContain(words);
    }
    expect(asked).toEqual([]);
    const own = await run(["peers", "ban", "node-1", "--url", url]);
    expect(own.code).toBe(1);
    expect(own.stderr).toContain("answered 400: this id is its own");
  });
});
