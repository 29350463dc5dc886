import { createLog } from "../observability/log.ts";
import { loadConfig } from "../node/config.ts";
import type { Log } from "../node/observer.ts";
import { type RunningNode, startNode } from "../node/start.ts";
import { isRecoverable } from "../node/transfer/recovery.ts";
import { CommandFailed } from "./exit-codes.ts";

/** How long a stop may take before the process ends anyway. */
const STOP_MS_MAX = 10_000;

export interface StartOptions {
  readonly config: string;
  readonly pretty?: boolean;
  /** The file of the user's application. */
  readonly app?: string;
  /** For a program that starts nodes: the end of standard input, which comes with the program's end, is a signal to stop. */
  readonly untilInputEnds?: boolean;
}

/** Runs one node until a signal or a fatal error; it starts again by itself where its state is to be replaced. */
export async function start({ config: file, pretty, app, untilInputEnds }: StartOptions): Promise<void> {
  const config = loadConfig(file, process.env);
  const log = createLog({ level: config.node.log_level, name: config.node.id, pretty: pretty ?? process.stdout.isTTY });
  const signal = Promise.withResolvers<string>();
  let asked = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      asked += 1;
      if (asked > 1) process.exit(1);
      signal.resolve(name);
    });
  }
  if (untilInputEnds === true) void inputEnd().then(() => signal.resolve("end of input"));
  const stopAsked = signal.promise.then((name) => {
    log("info", "node.stopping", { signal: name });
    return null;
  });
  let failure: unknown = null;
  do {
    const recovery = isRecoverable(failure) ? failure : null;
    const node = await startNode(config, log, { app: app ?? null, recovery });
    failure = await Promise.race([stopAsked, node.failed.catch((error: unknown) => error)]);
    await stopInTime(node, log);
  } while (isRecoverable(failure));
  if (failure !== null)
    throw new CommandFailed(`the node stopped: ${failure instanceof Error ? failure.message : String(failure)}`);
  log("info", "node.stopped");
}

async function stopInTime(node: RunningNode, log: Log): Promise<void> {
  const timer = setTimeout(() => {
    log("error", "node.stop-timeout", { afterMs: STOP_MS_MAX });
    process.exit(1);
  }, STOP_MS_MAX);
  try {
    await node.stop();
  } finally {
    clearTimeout(timer);
  }
}

async function inputEnd(): Promise<void> {
  const reader = Bun.stdin.stream().getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read());
}
