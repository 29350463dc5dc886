// A report that is made of parts, as a run of steps: workers do the parts at the same time. See docs/workflows.md.
//   npx bun examples/workflow.ts http://127.0.0.1:8101 http://127.0.0.1:8111
import { connect, runWorker, StepFailed, type WorkflowTask } from "cretoai/client";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const client = connect({ nodes: process.argv.slice(2) });

/** What each step does; `task.token` is what to give to others, who should do one thing once. */
const handlers = {
  count: (task: WorkflowTask): string => {
    const words = text(task.input).split(" ");
    if (words.length > 1_000) throw new StepFailed("too many words", { isFinal: true });
    return String(words.length);
  },
  add: (task: WorkflowTask): string => {
    return String([...task.outputs.values()].reduce((sum, output) => sum + Number(text(output)), 0));
  },
};

// Any number of processes may do this, anywhere: here it is the same one.
const stop = new AbortController();
const worker = runWorker({ client, handlers, concurrency: 2, signal: stop.signal });

const run = `report-${client.session.client.slice(0, 8)}`;
await client.workflow.start(run, [
  { name: "first", handler: "count", input: "to be or not to be" },
  { name: "second", handler: "count", input: "that is the question", attempts: 5, backoffMs: 200 },
  { name: "sum", handler: "add", dependsOn: ["first", "second"] },
]);

const { state, completed, reason } = await client.workflow.wait(run);
const sum = await client.workflow.output(run, "sum");
console.log(`${state}: ${completed} steps, ${sum === null ? reason : `${text(sum)} words`}`);

stop.abort();
await worker;
client.close();
