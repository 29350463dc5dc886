import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, spawnCommand } from "../cli/command.ts";

let folder = "";
let child: ReturnType<typeof spawnCommand> | null = null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cretoai-avalanche-cluster-"));
});

afterEach(async () => {
  // It ends its nodes before itself.
  if (child?.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  await child?.exited;
  child = null;
  rmSync(folder, { recursive: true });
}, 30_000);

/** Starts a cluster in the test's folder; `until` resolves with the output as soon as it contains the words. */
function cluster(...args: string[]): (words: string) => Promise<string> {
  const started = spawnCommand(["cluster", "--engine", "avalanche", "--data", data(), "--base-port", "0", ...args]);
  child = started;
  const reader = started.stdout.getReader();
  const decoder = new TextDecoder();
  let output = "";
  return async (words) => {
    while (!output.includes(words)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`ended without ${JSON.stringify(words)}:\n${output}${logs()}`);
      output += decoder.decode(value, { stream: true });
    }
    return output;
  };
}

function data(): string {
  return join(folder, "net");
}

function logs(): string {
  return readdirSync(data())
    .filter((name) => name.startsWith("node-"))
    .map((name) => `--- ${name}\n${readFileSync(join(data(), name, "node.log"), "utf8").slice(-1_000)}`)
    .join("\n");
}

function target(index: number): readonly string[] {
  return ["--config", join(data(), `node-${index}/node.toml`)];
}

describe("cluster --engine avalanche", () => {
  test("finalizes the sample and what is piped in, and goes on from there when started again", async () => {
    const until = cluster();
    child?.stdin.write("one\ntwo\nthree\n");
    await child?.stdin.end();
    expect(await until("3 transactions of standard input are final")).toContain("1000 transactions of that file");
    child?.kill("SIGINT");
    expect(await until("vertices are in the ledger")).toContain(`1003 vertices are in the ledger of ${folder}`);
    expect(await child?.exited).toBe(0);
    const resumed = await run(["cluster", "--data", data(), "--no-input", "--exit-when-done"], { input: "4" });
    expect(resumed.stdout).toContain("Resuming 4 validators");
    expect(resumed.stdout).toContain("1004 vertices are in the ledger");
    expect(resumed.code).toBe(0);
    const other = await run(["cluster", "--data", data(), "--engine", "pbft"]);
    expect(other.code).toBe(2);
    expect(other.stderr).toContain("avalanche");
  }, 60_000);

  test("lets the other commands in: one of two that declare the same key is final", async () => {
    const until = cluster("--no-input");
    await until("Try ");
    const status = JSON.parse((await run(["status", "--json", ...target(2)])).stdout) as object;
    expect(status).toMatchObject({ engine: "avalanche", validators: 4, quorum: 3, lastSequence: 0 });
    const spends = await Promise.all(
      [1, 2].map((at) => run(["submit", `from ${at}`, "--conflict-key", "coin", ...target(at)])),
    );
    expect(spends.map(({ code }) => code).toSorted()).toEqual([0, 1]);
    expect(spends.find(({ code }) => code === 1)?.stderr).toContain("won a conflict set that both declare");
    const input = Array.from({ length: 2_000 }, (_, index) => `line ${index}`).join("\n");
    const many = await run(["submit", "--batch", "500", "--json", ...target(3)], { input });
    expect(JSON.parse(many.stdout)).toMatchObject({ count: 2_000 });
  }, 60_000);
});
