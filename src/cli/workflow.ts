import { type Client, connect, CretoError, type RunStatus, type RunSummary, type StepStatus } from "../client/main.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { lineText } from "./kv-text.ts";
import { call, type TargetOptions, targetUrl } from "./node-client.ts";
import { type Columns, printTable } from "./table.ts";
import { readSteps } from "./workflow-definition.ts";

interface WorkflowOptions extends TargetOptions {
  readonly json?: boolean;
}

interface StartOptions extends WorkflowOptions {
  readonly wait?: boolean;
}

interface ShowOptions extends WorkflowOptions {
  readonly watch?: boolean;
}

/** How long a command is sent again where the node is busy or does not know yet what became of it. */
const TIMEOUT_MS = 60_000;

/** What the node cannot do now, and may be able to later. */
const NOT_READY: readonly string[] = ["overloaded", "observer", "not-ready", "stopping", "timeout", "outcome-unknown"];

const RUN_COLUMNS: Columns<RunSummary> = [
  ["run", ({ run }) => run],
  ["state", ({ state }) => state],
  ["steps", ({ completed, steps }) => `${completed}/${steps}`],
  ["started", ({ startedAtMs }) => timeText(startedAtMs)],
  ["reason", ({ reason }) => lineText(reason ?? "")],
];

const STEP_COLUMNS: Columns<StepStatus> = [
  ["step", ({ name }) => name],
  ["state", ({ state }) => state],
  ["attempt", ({ attempt }) => String(attempt)],
  ["failures", ({ failures }) => String(failures)],
  ["worker", ({ worker }) => worker ?? "-"],
  ["reason", ({ reason }) => lineText(reason ?? "")],
];

/** With `wait` exit status 1 where the run does not complete. */
export async function startRun(run: string, file: string | undefined, options: StartOptions): Promise<void> {
  const steps = await readSteps(file);
  await withClient(options, async ({ workflow }) => {
    const { isNew } = await workflow.start(run, steps);
    const first = { run, isNew, steps: steps.length };
    print(options, first, `${isNew ? "started" : "was started before"}\t${run}\t${steps.length} steps`);
    if (options.wait !== true) return;
    const status = await workflow.wait(run);
    if (options.json === true) console.log(JSON.stringify(status));
    else printRun(status);
    requireCompleted(status);
  });
}

export async function listRuns(options: WorkflowOptions): Promise<void> {
  await withClient(options, async ({ workflow }) => {
    const runs: RunSummary[] = [];
    for await (const run of workflow.runs()) {
      if (options.json === true) console.log(JSON.stringify(run));
      else runs.push(run);
    }
    if (options.json !== true) printTable(runs, RUN_COLUMNS);
  });
}

/** With `watch` each change until the run's end, and exit status 1 where it does not complete. */
export async function showRun(run: string, options: ShowOptions): Promise<void> {
  await withClient(options, async ({ workflow }) => {
    const status = await workflow.status(run);
    if (status === null) throw new CommandFailed(`there is no run ${run}, or no longer`);
    if (options.watch !== true) {
      if (options.json === true) console.log(JSON.stringify(status));
      else printRun(status);
      return;
    }
    let before: RunStatus | null = null;
    for await (const next of workflow.watch(run)) {
      if (options.json === true) console.log(JSON.stringify(next));
      else if (before === null) printRun(next);
      else printChanges(before, next);
      before = next;
    }
    if (before !== null) requireCompleted(before);
  });
}

/** The output as it is, so that it can be piped on. */
export async function printOutput(run: string, step: string, options: WorkflowOptions): Promise<void> {
  await withClient(options, async ({ workflow }) => {
    const output = await workflow.output(run, step);
    if (output === null) throw new CommandFailed(`step ${step} of run ${run} has not completed`);
    if (options.json === true) return console.log(JSON.stringify({ run, step, output: output.toBase64() }));
    await Bun.write(Bun.stdout, output);
    if (process.stdout.isTTY) console.log();
  });
}

export async function cancelRun(run: string, reason: string | undefined, options: WorkflowOptions): Promise<void> {
  await withClient(options, async ({ workflow }) => {
    await workflow.cancel(run, reason ?? "");
    print(options, { run, state: "cancelled" }, `cancelled\t${run}`);
  });
}

async function withClient(options: TargetOptions, work: (client: Client) => Promise<void>): Promise<void> {
  const url = targetUrl(options);
  // The library would wait for a node that is away; a command says so at once.
  await call(url, "/health");
  const client = connect({ nodes: [url], timeoutMs: TIMEOUT_MS });
  try {
    await work(client);
  } catch (error) {
    throw error instanceof CretoError ? failureOf(error) : error;
  } finally {
    client.close();
  }
}

function failureOf({ code, message }: CretoError): CommandFailed {
  if (code === "unreachable") return new CommandFailed(message, EXIT.unreachable);
  if (code === "malformed-question" || code === "query-refused" || code === "bad-answer")
    return new CommandFailed(`this network's application is not that of workflows: ${lineText(message)}`);
  return new CommandFailed(message, NOT_READY.includes(code) ? EXIT.notReady : EXIT.failed);
}

function requireCompleted({ run, state, reason }: RunSummary): void {
  if (state === "failed" || state === "cancelled") throw new CommandFailed(`run ${run} has ${ended(state, reason)}`);
}

function ended(state: "failed" | "cancelled", reason: string | null): string {
  const what = state === "failed" ? "failed" : "been cancelled";
  return reason === null || reason === "" ? what : `${what}: ${lineText(reason)}`;
}

function print({ json }: WorkflowOptions, body: object, line: string): void {
  console.log(json === true ? JSON.stringify(body) : line);
}

function printRun(status: RunStatus): void {
  const { run, state, completed, steps, reason, startedAtMs, endedAtMs } = status;
  console.log(`run      ${run}`);
  console.log(`state    ${state}, ${completed} of ${steps} steps${reason === null ? "" : `: ${lineText(reason)}`}`);
  console.log(`started  ${timeText(startedAtMs)}`);
  if (endedAtMs !== null) console.log(`ended    ${timeText(endedAtMs)}`);
  console.log();
  printTable(status.all, STEP_COLUMNS);
  console.log();
}

/** A line for each step that has changed, and for the end. */
function printChanges(before: RunStatus, next: RunStatus): void {
  for (const [index, step] of next.all.entries()) {
    const { name, state, attempt, worker, reason } = step;
    const was = before.all[index];
    if (was?.state === state && was.attempt === attempt) continue;
    const more = worker ?? lineText(reason ?? "");
    console.log(`${name}\t${state}\tattempt ${attempt}${more === "" ? "" : `\t${more}`}`);
  }
  if (next.state !== "running") console.log(`${next.run}\t${next.state}\t${next.completed} of ${next.steps} steps`);
}

/** Agreed time. */
function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
