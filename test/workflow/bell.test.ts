import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { type Client, runWorker } from "../../src/client/main.ts";
import type { WorkflowQuestion } from "../../src/replication/workflow/workflow-query.ts";
import { Workflows } from "../../src/replication/workflow/workflows.ts";
import { WorkflowNetwork } from "./workflow-network.ts";

setDefaultTimeout(30_000);

/** Who polls does so several times in this time; who is woken does nothing at all. */
const QUIET_MS = 400;
/** No poll comes before the end of the test, where a node streams. */
const NEVER_MS = 3_600_000;

const clients: Client[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

function clientOf(network: WorkflowNetwork): Client {
  const client = network.client();
  clients.push(client);
  return client;
}

/** The questions of that kind, and when there are so many of them. */
function questions(network: WorkflowNetwork, kind: WorkflowQuestion["kind"]) {
  let count = 0;
  let waiting: { readonly least: number; readonly resolve: () => void } | null = null;
  network.onQuestion = async (question) => {
    if (question.kind === kind) count += 1;
    if (waiting !== null && count >= waiting.least) waiting.resolve();
    await Promise.resolve();
  };
  const reach = async (least: number): Promise<void> => {
    if (count >= least) return;
    await new Promise<void>((resolve) => {
      waiting = { least, resolve };
    });
  };
  return { count: () => count, reach };
}

const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, QUIET_MS));

test("who waits for a run looks when something happens to it, and at no other time", async () => {
  const network = new WorkflowNetwork(new Workflows(), { streams: true });
  const { workflow } = clientOf(network);
  await workflow.start("run", [{ name: "a" }]);
  const looks = questions(network, "status");
  const ended = clientOf(network).workflow.wait("run", { pollMs: NEVER_MS });
  // The first look, and that at the beginning of the stream.
  await looks.reach(2);
  await quiet();
  const before = looks.count();
  await workflow.start("other", [{ name: "b", handler: "other" }]);
  await quiet();
  expect(looks.count()).toBe(before);
  const claim = await workflow.claim("w", ["a"], { leaseMs: 5_000 });
  if (!("run" in claim)) throw new Error("there was nothing to claim");
  await looks.reach(before + 1);
  const [socket] = network.sockets;
  const closed = new Promise((resolve) => socket?.addEventListener("close", resolve));
  await workflow.complete(claim, "done");
  expect(await ended).toMatchObject({ state: "completed" });
  expect(looks.count()).toBe(before + 2);
  await closed;
  expect(network.sockets.size).toBe(0);
});

test("a worker looks when a step of its handlers becomes ready, and at no other time", async () => {
  const network = new WorkflowNetwork(new Workflows(), { streams: true });
  const { workflow } = clientOf(network);
  const looks = questions(network, "claimable");
  const stop = new AbortController();
  const done: string[] = [];
  const handlers = {
    mine: ({ step }: { readonly step: string }) => {
      done.push(step);
      return step;
    },
  };
  const report = runWorker({ client: clientOf(network), handlers, pollMs: NEVER_MS, signal: stop.signal });
  await looks.reach(1);
  await quiet();
  const before = looks.count();
  await workflow.start("other", [{ name: "x", handler: "not-mine" }]);
  await quiet();
  expect(looks.count()).toBe(before);
  await workflow.start("run", [
    { name: "first", handler: "mine" },
    { name: "second", handler: "mine", dependsOn: ["first"] },
  ]);
  expect(await workflow.wait("run")).toMatchObject({ state: "completed" });
  stop.abort();
  expect(await report).toMatchObject({ completed: 2 });
  expect(done).toEqual(["first", "second"]);
});

test("a worker comes back for a step whose back-off is over, though nobody is told of that", async () => {
  const network = new WorkflowNetwork(new Workflows(), { streams: true });
  const { workflow } = clientOf(network);
  const stop = new AbortController();
  const handlers = {
    mine: ({ attempt }: { readonly attempt: number }) => {
      if (attempt === 1) throw new Error("not yet");
      return "done";
    },
  };
  const report = runWorker({ client: clientOf(network), handlers, pollMs: NEVER_MS, signal: stop.signal });
  await workflow.start("run", [{ name: "a", handler: "mine", backoffMs: 300 }]);
  expect(await workflow.wait("run")).toMatchObject({ state: "completed", all: [{ attempt: 2, failures: 1 }] });
  stop.abort();
  await report;
});

test("where the stream is lost, who waits looks by itself, and is told again when it is back", async () => {
  const network = new WorkflowNetwork(new Workflows(), { streams: true });
  const { workflow } = clientOf(network);
  await workflow.start("run", [{ name: "a" }]);
  const looks = questions(network, "status");
  const ended = clientOf(network).workflow.wait("run", { pollMs: NEVER_MS });
  await looks.reach(2);
  for (const socket of network.sockets) socket.close();
  // At the loss, and at the beginning of the next stream.
  await looks.reach(4);
  await workflow.cancel("run", "enough");
  expect(await ended).toMatchObject({ state: "cancelled" });
});
