import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeKeyFile } from "../../src/crypto/key-file.ts";
import { generateKeyPair } from "../../src/crypto/key-pair.ts";
import { formatGenesis } from "../../src/node/genesis.ts";
import { type RunOptions, run, spawnCommand } from "./command.ts";

let folder = "";
let config = "";
let keyFile = "";
let child: ReturnType<typeof spawnCommand> | null = null;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "cretoai-start-"));
  const output = join(folder, "net");
  const { code } = await run(["testnet", "--validators", "1", "--output", output, "--base-port", "0"]);
  expect(code).toBe(0);
  config = join(output, "node-1/node.toml");
  keyFile = join(output, "node-1/keys/node.key.json");
});

afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  await child?.exited;
  child = null;
  rmSync(folder, { recursive: true });
});

/** Starts the node; the answer is the event of its log that says so. */
async function started(options: RunOptions = {}): Promise<Readonly<Record<string, unknown>>> {
  child = spawnCommand(["start", "--config", config], options);
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let output = "";
  for (;;) {
    const line = output.split("\n").find((text) => text.includes('"node.started"') && text.endsWith("}"));
    if (line !== undefined) {
      reader.releaseLock();
      return JSON.parse(line);
    }
    const { done, value } = await reader.read();
    if (done) throw new Error(`${output}${await new Response(child.stderr).text()}`);
    output += decoder.decode(value, { stream: true });
  }
}

async function failure(options: RunOptions = {}): Promise<string> {
  const { code, stderr } = await run(["start", "--config", config], options);
  expect(code).toBe(1);
  expect(stderr).not.toContain("    at ");
  return stderr;
}

describe("start", () => {
  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("runs a node until %s, and ends with 0", async (signal) => {
    const { api } = await started();
    expect((await run(["health", "--url", String(api)])).code).toBe(0);
    child?.kill(signal);
    expect(await child?.exited).toBe(0);
  });

  test("does not mind that its input ends, unless it is told to", async () => {
    const { api } = await started();
    await child?.stdin.end();
    expect((await run(["health", "--url", String(api)])).code).toBe(0);
  });

  test("lets the environment go before the file", async () => {
    const { api, node } = await started({ env: { CRETOAI_API_HTTP_PORT: "0", CRETOAI_NODE_ID: "renamed" } });
    expect(node).toBe("renamed");
    expect((await run(["status", "--config", config])).code).toBe(3);
    expect((await run(["status", "--url", String(api)])).code).toBe(0);
  });

  test("opens an encrypted key with the passphrase of the named variable only", async () => {
    const pair = generateKeyPair({ hybrid: true });
    await writeKeyFile(keyFile, pair, { passphrase: "open sesame", overwrite: true });
    const genesis = {
      network: "encrypted",
      createdAt: new Date().toISOString(),
      engine: "pbft" as const,
      hybrid: true,
      policy: { min: 1, max: 9 },
      validators: [{ name: "n", nodeId: pair.nodeId, publicKeys: pair.publicKeys, address: "127.0.0.1:1" }],
    };
    writeFileSync(join(folder, "net/node-1/genesis.json"), formatGenesis(genesis));
    expect(await failure()).toContain("encrypted");
    expect(await failure({ env: { CRETOAI_PASSPHRASE: "open barley" } })).toContain("passphrase is wrong");
    const { nodeId } = await started({ env: { CRETOAI_PASSPHRASE: "open sesame" } });
    expect(nodeId).toBe(pair.nodeId);
  });

  test("says which file is wrong: a key that others may read, a missing genesis, a missing key", async () => {
    chmodSync(keyFile, 0o644);
    expect(await failure()).toContain(`chmod 600 ${keyFile}`);
    rmSync(keyFile);
    expect(await failure()).toContain(keyFile);
    const genesis = join(folder, "net/node-1/genesis.json");
    writeFileSync(genesis, "{}");
    expect(await failure()).toContain("the genesis file cannot be used");
    rmSync(genesis);
    expect(await failure()).toContain(genesis);
  });

  test("refuses a second node on the same state", async () => {
    await started();
    const env = { CRETOAI_API_HTTP_PORT: "0", CRETOAI_METRICS_PORT: "0", CRETOAI_NETWORK_QUIC_PORT: "0" };
    expect(await failure({ env })).toContain("database");
  });
});
