import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/node/config.ts";
import { run, spawnCommand } from "./command.ts";

let folder = "";
let child: ReturnType<typeof spawnCommand> | null = null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cretoai-cluster-"));
});

afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  await child?.exited;
  child = null;
  await allNodesEnded();
  rmSync(folder, { recursive: true });
});

/** Starts a cluster in the test's folder; `until` resolves with the output as soon as it contains the words. */
function cluster(...args: string[]): { readonly until: (words: string) => Promise<string> } {
  child = spawnCommand(["cluster", "--data", join(folder, "net"), "--base-port", "0", ...args]);
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let output = "";
  return {
    until: async (words) => {
      while (!output.includes(words)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`ended without ${JSON.stringify(words)}:\n${output}${logs()}`);
        output += decoder.decode(value, { stream: true });
      }
      return output;
    },
  };
}

function logs(): string {
  return readdirSync(join(folder, "net"))
    .filter((name) => name.startsWith("node-"))
    .map((name) => `--- ${name}\n${readFileSync(join(folder, "net", name, "node.log"), "utf8").slice(-1_000)}`)
    .join("\n");
}

function config(index: number): string {
  return join(folder, `net/node-${index}/node.toml`);
}

/** Process ids of the nodes of this test's cluster, from the process table. */
function pids(name = "node-"): readonly number[] {
  const mark = `${folder}/net/${name}`;
  return processes().flatMap(({ pid, command }) => (command.includes(mark) ? [pid] : []));
}

function processes(): readonly { readonly pid: number; readonly command: string }[] {
  if (!existsSync("/proc/self/cmdline")) {
    const lines = Bun.spawnSync(["ps", "-axo", "pid=,command="]).stdout.toString().split("\n");
    return lines.map((line) => ({ pid: Number.parseInt(line, 10), command: line }));
  }
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => ({ pid: Number(entry), command: commandOf(entry) }));
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    // Ended between the two looks.
    return "";
  }
}

/** There is no event for the end of what is not one's child. */
async function allNodesEnded(): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (pids().length > 0) {
    if (performance.now() > deadlineMs) throw new Error(`still there: ${pids().join(", ")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("cluster", () => {
  test("finalizes the sample and what is piped in, ends at Ctrl-C, and goes on from there when started again", async () => {
    const first = cluster();
    child?.stdin.write("one\r\ntwo\n\nthree");
    await child?.stdin.end();
    expect(await first.until("3 transactions of standard input are final")).toContain("1000 transactions of that file");
    child?.kill("SIGINT");
    expect(await first.until("vertices are in the ledger")).toContain(`1003 vertices are in the ledger of ${folder}`);
    expect(await child?.exited).toBe(0);
    expect(pids()).toEqual([]);

    const again = await run(["cluster", "--data", join(folder, "net"), "--no-input", "--exit-when-done"], {
      input: "4",
    });
    expect(again.stdout).toContain("Resuming 4 validators");
    expect(again.stdout).toContain("1004 vertices are in the ledger");
    expect(again.code).toBe(0);
  }, 90_000);

  test("lets the other commands in, and its nodes never outlive it", async () => {
    const { until } = cluster("--no-input");
    await until("Try ");
    const target = ["--config", config(2)];

    const status = JSON.parse((await run(["status", "--json", ...target])).stdout);
    expect(status).toMatchObject({ validators: 4, quorum: 3, faultTolerance: 1, lastSequence: 0 });
    expect((await run(["health", ...target])).code).toBe(0);
    // Three of four are enough to begin; the fourth may still be on its way.
    let peers: readonly string[] = [];
    for (let asked = 0; asked < 40 && peers.length < 4; asked++) {
      peers = (await run(["peers", ...target])).stdout.trim().split("\n");
    }
    expect(peers).toHaveLength(4);
    expect((await run(["validators", ...target])).stdout).toMatch(/node-2 .*this node/);

    const one = await run(["submit", "hello", ...target]);
    expect(one.stdout).toMatch(/^1\t[0-9a-f]{64}\n1 finalized in /);
    const input = Array.from({ length: 5_000 }, (_, index) => `line ${index}`).join("\n");
    const many = await run(["submit", "--batch", "700", "--json", ...target], { input });
    const answer = JSON.parse(many.stdout);
    expect(answer).toMatchObject({ count: 5_000, finalityMs: { max: expect.any(Number) } });
    expect(new Set(answer.items.map(({ sequence }: { sequence: number }) => sequence)).size).toBe(5_000);
    const raw = await run(["submit", "--raw", "--no-wait", ...target], { input: "two\nlines\n" });
    expect(raw.stdout).toMatch(/^accepted\t[0-9a-f]{64}\n1 accepted in /);
    const large = await run(["submit", "--raw", ...target], { input: "x".repeat(100_000) });
    expect([large.code, large.stderr]).toEqual([1, expect.stringContaining("413")]);
    expect((await run(["submit", ...target], { input: "\n\n" })).code).toBe(2);

    const second = await run(["cluster", "--data", join(folder, "net")]);
    expect([second.code, second.stderr]).toEqual([
      1,
      expect.stringContaining(`TCP port ${loadConfig(config(2)).api.http_port} (API, api.http_port of node-2)`),
    ]);

    child?.kill("SIGKILL");
    await child?.exited;
    await allNodesEnded();
    expect((await run(["status", ...target])).code).toBe(3);
  }, 90_000);

  test("reports a node that dies and goes on with the rest, which can still finalize", async () => {
    const { until } = cluster("--no-input");
    await until("Try ");
    const [victim] = pids("node-3/");
    if (victim === undefined) throw new Error("node-3 is not there");
    process.kill(victim, "SIGKILL");
    await until("node-3 ended (SIGKILL)");
    child?.stdin.write("after\n");
    await child?.stdin.end();
    await until("1 transactions of standard input are final");
    expect((await run(["submit", "more", "--config", config(1)])).code).toBe(0);
    child?.kill("SIGTERM");
    await until("Stopped.");
    expect(await child?.exited).toBe(0);
  }, 90_000);

  test("refuses to resume as another cluster than it is", async () => {
    const data = join(folder, "net");
    await run(["testnet", "--validators", "2", "--output", data, "--base-port", "0"]);
    const shape = await run(["cluster", "--data", data, "--validators", "4"]);
    expect([shape.code, shape.stderr]).toEqual([2, expect.stringContaining("holds a cluster of 2 validators, not 4")]);
    const ports = await run(["cluster", "--data", data, "--base-port", "9100"]);
    expect([ports.code, ports.stderr]).toEqual([2, expect.stringContaining("whose first port is")]);
  });
});
