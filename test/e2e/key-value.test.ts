import { afterEach, describe, expect, test } from "bun:test";
import { appendFileSync } from "node:fs";
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

async function started(): Promise<RealCluster> {
  cluster = await RealCluster.create(4, { application: "key-value" });
  // So that a restart has snapshots to begin from.
  for (const config of cluster.configs) appendFileSync(config, "\n[storage]\nsnapshot_interval = 50\n");
  await cluster.start();
  return cluster;
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
  test("is linearizable while nodes are killed and stopped", async () => {
    const running = await started();
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
  }, 120_000);
});
