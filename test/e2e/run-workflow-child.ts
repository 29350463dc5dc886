/** A process for workflow.test.ts to kill. `submit <run> <url>...` starts the run and waits for its end; `work <url>...` does "plan", and hangs in the first "part". */
import { connect, runWorker } from "../../src/client/main.ts";
import { workflowSteps } from "./workflow-steps.ts";

const [role, ...rest] = process.argv.slice(2);
// Who started it is gone with its end of the pipe: nobody is left behind.
process.stdin.on("end", () => process.exit(9)).resume();

if (role === "submit") {
  const [run = "", ...nodes] = rest;
  const client = connect({ nodes });
  await client.workflow.start(run, workflowSteps());
  console.log("started");
  await client.workflow.wait(run);
  console.log("ended");
} else {
  const handlers = {
    plan: () => "planned",
    part: async (): Promise<string> => {
      console.log("hangs");
      return await new Promise(() => undefined);
    },
  };
  await runWorker({ client: connect({ nodes: rest }), handlers, concurrency: 1, leaseMs: 2_000, worker: "doomed" });
}
