import type { Log } from "../../node/observer.ts";
import type { ReplicationOptions } from "../../node/replicated/replication.ts";
import type { Snapshots } from "../plan.ts";
import type { TestedApplication } from "./tested-application.ts";

export interface ApplicationScene {
  readonly application: TestedApplication;
  readonly snapshots: Snapshots;
  /** As the engines of the run have it. */
  readonly checkpointInterval: number;
  readonly log: Log;
}

/** The replicated application of one life: as much of it as was durable comes back from the disk. */
export function replicationOptions({
  application,
  snapshots,
  checkpointInterval,
  log,
}: ApplicationScene): ReplicationOptions {
  return {
    name: application.name,
    takeChanges: application.takeChanges,
    newApplication: () => application.newApplication(),
    snapshotInterval: snapshots.interval,
    snapshotsKept: snapshots.kept,
    retention: snapshots.retention,
    checkpointInterval,
    log,
  };
}
