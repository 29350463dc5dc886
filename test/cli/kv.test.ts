import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiServer } from "../../src/api/server.ts";
import { NodeError } from "../../src/node/service.ts";
import { type FeedDouble, ReplicatedDouble, serveReplicated } from "../api/replicated-double.ts";
import { type Outcome, type RunOptions, run, spawnCommand } from "./command.ts";

setDefaultTimeout(60_000);

let double: ReplicatedDouble;
let server: ApiServer;
beforeEach(async () => {
  double = new ReplicatedDouble();
  server = await serveReplicated(double, {
    status: () => ({ lastSequence: 0 }) as never,
    subscribe: () => () => undefined,
  });
});
afterEach(() => server.close());

function kv(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return run(["kv", ...args, "--url", server.url], options);
}

describe("kv", () => {
  test("writes, reads, compares and deletes a key", async () => {
    expect(await kv(["put", "users/ada", "engineer"])).toMatchObject({
      code: 0,
      stdout: "written\tusers/ada\tversion 1, was absent\n",
    });
    expect(await kv(["get", "users/ada"])).toEqual({ code: 0, stdout: "engineer", stderr: "" });
    expect((await kv(["cas", "users/ada", "1", "countess"])).stdout).toBe("written\tusers/ada\tversion 2, was 1\n");
    expect(await kv(["cas", "users/ada", "1", "again"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("version 2"),
    });
    expect((await kv(["cas", "users/ada", "absent", "x"])).code).toBe(1);
    expect(JSON.parse((await kv(["get", "users/ada", "--local", "--json"])).stdout)).toEqual({
      key: "users/ada",
      value: btoa("countess"),
      version: 2,
    });
    expect(double.reads).toEqual(["linearizable", "local"]);
    expect((await kv(["cas", "users/ada", "2", "--delete"])).stdout).toContain("deleted\tusers/ada\tversion 5, was 2");
    expect(await kv(["get", "users/ada"])).toMatchObject({ code: 1, stderr: expect.stringContaining("no key") });
    expect((await kv(["delete", "users/ada", "--json"])).stdout).toContain('"previous":null');
  });

  test("takes bytes from a file or from its input, and gives them back as they are", async () => {
    const folder = mkdtempSync(join(tmpdir(), "cretoai-kv-"));
    try {
      const bytes = Uint8Array.of(0, 255, 10);
      writeFileSync(join(folder, "value"), bytes);
      await kv(["put", "file", "--file", join(folder, "value")]);
      await kv(["put", "input"], { input: "two\nlines\n" });
      expect((await kv(["get", "input"])).stdout).toBe("two\nlines\n");
      expect(JSON.parse((await kv(["get", "file", "--json"])).stdout)).toMatchObject({ value: bytes.toBase64() });
      expect((await kv(["put", "file", "--file", folder])).code).toBe(1);
      expect((await kv(["put", "file", "text", "--file", join(folder, "value")])).code).toBe(2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("sends a write again until it is known to be ordered, once", async () => {
    double.refusal = { error: new NodeError("timeout", "not ordered in time"), isApplied: true };
    const late = await kv(["put", "a", "1", "--json"]);
    expect(late.stdout).toContain('"version":1,"previous":null');
    expect(late.stderr).toMatch(/^the node answered 504: .*; trying again for 60 s at most\n$/);
    const [first, second] = double.commands;
    expect([double.commands.length, second?.client]).toEqual([2, first?.client]);
    const named = ["--client", "ab".repeat(16), "--number", "5"];
    const said = "written\tb\tversion 3, was absent";
    expect((await kv(["put", "b", "2", ...named])).stdout).toBe(`${said}\n`);
    expect((await kv(["put", "b", "2", ...named])).stdout).toBe(`${said}\t(before, under this number)\n`);
  });

  test.each([".", ".."])("takes %s for a key like any other", async (key) => {
    expect((await kv(["put", key, "value"])).stdout).toBe(`written\t${key}\tversion 1, was absent\n`);
    expect((await kv(["get", key])).stdout).toBe("value");
    expect((await kv(["delete", key])).stdout).toContain("was 1");
  });

  test("lists keys page by page, safe for a terminal", async () => {
    for (let index = 0; index < 120; index++) {
      await fetch(`${server.url}/v1/kv/k${String(index).padStart(3, "0")}`, { method: "PUT", body: `v${index}` });
    }
    await fetch(`${server.url}/v1/kv/z%1B`, { method: "PUT", body: "a\u001b[31m\tb\n" });
    await fetch(`${server.url}/v1/kv/zz`, { method: "PUT", body: Uint8Array.of(255) });
    const lines = (await kv(["list"])).stdout.trimEnd().split("\n");
    expect(lines.length).toBe(122);
    expect(lines[0]).toBe("1\tk000\tv0");
    expect(lines.slice(-2)).toEqual(["121\tz\\u001b\ta\\u001b[31m\\tb\\n", "122\tzz\t(1 bytes)"]);
    const back = (await kv(["list", "k", "--reverse", "--limit", "101", "--json"])).stdout.trimEnd().split("\n");
    expect([back.length, JSON.parse(back[0] ?? ""), JSON.parse(back[100] ?? "")]).toMatchObject([
      101,
      { key: "k119" },
      { key: "k019" },
    ]);
    const some = await kv(["list", "--from", "k118", "--to", "z"]);
    expect(some.stdout).toBe("119\tk118\tv118\n120\tk119\tv119\n");
    expect(some.stderr).toContain("--from 123");
  });

  test("watches a prefix, also from a position on", async () => {
    for (const key of ["a/1", "b/1", "a/2"])
      await fetch(`${server.url}/v1/kv/${key.replace("/", "%2F")}`, { method: "PUT", body: "v" });
    const child = spawnCommand(["kv", "watch", "a/", "--from", "2", "--limit", "2", "--url", server.url]);
    const feed = double.changes as FeedDouble;
    while (feed.listeners.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await fetch(`${server.url}/v1/kv/a%2F2`, { method: "DELETE" });
    expect([await new Response(child.stdout).text(), await child.exited]).toEqual([
      "3\ta/2\t= v\n4\ta/2\tdeleted\n",
      0,
    ]);
    feed.keptFrom = 4;
    expect(await kv(["watch", "--from", "3"])).toMatchObject({ code: 1, stderr: expect.stringContaining("from 4 on") });
  });

  test.each([
    [["cas", "a", "1.5", "x"]],
    [["cas", "a", "1", "x", "--delete"]],
    [["put", "", "x"]],
    [["put", "a", "x", "--client", "ab".repeat(16)]],
    [["list", "--limit", "0"]],
    [["watch", "--from", "0"]],
    [["gett", "a"]],
  ])("refuses %p as wrong usage", async (args) => {
    expect((await kv(args)).code).toBe(2);
    expect(double.commands).toEqual([]);
  });

  test("says that nobody answers, and what the node refuses", async () => {
    double.name = "ledger";
    expect(await kv(["get", "a"])).toMatchObject({ code: 1, stderr: expect.stringContaining('not "key-value"') });
    expect(await kv(["watch"])).toMatchObject({ code: 1, stderr: expect.stringContaining('not "key-value"') });
    await server.close();
    expect((await kv(["get", "a"])).code).toBe(3);
    expect((await kv(["watch"])).code).toBe(3);
  });
});
