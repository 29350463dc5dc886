import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/node/config.ts";
import { parseGenesis } from "../../src/node/genesis.ts";
import type { ApiServer } from "../../src/api/server.ts";
import { NodeError } from "../../src/node/service.ts";
import { LedgerDouble, OTHER, SELF, serveLedger } from "../api/ledger-double.ts";
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
    expect((await ledger("--local")).stdout).toContain("units     1000000");
    const done = JSON.parse((await ledger("transfer", "node-1/main", "node-1/other", "250", "--json")).stdout);
    expect(done).toMatchObject({ number: 1, result: "applied", finalized: true, sequence: 1 });
    const late = await ledger("transfer", "node-1/main", "node-1/other", "1", "--number", "3");
    expect([late.code, late.stderr]).toEqual([1, expect.stringContaining("comes first: its last is 1")]);
    const poor = await ledger("transfer", "node-1/other", "node-1/main", "251");
    expect([poor.code, poor.stderr]).toEqual([1, expect.stringContaining("its balance is 250")]);
    expect((await ledger("balance", "main")).code).toBe(2);
    const opaque = await run(["submit", "hello", "--config", join(folder, "net/node-1/node.toml")]);
    expect([opaque.code, opaque.stderr]).toEqual([1, expect.stringContaining("/v1/ledger/transfers")]);
    const before = (await ledger("--json", "--local")).stdout;
    node?.kill();
    await node?.exited;
    await startNode();
    expect((await ledger("--json", "--local")).stdout).toBe(before);
    expect(JSON.parse((await ledger("balance", "node-1/main", "--json")).stdout)).toMatchObject({
      balance: "999750",
      nextNumber: 2,
    });
  });
});

describe("the ledger's commands where everything is ordered", () => {
  let double: LedgerDouble;
  let servers: readonly ApiServer[] = [];
  beforeEach(async () => {
    double = new LedgerDouble();
    servers = await Promise.all([serveLedger(double, SELF), serveLedger(double, OTHER)]);
  });
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.close()));
  });

  const at = (bank: 1 | 2, ...args: string[]): Promise<Outcome> =>
    run(["ledger", ...args, "--url", servers[bank - 1]?.url ?? ""]);

  test("give an allowance, change it, spend it, and list it", async () => {
    expect((await at(1, "approve", "bank-1/main", "bank-2/fees", "40")).stdout).toBe(
      "approved\tbank-2/fees may move 40 of bank-1/main, was 0\n",
    );
    const changed = await at(1, "approve", "bank-1/main", "bank-2/fees", "5", "--expected", "41");
    expect([changed.code, changed.stderr]).toEqual([1, expect.stringContaining("it is 40")]);
    expect((await at(2, "transfer-from", "bank-2/fees", "bank-1/main", "bank-2/main", "15")).stdout).toBe(
      "applied\tbank-1/main\t15 to bank-2/main\tbank-2/fees may move 25 more\n",
    );
    const json = JSON.parse((await at(1, "approve", "bank-1/main", "bank-2/main", "7", "--json")).stdout);
    expect(json).toMatchObject({ amount: "7", previous: "0", isReplay: false });
    expect((await at(2, "allowances", "bank-1/main")).stdout).toBe("25\tbank-2/fees\n7\tbank-2/main\n");
    expect((await at(2, "allowances", "bank-1/main", "bank-2/none", "--json")).stdout).toBe(
      '{"account":"bank-1/main","spender":"bank-2/none","amount":"0"}\n',
    );
    expect((await at(2, "accounts")).stdout).toBe("85\tbank-1/main\n65\tbank-2/main\n");
    expect((await at(2, "accounts", "bank-2/", "--limit", "1", "--local")).stdout).toBe("65\tbank-2/main\n");
    expect((await at(1, "transfer-from", "bank-2/fees", "bank-1/main", "bank-2/main", "1")).stderr).toContain("403");
    expect(double.reads.at(-1)).toBe("local");
  });

  test("send a command again until it is known to be ordered, and move units once", async () => {
    const pay = ["transfer", "bank-1/main", "bank-2/main", "10"];
    double.lost = new NodeError("timeout", "not ordered in time");
    expect((await at(1, ...pay)).stdout).toContain("applied\tbank-1/main #1\t10 to bank-2/main");
    const [first, second] = double.commands;
    expect([double.commands.length, second?.client]).toEqual([2, first?.client]);
    const named = ["--client", "ab".repeat(16), "--command-number", "5"];
    for (let turn = 0; turn < 2; turn++) expect((await at(1, ...pay, ...named)).stdout).toContain("bank-1/main #2");
    expect((await at(1, "balance", "bank-1/main", "--local")).stdout).toContain("balance      80\n");
  });

  test.each([
    [["transfer", "bank-1/main", "bank-2/main", "1", "--client", "ab".repeat(16)]],
    [["transfer", "bank-1/main", "bank-2/main", "1", "--number", "0"]],
    [["accounts", "--limit", "0"]],
    [["approve", "bank-1/main", "bank-2/main"]],
    [["allowances"]],
    [["withdraw"]],
  ])("refuse %p as wrong usage", async (args) => {
    expect((await at(1, ...args)).code).toBe(2);
    expect(double.commands).toEqual([]);
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
