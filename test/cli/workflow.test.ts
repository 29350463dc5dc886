import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { createTestnet } from "../../src/cli/testnet.ts";
import { connect, runWorker } from "../../src/client/main.ts";
import { loadConfig } from "../../src/node/config.ts";
import { ReplicatedDouble, serveReplicated } from "../api/replicated-double.ts";
import { type Outcome, type RunOptions, run, spawnCommand } from "./command.ts";

const PATIENCE_MS = 90_000;
setDefaultTimeout(PATIENCE_MS);

const folder = mkdtempSync(join(tmpdir(), "cretoai-workflow-"));
let node: NodeProcess;

/** A network of one validator. */
beforeAll(async () => {
  const where = { output: join(folder, "net"), basePort: 0, host: "127.0.0.1", hybrid: true };
  const [made] = await createTestnet({ validators: 1, engine: "pbft", application: "workflow", ...where });
  node = new NodeProcess(loadConfig(made?.config ?? ""));
  node.start();
  await node.whenReady(60_000);
}, PATIENCE_MS);

afterAll(async () => {
  await node.stop();
  rmSync(folder, { recursive: true });
}, PATIENCE_MS);

function workflow(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return run(["workflow", ...args, "--url", node.apiUrl], options);
}

const STEPS = JSON.stringify({
  steps: [
    { name: "render", input: "17" },
    { name: "sign", handler: "seal", dependsOn: ["render"], inputBase64: btoa("by ada"), attempts: 1 },
  ],
});

/** Does steps until the work is done; the first of a failing handler ends its run. */
async function worked(work: () => Promise<void>, seals: boolean): Promise<void> {
  const client = connect({ nodes: [node.apiUrl] });
  const stop = new AbortController();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  const handlers = {
    render: ({ input }: { readonly input: Uint8Array }) => `invoice ${text(input)}`,
    seal: ({ input }: { readonly input: Uint8Array }) => {
      if (!seals) throw new Error("the seal\nis lost");
      return `sealed ${text(input)}`;
    },
  };
  const report = runWorker({ client, handlers, signal: stop.signal });
  await work();
  stop.abort();
  await report;
  client.close();
}

describe("workflow", () => {
  test("starts a run from a file, once, shows it to its end and prints what its steps gave", async () => {
    const file = join(folder, "steps.json");
    writeFileSync(file, STEPS);
    expect(await workflow(["start", "one", file])).toEqual({ code: 0, stdout: "started\tone\t2 steps\n", stderr: "" });
    expect((await workflow(["start", "one"], { input: STEPS })).stdout).toBe("was started before\tone\t2 steps\n");
    expect(await workflow(["output", "one", "render"])).toMatchObject({ code: 1 });
    const shown = (await workflow(["show", "one"])).stdout;
    expect(shown).toContain("state    running, 0 of 2 steps");
    expect(shown).toMatch(/^sign +blocked +0 +0 +-$/m);
    const watching = spawnCommand(["workflow", "show", "one", "--watch", "--url", node.apiUrl]);
    const [first, rest] = watching.stdout.tee();
    // The run as it is now: from here on the changes are told.
    await first.getReader().read();
    await worked(async () => {
      const lines = (await new Response(rest).text()).trimEnd().split("\n");
      expect(await watching.exited).toBe(0);
      expect(lines.at(-1)).toBe("one\tcompleted\t2 of 2 steps");
      expect(lines.at(-2)).toBe("sign\tcompleted\tattempt 1");
    }, true);
    expect((await workflow(["output", "one", "sign"])).stdout).toBe("sealed by ada");
    expect(JSON.parse((await workflow(["output", "one", "render", "--json"])).stdout)).toEqual({
      run: "one",
      step: "render",
      output: btoa("invoice 17"),
    });
  });

  test("says by its exit status that a run failed, and why", async () => {
    await worked(async () => {
      const { code, stdout, stderr } = await workflow(["start", "two", "--wait", "--json"], { input: STEPS });
      const [first, last, ...more] = stdout.trimEnd().split("\n");
      expect(JSON.parse(first ?? "")).toEqual({ run: "two", isNew: true, steps: 2 });
      expect(JSON.parse(last ?? "")).toMatchObject({ run: "two", state: "failed", all: [{}, { state: "failed" }] });
      expect([code, more]).toEqual([1, []]);
      expect(stderr).toContain("run two has failed: step sign: the seal\\nis lost");
    }, false);
    expect((await workflow(["show", "two", "--watch"])).code).toBe(1);
    expect((await workflow(["show", "two"])).code).toBe(0);
  });

  test("cancels a run, once, and lists all", async () => {
    await workflow(["start", "three"], { input: STEPS });
    expect((await workflow(["cancel", "three", "not wanted"])).stdout).toBe("cancelled\tthree\n");
    expect(await workflow(["cancel", "three"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("cancelled"),
    });
    expect(await workflow(["cancel", "nobody"])).toMatchObject({ code: 1, stderr: expect.stringContaining("nobody") });
    expect((await workflow(["list"])).stdout).toMatch(/^three +cancelled +0\/2 +20\S+Z +not wanted$/m);
    const lines = (await workflow(["list", "--json"])).stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toContainEqual(
      expect.objectContaining({ run: "three", state: "cancelled", reason: "not wanted", steps: 2 }),
    );
  });

  test.each([
    ["no JSON", "{", "it is no JSON"],
    ["no list", '{"step": []}', 'it is a list of steps, or {"steps": [...]}'],
    ["a member that is misspelt", '[{"name":"a","dependson":[]}]', 'steps[0] has "dependson"'],
    ["a dependency that is no text", '[{"name":"a","dependsOn":[1]}]', "steps[0].dependsOn is no list of names"],
    ["two inputs", '[{"name":"a","input":"","inputBase64":""}]', "steps[0] has an input and an inputBase64"],
    ["an input that is no base64", '[{"name":"a","inputBase64":"?"}]', "steps[0].inputBase64 is no base64"],
  ])("refuses a definition with its place: %s", async (_, input, says) => {
    expect(await workflow(["start", "bad"], { input })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(says),
    });
  });

  test("passes on what the network refuses, with the place", async () => {
    const steps = [
      { name: "a", dependsOn: ["b"] },
      { name: "b", dependsOn: ["a"] },
    ];
    const { code, stderr } = await workflow(["start", "circle"], { input: JSON.stringify(steps) });
    expect([code, stderr]).toEqual([1, expect.stringContaining("steps[0].dependsOn[0]: a waits for b waits for a")]);
    expect(await workflow(["show", "circle"])).toMatchObject({ code: 1, stderr: expect.stringContaining("no run") });
    expect(await workflow(["start", "a name"], { input: "[]" })).toMatchObject({ code: 1 });
  });

  test("says that nobody answers, and that the network runs something else", async () => {
    const other = await serveReplicated(new ReplicatedDouble());
    const said = await run(["workflow", "show", "run", "--url", other.url]);
    expect([said.code, said.stderr]).toEqual([1, expect.stringContaining("not that of workflows")]);
    await other.close();
    expect(await run(["workflow", "list", "--url", other.url])).toMatchObject({ code: 3 });
    expect(await run(["workflow", "lst", "--url", other.url])).toMatchObject({ code: 2 });
  });
});
