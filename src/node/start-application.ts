import type { NodeId } from "../crypto/identity.ts";
import { KeyValueStore } from "../replication/key-value/key-value-store.ts";
import type { Application } from "../replication/replicated.ts";
import { Workflows } from "../replication/workflow/workflows.ts";
import type { ApplicationService } from "./application-service.ts";
import { createIntake, createOrderedLedger, ownersOf } from "./applications.ts";
import type { NodeConfig } from "./config.ts";
import type { Genesis } from "./genesis.ts";
import { isReplicated } from "./genesis-application.ts";
import { LedgerDesk } from "./ledger-desk.ts";
import { createLedgerNode } from "./ledger-node.ts";
import { ApplicationFileError, loadApplication } from "./load-application.ts";
import type { Log } from "./observer.ts";
import { ReplicatedService } from "./replicated/replicated-service.ts";
import { Replication } from "./replicated/replication.ts";
import type { Intake, LedgerService, NodeService, OrderedLedgerService } from "./service.ts";
import { systemClock } from "./system-clock.ts";

/** What of the application the API serves. */
export interface Served {
  readonly intake: Intake;
  readonly ledger?: LedgerService | OrderedLedgerService;
  readonly application?: ApplicationService;
}

/**
 * The application that this network's order drives; null where it drives none.
 * @param app the file of the user's application as the command line names it; null where it does not
 * @throws ApplicationFileError where file and genesis do not fit, or the file is no application
 */
export async function createReplication(
  genesis: Genesis,
  { node, storage }: Pick<NodeConfig, "node" | "storage">,
  { app, log }: { readonly app: string | null; readonly log: Log },
): Promise<Replication | null> {
  const { application: named = "log" } = genesis;
  const file = app ?? (node.application === "" ? null : node.application);
  if (named !== "custom" && file !== null) {
    const why = `this network's genesis file says application "${named}": leave --app and node.application out, or name a network made with --application custom`;
    throw new ApplicationFileError(why);
  }
  const common = {
    snapshotInterval: storage.snapshot_interval,
    snapshotsKept: storage.snapshots_kept,
    retention: storage.retention_vertices,
    log,
  };
  if (named === "key-value") {
    const takeChanges = (application: Application): ReturnType<KeyValueStore["takeChanges"]> =>
      (application as KeyValueStore).takeChanges();
    return new Replication({ ...common, name: named, newApplication: () => new KeyValueStore(), takeChanges });
  }
  if (named === "workflow") {
    const takeChanges = (application: Application): ReturnType<Workflows["takeChanges"]> =>
      (application as Workflows).takeChanges();
    return new Replication({ ...common, name: named, newApplication: () => new Workflows(), takeChanges });
  }
  if (named === "ledger" && isReplicated(genesis)) {
    const newApplication = (): Application => createOrderedLedger(genesis);
    return new Replication({ ...common, name: named, newApplication, takeChanges: null });
  }
  if (named !== "custom") return null;
  if (file === null) {
    const why =
      'this network\'s genesis file says application "custom": start the node with --app <file>, or set node.application';
    throw new ApplicationFileError(why);
  }
  const newApplication = await loadApplication(file);
  const { name } = newApplication();
  return new Replication({ ...common, name, newApplication, takeChanges: null });
}

/** The application follows what becomes final, from before it reads what is. */
export async function startApplication(
  genesis: Genesis,
  parts: {
    readonly node: NodeService;
    readonly self: NodeId;
    readonly replication: Replication | null;
    readonly log: Log;
  },
  stack: AsyncDisposableStack,
): Promise<Served> {
  const { node, replication } = parts;
  const intake = createIntake(genesis, node);
  if (replication !== null) {
    const application = new ReplicatedService({ replication, node, clock: systemClock });
    stack.defer(() => application.stop());
    if (genesis.application !== "ledger") return { intake, application };
    return { intake, application, ledger: new LedgerDesk(ownersOf(genesis), parts.self) };
  }
  const ledger = createLedgerNode(genesis, parts);
  if (ledger === null) return { intake };
  stack.defer(() => ledger.stop());
  stack.defer(node.subscribe((event) => event.kind === "finalized" && ledger.onFinalized(event.items)));
  await ledger.start();
  return { intake, ledger };
}
