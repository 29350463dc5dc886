import { createLog } from "../observability/log.ts";
import { loadConfig } from "../node/config.ts";
import { startNode } from "../node/start.ts";
import { CommandFailed } from "./exit-codes.ts";

/** How long a stop may take before the process ends anyway. */
const STOP_MS_MAX = 10_000;

/** Runs one node until a signal or a fatal error. */
export async function start({
  config: file,
  pretty,
}: {
  readonly config: string;
  readonly pretty?: boolean;
}): Promise<void> {
  const config = loadConfig(file, process.env);
  const log = createLog({ level: config.node.log_level, name: config.node.id, pretty: pretty ?? process.stdout.isTTY });
  const signal = Promise.withResolvers<NodeJS.Signals>();
  let asked = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      asked += 1;
      if (asked > 1) process.exit(1);
      signal.resolve(name);
    });
  }
  const node = await startNode(config, log);
  const failure = await Promise.race([
    signal.promise.then((name) => {
      log("info", "node.stopping", { signal: name });
      return null;
    }),
    node.failed.catch((error: unknown) => error),
  ]);
  const timer = setTimeout(() => {
    log("error", "node.stop-timeout", { afterMs: STOP_MS_MAX });
    process.exit(1);
  }, STOP_MS_MAX);
  await node.stop();
  clearTimeout(timer);
  if (failure !== null)
    throw new CommandFailed(`the node stopped: ${failure instanceof Error ? failure.message : String(failure)}`);
  log("info", "node.stopped");
}
