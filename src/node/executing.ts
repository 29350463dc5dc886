import type { CommittedSlot } from "../consensus/engine.ts";
import type { Lanes } from "../dag/lanes.ts";
import type { ResolutionState } from "../dag/resolution-state.ts";
import { assert, present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import { type Execution, type ExecutionState, execute } from "../replication/executor.ts";
import type { BundlePool } from "./bundle-pool.ts";
import type { Epochs } from "./epochs.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import { commandsOf, reportsOf } from "./membership-bundles.ts";
import { type Heard, Resolutions } from "./resolutions.ts";
import type { Replication } from "./replicated/replication.ts";
import type { WriteBatch } from "./write-batch.ts";

export interface ExecutingPorts {
  readonly epochs: Pick<Epochs<unknown>, "network" | "membership" | "ownLane" | "self">;
  readonly ledger: Ledger;
  readonly lanes: Lanes;
  readonly pool: BundlePool;
  /** Null where the order drives no application. */
  readonly replication: Replication | null;
}

/** One executed batch: what it left, its bundles, and what the leaderless engine is to hear of it. */
export interface ExecutedSlot {
  readonly execution: Execution;
  readonly bundles: readonly StoredBundle[];
  readonly heard: Heard | null;
  /** What the application did; null where there is none. */
  readonly effects: ReturnType<Replication["takeEffects"]> | null;
}

/** The state that the log has led to, and the step from one to the next with its rows. */
export class Executing {
  readonly #ports: ExecutingPorts;
  readonly #resolutions: Resolutions;
  #state: ExecutionState;

  constructor(ports: ExecutingPorts, state: ExecutionState, resolution: ResolutionState) {
    this.#ports = ports;
    this.#state = state;
    this.#resolutions = new Resolutions(resolution);
  }

  get state(): ExecutionState {
    return this.#state;
  }

  /** What an engine that begins is told of the log's decisions; null where nothing was ever decided. */
  get remembered(): Heard | null {
    return this.#resolutions.remembered;
  }

  /** Executes a batch; what it leaves becomes durable with the turn that gathers. */
  run(slot: CommittedSlot, writes: WriteBatch): ExecutedSlot {
    const { epochs, ledger, lanes, pool, replication } = this.#ports;
    const bundleOf = (digest: Hash): StoredBundle => present(pool.get(digest), `the waiting bundle ${digest}`);
    const before = this.#resolutions.state;
    const execution = execute(epochs.network, this.#state, slot.batch, {
      membership: epochs.membership,
      bundleOf: (digest) => present(lanes.get(digest), `the held bundle ${digest}`),
      commandsOf: ({ digest }) => commandsOf(bundleOf(digest).held.bundle),
      resolution: before,
      reportsOf: ({ digest }) => reportsOf(bundleOf(digest).held.bundle),
      ...(replication === null
        ? {}
        : { replicate: (ordered) => replication.apply(epochs.network, ordered, (digest) => bundleOf(digest).held) }),
    });
    const { state, executed, judgement } = execution;
    assert(state.sequence === slot.sequence, "execution in sequence");
    const bundles = executed.map(({ ref }) => bundleOf(ref.digest));
    ledger.recordExecution(writes, slot, execution, epochs.membership, (digest) => bundleOf(digest).held);
    this.#keepNamed(slot, new Set(executed.map(({ ref }) => ref.digest)), writes);
    if (judgement.state !== before) ledger.recordResolution(writes, judgement.state);
    this.#state = state;
    for (const { ref } of executed) pool.onExecuted(ref);
    const { self } = epochs;
    if (self !== null) epochs.ownLane?.onExecuted(present(state.lanes[self], "this node's lane"));
    const effects = replication?.takeEffects() ?? null;
    return { execution, bundles, heard: this.#resolutions.onExecuted(judgement), effects };
  }

  /** What this place names and did not execute may have been forgotten since it was voted on: whoever follows needs it. */
  #keepNamed({ batch }: CommittedSlot, executed: ReadonlySet<Hash>, writes: WriteBatch): void {
    const { pool, ledger } = this.#ports;
    for (const digest of batch.bundles) {
      const stored = executed.has(digest) ? undefined : pool.get(digest);
      if (stored !== undefined) ledger.storeBundle(writes, stored);
    }
  }
}
