import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/node/config.ts";
import { parseGenesis } from "../../src/node/genesis.ts";
import { type Outcome, run, spawnCommand } from "./command.ts";

setDefaultTimeout(60_000);

let folder = "";
let node: ReturnType<typeof spawnCommand> | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cretoai-ledger-"));
});
afterEach(async () => {
  node?.kill();
  await node?.exited;
  node = null;
  rmSync(folder, { recursive: true });
});

function testnet(...args: string[]): Promise<Outcome> {
  return run(["testnet", "--output", join(folder, "net"), "--base-port", "0", ...args]);
}

/** Starts the first node of the testnet, and comes back when its API listens. */
async function startNode(): Promise<void> {
  node = spawnCommand(["start", "--config", join(folder, "net/node-1/node.toml")]);
  const reader = node.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes("node.started"); ) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the node ended: ${text}`);
    text += value;
  }
  reader.releaseLock();
}

function ledger(...args: string[]): Promise<Outcome> {
  return run(["ledger", ...args, "--config", join(folder, "net/node-1/node.toml")]);
}

describe("testnet", () => {
  test("writes engine and application into the genesis, and an account for each validator of a ledger", async () => {
    const { code, stdout } = await testnet("-n", "2", "--engine", "avalanche", "--application", "ledger");
    expect([code, stdout]).toEqual([0, expect.stringContaining("node-i/main of each validator holds 1000000 units")]);
    const genesis = parseGenesis(readFileSync(join(folder, "net/genesis.json"), "utf8"));
    expect([genesis.engine, genesis.application]).toEqual(["avalanche", "ledger"]);
    expect([...(genesis.accounts ?? [])]).toEqual([
      ["node-1/main", 1_000_000n],
      ["node-2/main", 1_000_000n],
    ]);
    expect(loadConfig(join(folder, "net/node-1/node.toml")).consensus.algorithm).toBe("avalanche");
  });

  test.each([
    [["--engine", "raft"], "there is pbft, hotstuff, avalanche"],
    [["--application", "wiki"], "there is log, ledger, key-value"],
    [["--engine", "avalanche", "--application", "key-value"], "Its engine is pbft"],
    [["--engine", "avalanche", "--application", "custom"], "Its engine is pbft"],
  ])("refuses %p", async (args, says) => {
    const { code, stderr } = await testnet("-n", "4", ...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(says)]);
  });
});

describe("a ledger on pbft", () => {
  test("moves units, tells balances, refuses what cannot be, and is the same after a restart", async () => {
    await testnet("-n", "1", "--application", "ledger");
    await startNode();
    expect((await ledger()).stdout).toContain("units     1000000");
    const done = JSON.parse((await ledger("transfer", "node-1/main", "node-1/other", "250", "--json")).stdout);
    expect(done).toMatchObject({ number: 1, result: "applied", finalized: true, sequence: 1 });
    const late = await ledger("transfer", "node-1/main", "node-1/other", "1", "--number", "3");
    expect([late.code, late.stdout]).toEqual([0, expect.stringContaining("number 2 of node-1/main comes first")]);
    expect((await ledger("balance", "node-1/main")).stdout).toContain("waiting      3: 1 to node-1/other");
    const poor = await ledger("transfer", "node-1/other", "node-1/main", "251");
    expect([poor.code, poor.stderr]).toEqual([1, expect.stringContaining("node-1/other has 250")]);
    expect((await ledger("balance", "main")).code).toBe(2);
    const opaque = await run(["submit", "hello", "--config", join(folder, "net/node-1/node.toml")]);
    expect([opaque.code, opaque.stderr]).toEqual([1, expect.stringContaining("/v1/ledger/transfers")]);
    const before = (await ledger("--json")).stdout;
    node?.kill();
    await node?.exited;
    await startNode();
    expect((await ledger("--json")).stdout).toBe(before);
    expect(JSON.parse((await ledger("balance", "node-1/main", "--json")).stdout)).toMatchObject({
      balance: "999750",
      nextNumber: 2,
    });
  });
});

describe("conflict keys of the command line", () => {
  test("belong to one transaction", async () => {
    const { code, stderr } = await run(["submit", "--conflict-key", "a"], { input: "one\ntwo\n" });
    expect([code, stderr]).toEqual([2, expect.stringContaining("belongs to one transaction")]);
  });

  test("are refused by a network that orders everything", async () => {
    await testnet("-n", "1");
    await startNode();
    const config = join(folder, "net/node-1/node.toml");
    const { code, stderr } = await run(["submit", "mine", "--conflict-key", "a", "--config", config]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("leave the keys out")]);
    expect((await run(["ledger", "--config", config])).stderr).toContain("names no ledger");
  });
});
