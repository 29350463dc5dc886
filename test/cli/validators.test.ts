import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { run } from "./command.ts";

const FIRST = `aaaa1${"0".repeat(59)}`;
const SECOND = `aaaa2${"0".repeat(59)}`;
const JOINING = `bbbb3${"0".repeat(59)}`;

const MEMBER = {
  address: "127.0.0.1:9000",
  standing: "active",
  condemned: null,
  reputationPpm: 1_000_000,
  waiting: null,
  isSelf: false,
};

const MEMBERSHIP = {
  epoch: 4,
  policy: { min: 3, max: 9 },
  active: 2,
  faultTolerance: 0,
  quorum: 2,
  members: [
    { ...MEMBER, index: 0, nodeId: FIRST, name: "node-1", isSelf: true },
    { ...MEMBER, index: 1, nodeId: SECOND, name: "node-2", condemned: "left", reputationPpm: 812_500 },
    { ...MEMBER, index: 2, nodeId: JOINING, name: "node-3", standing: "standby", waiting: 1 },
  ],
  pending: [
    { kind: "dismiss", nodeId: SECOND, name: "node-2", address: "", approvals: [FIRST], needed: 2 },
    { kind: "admit", nodeId: JOINING, name: "node-9", address: "127.0.0.1:9", approvals: [FIRST], needed: 2 },
  ],
};

const asked: { readonly path: string; readonly body: unknown; readonly type: string | null }[] = [];
let answer: { readonly status: number; readonly body: object } = { status: 200, body: {} };
let server: ReturnType<typeof Bun.serve> | null = null;
let url = "";
const folder = mkdtempSync(join(tmpdir(), "cretoai-validators-"));

/** A node's API as far as this command asks for it. */
beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname: path } = new URL(request.url);
      if (path === "/v1/membership") return Response.json(MEMBERSHIP);
      if (path === "/v1/validators") {
        return Response.json({ items: [{ nodeId: SECOND, isLeader: true, connected: false }] });
      }
      asked.push({ path, body: await request.json(), type: request.headers.get("content-type") });
      return Response.json(answer.body, { status: answer.status });
    },
  });
  url = `http://127.0.0.1:${server.port}`;
});

beforeEach(() => {
  asked.length = 0;
  answer = { status: 200, body: { result: "noted", reason: "1 of 2 approvals", batch: 8, epoch: 4 } };
});

afterAll(() => {
  rmSync(folder, { recursive: true });
  void server?.stop(true);
});

describe("validators", () => {
  test("are listed with standing, reputation and what waits, by default and by name", async () => {
    const listed = await run(["validators", "list", "--url", url]);
    expect(listed).toMatchObject({ code: 0, stderr: "" });
    const lines = listed.stdout.trimEnd().split("\n");
    expect(lines[0]).toBe("epoch 4: 2 validators (3 to 9), quorum 2, up to 0 may lie");
    expect(lines[2]).toMatch(/^aaaa100000000000 +node-1 +active +1\.000 +127\.0\.0\.1:9000 +this node$/);
    expect(lines[3]).toMatch(/^aaaa200000000000 +node-2 +active, goes \(left\) +0\.813 .* leads +away$/);
    expect(lines[4]).toMatch(/^bbbb300000000000 +node-3 +standby, place 1 +- /);
    expect(lines[5]).toBe("dismiss node-2 (aaaa200000000000): 1 of 2 approvals, by node-1");
    expect(await run(["validators", "--url", url])).toEqual(listed);
    expect(JSON.parse((await run(["validators", "--url", url, "--json"])).stdout)).toEqual(MEMBERSHIP);
  });

  test("are admitted with the public half that keygen writes, and name and address", async () => {
    const file = join(folder, "public.json");
    await run(["keygen", "--output", join(folder, "keys"), "--public-out", file]);
    const { nodeId, publicKeys } = await readKeyFile(join(folder, "keys/node.key.json"));
    expect(readFileSync(file, "utf8")).not.toContain("seed");
    const said = await run([
      ...["validators", "admit", "--key", file, "--name", "node-5", "--address", "10.0.0.5:9000"],
      ...["--url", url],
    ]);
    expect(said).toMatchObject({ code: 0, stderr: "", stdout: "ordered with batch 8: 1 of 2 approvals\n" });
    const body = {
      nodeId,
      name: "node-5",
      address: "10.0.0.5:9000",
      mlDsa87: publicKeys.mlDsa.toBase64(),
      ed25519: publicKeys.ed25519?.toBase64(),
    };
    expect(asked).toEqual([{ path: "/v1/validators/admit", body, type: "application/json" }]);
  });

  test("take name and address from the key's file, as an entry of a genesis file has them", async () => {
    await run(["testnet", "--validators", "1", "--output", join(folder, "net"), "--base-port", "0"]);
    const [entry] = JSON.parse(readFileSync(join(folder, "net/genesis.json"), "utf8")).validators;
    const file = join(folder, "entry.json");
    writeFileSync(file, JSON.stringify(entry));
    expect((await run(["validators", "admit", "--key", file, "--url", url])).code).toBe(0);
    expect(asked).toMatchObject([{ body: { nodeId: entry.node_id, name: "node-1", address: entry.address } }]);
    const key = await run(["validators", "key", "--config", join(folder, "net/node-1/node.toml")]);
    const { address: _, ...known } = entry;
    expect(JSON.parse(key.stdout)).toEqual(known);
  });

  test("are dismissed by name and by first digits; who goes may wait for a successor", async () => {
    await run(["validators", "dismiss", "node-2", "--url", url]);
    await run(["validators", "dismiss", "bbbb", "--wait-for-successor", "--url", url]);
    await run(["validators", "leave", "--url", url]);
    expect(asked.map(({ path, body }) => [path, body])).toEqual([
      ["/v1/validators/dismiss", { nodeId: SECOND, waitForSuccessor: false }],
      ["/v1/validators/dismiss", { nodeId: JOINING, waitForSuccessor: true }],
      ["/v1/validators/leave", { waitForSuccessor: false }],
    ]);
  });

  test("stay as they are where it is not clear who is meant, and the answer says what would be", async () => {
    const whole = join(folder, "genesis.json");
    writeFileSync(whole, JSON.stringify({ validators: [] }));
    const secret = join(folder, "secret.json");
    writeFileSync(secret, JSON.stringify({ version: 1, nodeId: FIRST, publicKeys: {} }));
    const nameless = join(folder, "nameless.json");
    writeFileSync(nameless, JSON.stringify({ ml_dsa_87: "AA==", ed25519: null }));
    const refused: readonly (readonly [args: readonly string[], words: string])[] = [
      [["dismiss", "aaaa"], "2 validators are called or begin with aaaa"],
      [["dismiss", "node-7"], "give a name (node-1, node-2, node-3)"],
      [["dismiss"], "missing required argument"],
      [["lst"], 'validators has no command "lst": give one of list, admit, dismiss, leave, key'],
      [["admit", "--name", "x"], "--key"],
      [["admit", "--key", whole], "take one entry of its validators"],
      [["admit", "--key", secret], "whole key file"],
      [["admit", "--key", nameless], "--name is missing"],
      [["admit", "--key", nameless, "--name", "x"], "--address is missing"],
      [["key"], "--config is missing"],
    ];
    for (const [args, words] of refused) {
      const outcome = await run(["validators", ...args, ...(args[0] === "key" ? [] : ["--url", url])]);
      expect([outcome.code, outcome.stderr]).toEqual([2, expect.stringContaining(words)]);
    }
    expect(asked).toEqual([]);
  });

  test("pass on why the node refuses, and fail where the order ignored the word", async () => {
    answer = { status: 409, body: { detail: "the network would go below its minimum of 3" } };
    const refused = await run(["validators", "leave", "--url", url]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("below its minimum of 3")]);
    answer = { status: 503, body: { detail: "this node is an observer" } };
    expect((await run(["validators", "leave", "--url", url])).code).toBe(4);
    answer = { status: 200, body: { result: "ignored", reason: "validator 1 goes already", batch: 9, epoch: 4 } };
    const ignored = await run(["validators", "dismiss", "node-2", "--url", url]);
    expect([ignored.code, ignored.stderr]).toEqual([1, expect.stringContaining("nothing changed")]);
  });
});
