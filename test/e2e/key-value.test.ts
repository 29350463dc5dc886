import { afterEach, describe, expect, test } from "bun:test";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { checkKv } from "../linearizability/kv-check.ts";
import { KV_MODEL } from "../linearizability/kv-model.ts";
import { HttpTarget } from "../linearizability/http-target.ts";
import { type NodeFaults, planFaults } from "../linearizability/node-faults.ts";
import { violationText } from "../linearizability/violation-text.ts";
import { runWorkload, WORKLOAD } from "../linearizability/workload.ts";
import { READY_MS, RealCluster } from "./real-cluster.ts";

let cluster: RealCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

async function started(engine: string): Promise<RealCluster> {
  cluster = await RealCluster.create(4, { application: "key-value", engine });
  // So that a restart has snapshots to begin from.
  for (const config of cluster.configs) appendFileSync(config, "\n[storage]\nsnapshot_interval = 50\n");
  // Every view has another leader: each round of them waits once for a node that is down.
  if (engine === "hotstuff") for (const config of cluster.configs) setPatience(config, 50, 400);
  await cluster.start();
  return cluster;
}

/** How long a leader may take: four times the first at least, the second before anything was measured; milliseconds. */
function setPatience(config: string, finalityMs: number, initialMs: number): void {
  const keys = `finality_timeout_ms = ${finalityMs}\nview_change_timeout_ms = ${initialMs}\n`;
  writeFileSync(config, readFileSync(config, "utf8").replace("[consensus]\n", `[consensus]\n${keys}`));
}

/** What `planFaults` may do to the nodes of this cluster. */
function faultsOf(running: RealCluster): NodeFaults {
  const signal = async (index: number, name: "SIGSTOP" | "SIGCONT"): Promise<void> => {
    await Promise.resolve(process.kill(running.node(index).pid, name));
  };
  return {
    nodes: running.nodes.length,
    kill: async (index) => {
      await running.node(index).crash();
    },
    restart: async (index) => {
      running.node(index).start();
      await running.node(index).whenReady(READY_MS);
    },
    pause: (index) => signal(index, "SIGSTOP"),
    resume: (index) => signal(index, "SIGCONT"),
  };
}

describe("the key-value store of four real nodes", () => {
  test.each(["pbft", "hotstuff"])(
    "is linearizable on %s while nodes are killed and stopped",
    async (engine) => {
      const running = await started(engine);
      const operations = 400;
      const seed = Number(process.env["LINEARIZABILITY_SEED"] ?? 11);
      const targets = running.nodes.map(({ apiUrl }) => new HttpTarget(apiUrl));
      const faults = planFaults(faultsOf(running), { seed, operations, hits: 4 });
      const { history, faults: done, reasons } = await runWorkload(targets, { ...WORKLOAD, seed, operations, faults });
      const verdict = checkKv(history);
      if (verdict.type === "violation") throw new Error(violationText(KV_MODEL, verdict.violation));
      expect(verdict.type).toBe("linearizable");
      expect(done.length).toBe(8);
      const answered = history.filter(({ outcome }) => outcome.type === "ok").length;
      console.log(`${answered} of ${history.length} answered; no answer: ${JSON.stringify([...reasons])}`);
      expect(answered).toBeGreaterThan(operations / 2);
    },
    120_000,
  );
});
