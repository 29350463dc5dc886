import { afterEach, describe, expect, test } from "bun:test";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "../cli/command.ts";
import { connect } from "../../src/client/main.ts";
import { READY_MS, RealCluster } from "./real-cluster.ts";

const EXAMPLE = resolve(import.meta.dirname, "../../examples/counters.ts");

let cluster: RealCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

/** Four nodes with the example as their application, which each takes from its configuration. */
async function started(): Promise<RealCluster> {
  cluster = await RealCluster.create(4, { application: "custom" });
  for (const config of cluster.configs) {
    const toml = readFileSync(config, "utf8");
    writeFileSync(config, toml.replace("[node]", `[node]\napplication = ${JSON.stringify(EXAMPLE)}`));
    appendFileSync(config, "\n[storage]\nsnapshot_interval = 5\n");
  }
  await cluster.start();
  return cluster;
}

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const json = (value: Uint8Array | null): unknown => JSON.parse(new TextDecoder().decode(value ?? new Uint8Array(0)));

describe("an application of the user's own, on four real nodes", () => {
  test("takes commands, refuses what it refuses, answers questions, and is there again after kill -9", async () => {
    const running = await started();
    const client = connect({ nodes: running.nodes.map(({ apiUrl }) => apiUrl) });
    try {
      // Beyond the first checkpoint, whose state a snapshot keeps.
      for (let round = 1; round <= 40; round++) {
        const outcome = await client.command(bytes({ counter: "votes", add: 2 }));
        expect(outcome.status).toBe("applied");
        if (outcome.status === "applied")
          expect(json(outcome.result as Uint8Array)).toEqual({ counter: "votes", value: 2 * round });
      }
      const refused = await client.command(bytes({ counter: "", add: 1 }));
      expect(refused).toMatchObject({ status: "rejected", reason: "counter is a text of 1 to 100 characters" });
      await running.node(2).crash();
      running.node(2).start();
      await running.node(2).whenReady(READY_MS);
      const back = connect({ nodes: [running.node(2).apiUrl] });
      const { answer } = await back.query(new TextEncoder().encode("votes"));
      expect(json(answer)).toEqual({ counter: "votes", value: 80 });
      back.close();
      expect(readFileSync(running.node(2).logFile, "utf8")).toContain("snapshot.taken");
    } finally {
      client.close();
    }
  }, 60_000);

  test.each([
    ["no file", "", 'application "custom": start the node with --app'],
    ["a file that is not there", "missing.ts", "cannot be loaded: there is no such file"],
    ["a file that is no TypeScript", "broken.ts", "in line 2 of "],
    ["a file beside which the package is not", "alone.ts", "install the package there"],
    ["a file without the function", "empty.ts", "exports no function createApplication"],
    ["an application that lacks methods", "half.ts", "has no query, snapshot, restore, stateHash"],
  ])(
    "is refused at the start, in words: %s",
    async (_, file, says) => {
      cluster = await RealCluster.create(1, { application: "custom" });
      const { folder, configs } = cluster;
      writeFileSync(join(folder, "empty.ts"), "export const nothing = 1;\n");
      writeFileSync(
        join(folder, "half.ts"),
        "export const createApplication = () => ({ name: 'half', apply() {} });\n",
      );
      writeFileSync(join(folder, "broken.ts"), "// one\nexport const x = ;\n");
      writeFileSync(
        join(folder, "alone.ts"),
        'import { CommandRejected } from "cretoai/application";\nexport { CommandRejected };\n',
      );
      const app = file === "" ? [] : ["--app", join(folder, file)];
      const { code, stdout, stderr } = await run(["start", "--config", configs[0] ?? "", ...app]);
      expect(code).not.toBe(0);
      expect(stdout + stderr).toContain(says);
    },
    30_000,
  );
});
