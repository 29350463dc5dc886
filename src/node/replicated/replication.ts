import { CHECKPOINT_INTERVAL } from "../../consensus/checkpoint.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence } from "../../membership/ids.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { Execution, ExecutionState, OrderedBundles } from "../../replication/executor.ts";
import type { TakenChanges } from "../../replication/key-value/changes.ts";
import type { ClientId } from "../../replication/command.ts";
import { type Handled, Replica } from "../../replication/replica.ts";
import type { Application } from "../../replication/replicated.ts";
import type { Recollection } from "../../replication/sessions.ts";
import type { Ledger } from "../ledger.ts";
import type { Log } from "../observer.ts";
import type { Database } from "../ports.ts";
import { forgetOld, Pruner } from "../transfer/pruner.ts";
import { StateOffers } from "../transfer/state-offers.ts";
import { orderedBatch, type PlacedBundle } from "./ordered-batch.ts";
import { restoreReplica } from "./replica-restore.ts";
import { type LogState, SnapshotStore } from "./snapshot-store.ts";

export interface ReplicationOptions {
  /** As the genesis names it, or the user's file. */
  readonly name: string;
  /** An application to which nothing happened yet: a new one each time. */
  readonly newApplication: () => Application;
  /** What the application changed since it was last asked; null where nobody can watch it. */
  readonly takeChanges: ((application: Application) => TakenChanges) | null;
  /** A snapshot is taken at the first checkpoint after so many vertices, 1 or more. */
  readonly snapshotInterval: number;
  /** As many are kept, 1 or more. */
  readonly snapshotsKept: number;
  /** Only a checkpoint's state is kept: a quorum's signatures come to stand behind it. Default: `CHECKPOINT_INTERVAL`. */
  readonly checkpointInterval?: number;
  /** So many of the newest vertices stay on the disk at least; 0, the default, keeps everything. */
  readonly retention?: number;
  readonly log: Log;
}

/** One executed batch, as the application left it; durable when listeners hear of it. */
export interface Applied {
  readonly state: ExecutionState;
  readonly bundles: readonly PlacedBundle[];
  readonly handled: readonly Handled[];
  readonly changes: TakenChanges | null;
}

/** The rows of one snapshot, of which somebody else than this node's own execution writes. */
export interface SnapshotPlace {
  readonly isOvertaken: () => boolean;
  readonly release: () => void;
}

/** What one batch did, until it is durable. */
type Effects = Pick<Applied, "handled" | "changes">;

/**
 * The replicated application at this node: execution drives it batch by batch, and its root becomes part of the state that
 * checkpoints sign. So a node whose application went another way is found out at the next checkpoint.
 */
export class Replication {
  readonly #options: ReplicationOptions;
  readonly #listeners = new Set<(applied: Applied) => void>();
  #application: Application;
  #replica: Replica;
  #effects: Effects = { handled: [], changes: null };
  #snapshots: SnapshotStore | null = null;
  #pruner: Pruner | null = null;
  #offers: StateOffers | null = null;
  /** Of the last snapshot, or where this process began. */
  #snapshotAt = 0;
  #isTaking = false;
  /** A snapshot of this batch is being taken over from peers. */
  #reserved: Sequence | null = null;

  constructor(options: ReplicationOptions) {
    this.#options = options;
    this.#application = options.newApplication();
    this.#replica = new Replica(this.#application);
  }

  get name(): string {
    return this.#options.name;
  }

  /** The root of an application to which nothing happened: what the genesis state has. Asked before `restore`. */
  get firstRoot(): Hash {
    return this.#replica.root();
  }

  get root(): Hash {
    return this.#replica.root();
  }

  get position(): number {
    return this.#replica.position;
  }

  get sequence(): number {
    return this.#replica.sequence;
  }

  /** A replica of an application to which nothing happened: whoever takes a state over tries it here first. */
  newReplica(): Replica {
    return new Replica(this.#options.newApplication());
  }

  /** Brings the application to where the log has led. @throws NodeError `storage-failed` */
  async restore(
    parts: { readonly network: NetworkContext; readonly ledger: Ledger; readonly database: Database },
    execution: ExecutionState,
  ): Promise<void> {
    const snapshots = new SnapshotStore(parts.database);
    this.#snapshots = snapshots;
    const offers = new StateOffers(parts.database);
    this.#offers = offers;
    const { retention = 0 } = this.#options;
    this.#pruner = new Pruner({ ...parts, snapshots, offers, retention, log: this.#options.log });
    const newReplica = (): Replica => {
      this.#application = this.#options.newApplication();
      return new Replica(this.#application);
    };
    const { log } = this.#options;
    const { network, ledger } = parts;
    this.#replica = await restoreReplica({ network, ledger, snapshots, log, newReplica }, execution);
    this.#options.takeChanges?.(this.#application);
    const [newest] = await snapshots.list(execution.sequence);
    this.#snapshotAt = newest?.execution.position ?? 0;
    // A crash may have come before the end of it.
    await forgetOld(parts);
  }

  /**
   * Applies an executed batch, synchronously, and gives the root that it led to.
   * @throws ApplicationFault where the application did what none may: this node must say nothing any more
   */
  apply(network: NetworkContext, { executed, ...batch }: OrderedBundles, heldOf: (digest: Hash) => HeldBundle): Hash {
    const bundles = placed(executed, heldOf);
    const handled = this.#replica.applyBatch(orderedBatch(network, batch, bundles));
    this.#effects = { handled, changes: this.#options.takeChanges?.(this.#application) ?? null };
    return this.#replica.root();
  }

  /** What the batch that was applied last did; for `onDurable`, and to be asked once. */
  takeEffects(): Effects {
    const effects = this.#effects;
    this.#effects = { handled: [], changes: null };
    return effects;
  }

  /**
   * A snapshot of this batch is about to be taken over from peers, and this node takes none of it meanwhile: its rows would be the
   * same. One at a time; null where this node has come to that batch by itself.
   */
  reserve(sequence: Sequence): SnapshotPlace | null {
    if (this.sequence >= sequence) return null;
    this.#reserved = sequence;
    return {
      isOvertaken: () => this.sequence >= sequence,
      release: () => {
        this.#reserved = null;
      },
    };
  }

  /** The step is over: the state may be kept if it is time for that. Resolves when that is done. */
  async maybeSnapshot(state: LogState): Promise<void> {
    const { snapshotInterval, snapshotsKept, checkpointInterval = CHECKPOINT_INTERVAL, log } = this.#options;
    const snapshots = this.#snapshots;
    const { sequence, position } = state.execution;
    if (snapshots === null || this.#isTaking || sequence % checkpointInterval !== 0) return;
    if (sequence === this.#reserved) return;
    // Counted from the beginning of the log, so that all nodes keep the same states and can deliver each other's chunks.
    if (Math.floor(position / snapshotInterval) === Math.floor(this.#snapshotAt / snapshotInterval)) return;
    this.#isTaking = true;
    this.#snapshotAt = position;
    try {
      const { stateChunks } = await snapshots.write(state, this.#replica.snapshot());
      // The newest that others can take over stays: those after it may never be certified, where an epoch ends before.
      const certified = await this.#offers?.certified(sequence);
      await snapshots.keep(snapshotsKept, certified?.snapshot.execution.sequence ?? null);
      log("info", "snapshot.taken", { batch: sequence, vertex: position, chunks: stateChunks.length });
      await this.#pruner?.prune(state.execution);
    } finally {
      this.#isTaking = false;
    }
  }

  /** Everything of this batch is on the disk. */
  onDurable({ state, executed }: Execution, bundles: readonly HeldBundle[], effects: Effects): void {
    const heldOf = new Map(bundles.map((held) => [held.ref.digest, held]));
    const applied: Applied = {
      state,
      bundles: placed(executed, (digest) => present(heldOf.get(digest), "an executed bundle")),
      ...effects,
    };
    for (const listener of this.#listeners) listener(applied);
  }

  /** Calls back for every batch that became durable, from now on until the answer is called. A listener must not throw. */
  subscribe(listener: (applied: Applied) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  recall(client: ClientId, number: number): Recollection {
    return this.#replica.recall(client, number);
  }

  /** @throws QueryRefused */
  query(question: Uint8Array): Uint8Array {
    return this.#replica.query(question);
  }
}

function placed(executed: OrderedBundles["executed"], heldOf: (digest: Hash) => HeldBundle): readonly PlacedBundle[] {
  return executed.map(({ ref, firstPosition }) => ({ held: heldOf(ref.digest), firstPosition }));
}
