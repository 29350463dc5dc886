import { afterEach, beforeEach, expect, test } from "bun:test";
import { type FeedDouble, ReplicatedDouble, serveReplicated } from "../../test/api/replicated-double.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Position, Sequence } from "../membership/ids.ts";
import type { ClientId } from "../replication/command.ts";
import { encodeWorkflowCommand, type WorkflowCommand } from "../replication/workflow/workflow-command.ts";
import { Workflows } from "../replication/workflow/workflows.ts";
import type { ApiServer } from "./server.ts";

let double: ReplicatedDouble;
let server: ApiServer;
let workflows: Workflows;
let position = 0;
let socket: WebSocket | null = null;

beforeEach(async () => {
  double = new ReplicatedDouble();
  double.name = "workflow";
  workflows = new Workflows();
  position = 0;
  const status = () => ({ lastSequence: 0 }) as never;
  server = await serveReplicated(double, { status, subscribe: () => () => undefined });
});
afterEach(async () => {
  socket?.close();
  await server.close();
});

/** Applied, and told to those who watch. */
function apply(command: WorkflowCommand): void {
  position += 1;
  const place = { position: position as Position, sequence: position as Sequence, timestampMs: position };
  const by = { creator: "c".repeat(64) as NodeId, client: "0".repeat(32) as ClientId, number: position };
  workflows.apply(encodeWorkflowCommand(command), { ...place, ...by, seed: new Uint8Array(32) });
  (double.changes as FeedDouble).add(workflows.takeChanges().items);
}

function start(run: string): void {
  const plain = { input: new Uint8Array(0), attemptsMax: 3, backoffMs: 0 };
  const [first, second] = [
    { ...plain, name: "first", handler: "h", dependsOn: [] },
    { ...plain, name: "second", handler: "g", dependsOn: ["first"] },
  ];
  apply({ kind: "start", run, steps: [first, second] });
}

async function messages(hello: object, count: number): Promise<readonly Readonly<Record<string, unknown>>[]> {
  socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/stream`);
  const seen: Readonly<Record<string, unknown>>[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.onopen = () => socket?.send(JSON.stringify(hello));
  socket.onmessage = ({ data }) => {
    if (seen.push(JSON.parse(String(data))) === count) resolve();
  };
  await promise;
  return seen;
}

test("the topic of runs tells what each command made of a run, and which handlers have something to do", async () => {
  start("other");
  start("run");
  const lease = { run: "run", step: "first", attempt: 1, worker: "w" };
  apply({ kind: "claim", worker: "w", handlers: ["h"], leaseMs: 1_000 });
  apply({ kind: "claim", worker: "w", handlers: ["h"], leaseMs: 1_000 });
  apply({ kind: "complete", ...lease, output: new Uint8Array(1) });
  apply({ kind: "cancel", run: "run", reason: "enough" });
  const [subscribed, told] = await messages({ subscribe: ["runs"], prefix: "r", from: 2 }, 2);
  expect(subscribed).toEqual({ type: "subscribed", topics: ["runs"], from: 2 });
  const run = { run: "run", steps: 2 };
  expect(told).toEqual({
    type: "runs",
    items: [
      { position: 2, ...run, state: "running", completed: 0, ready: ["h"] },
      { position: 4, ...run, state: "running", completed: 0, ready: [] },
      { position: 5, ...run, state: "running", completed: 1, ready: ["g"] },
      { position: 6, ...run, state: "cancelled", completed: 1, ready: [] },
    ],
  });
});

test("the topic of runs is of workflows alone, and that of changes of the key-value store", async () => {
  const problem = { type: "/problems/no-application" };
  expect(await messages({ subscribe: ["changes"] }, 1)).toMatchObject([{ type: "error", problem }]);
  double.name = "key-value";
  expect(await messages({ subscribe: ["runs"] }, 1)).toMatchObject([{ type: "error", problem }]);
});
