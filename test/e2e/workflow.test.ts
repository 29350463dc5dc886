import { afterEach, expect, test } from "bun:test";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, connect, runWorker, type WorkflowTask } from "../../src/client/main.ts";
import { READY_MS, RealCluster } from "./real-cluster.ts";

const CHILD = join(import.meta.dirname, "run-workflow-child.ts");

type Child = Bun.Subprocess<"pipe", "pipe", "inherit">;

let cluster: RealCluster | null = null;
const children: Child[] = [];
const clients: Client[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) await killed(child);
  for (const client of clients.splice(0)) client.close();
  await cluster?.stop();
  cluster = null;
}, 60_000);

function clientOf(nodes: readonly string[]): Client {
  const client = connect({ nodes, timeoutMs: 60_000 });
  clients.push(client);
  return client;
}

function spawned(...args: readonly string[]): Child {
  const child = Bun.spawn([process.execPath, CHILD, ...args], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  children.push(child);
  return child;
}

/** Resolves when the child has said its first line. */
async function said(child: Child): Promise<string> {
  const reader = child.stdout.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the child ended after ${JSON.stringify(text)}`);
    text += new TextDecoder().decode(value);
  }
  return text.trim();
}

async function killed(child: Child): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}

const text = (bytes: Uint8Array | null | undefined): string => new TextDecoder().decode(bytes ?? new Uint8Array(0));

test("a run of four real nodes completes each step once, though its submitter, a worker and the leader are killed in the middle", async () => {
  cluster = await RealCluster.create(4, { application: "workflow" });
  for (const config of cluster.configs) appendFileSync(config, "\n[storage]\nsnapshot_interval = 10\n");
  await cluster.start();
  const urls = cluster.nodes.map(({ apiUrl }) => apiUrl);

  const submitter = spawned("submit", "run", ...urls);
  expect(await said(submitter)).toBe("started");
  const doomed = spawned("work", ...urls);
  expect(await said(doomed)).toBe("hangs");
  await Promise.all([killed(submitter), killed(doomed)]);
  const leader = await cluster.leader();
  await leader.crash();

  const tokens: string[] = [];
  const handler = (task: WorkflowTask): string => {
    tokens.push(task.token);
    const before = [...task.outputs.values()].map(text).join("+");
    return task.step.startsWith("part") ? text(task.input) : `${task.step}(${before})`;
  };
  const handlers = { plan: handler, part: handler, join: handler, check: handler, end: handler };
  const stop = new AbortController();
  const reports = [1, 2].map((index) => {
    const options = { handlers, concurrency: 2, leaseMs: 10_000, signal: stop.signal, worker: `survivor-${index}` };
    return runWorker({ client: clientOf(urls), ...options });
  });
  const status = await clientOf(urls).workflow.wait("run", { pollMs: 100 });
  stop.abort();
  const done = await Promise.all(reports);

  expect(status).toMatchObject({ state: "completed", completed: 10 });
  const again = status.all.filter(({ attempt }) => attempt > 1);
  // What the killed worker held was claimed by another one when its lease was over.
  expect(again).toMatchObject([{ handler: "part", attempt: 2, failures: 1 }]);
  expect(tokens).toHaveLength(9);
  expect(new Set(tokens.map((token) => token.split("/")[1])).size).toBe(9);
  expect(done.reduce((sum, { completed }) => sum + completed, 0)).toBe(9);

  leader.start();
  await leader.whenReady(READY_MS);
  const joined = "join(part-1+part-2+part-3+part-4)";
  const checks = [1, 2, 3].map((index) => `check-${index}(${joined})`).join("+");
  for (const url of urls) {
    const { workflow } = clientOf([url]);
    expect(text(await workflow.output("run", "end"))).toBe(`end(${checks})`);
    expect(await workflow.status("run")).toEqual(status);
  }
}, 120_000);
