import type { Hash } from "../lib/hash.ts";
import { present } from "../lib/assert.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { ValidatorSetChanged } from "../membership/membership-state.ts";
import type { Execution } from "../replication/executor.ts";
import type { StoredBundle } from "./ledger.ts";
import type { Log } from "./observer.ts";
import { finalizedItems } from "./reader.ts";
import type { FinalizedItem, FinalizedReceipt, NodeEvent, ProposedItem, RejectedItem } from "./service.ts";

interface Waiter {
  readonly resolve: (receipt: FinalizedReceipt) => void;
  readonly reject: (error: Error) => void;
}

/** Tells listeners and those who wait for one vertex. Items are built only while somebody listens. */
export class EventFeed {
  readonly #network: NetworkContext;
  readonly #log: Log;
  readonly #listeners = new Set<(event: NodeEvent) => void>();
  readonly #waiters = new Map<Hash, Set<Waiter>>();

  constructor(network: NetworkContext, log: Log) {
    this.#network = network;
    this.#log = log;
  }

  /** Whether anybody listens or waits. */
  get isHeard(): boolean {
    return this.#listeners.size > 0 || this.#waiters.size > 0;
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A promise of the vertex's finality, from now on. */
  waitFor(hash: Hash): { readonly receipt: Promise<FinalizedReceipt>; cancel(): void } {
    const { promise, resolve, reject } = Promise.withResolvers<FinalizedReceipt>();
    // Who gave up waiting must not crash the process.
    promise.catch(() => undefined);
    const waiter = { resolve, reject };
    const waiters = this.#waiters.get(hash) ?? new Set<Waiter>();
    waiters.add(waiter);
    this.#waiters.set(hash, waiters);
    const cancel = (): void => {
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiters.delete(hash);
    };
    return { receipt: promise, cancel };
  }

  onProposed({ held }: StoredBundle): void {
    if (this.#listeners.size === 0) return;
    const creator = this.#network.set.at(held.ref.creator).nodeId;
    const items: ProposedItem[] = held.vertexIds.map((hash, index) => ({
      hash,
      creator,
      payload: present(held.bundle.payloads[index], "a payload"),
      timestampMs: held.bundle.timestampMs,
    }));
    this.#emit({ kind: "proposed", items });
  }

  onFinalized(execution: Execution, bundles: readonly StoredBundle[]): void {
    if (this.#waiters.size > 0) this.#wakeWaiters(execution, bundles);
    if (this.#listeners.size === 0 || bundles.length === 0) return;
    const items = execution.executed.flatMap(({ firstPosition }, index) => {
      const stored = present(bundles[index], "an executed bundle");
      return finalizedItems(this.#network, stored, firstPosition, execution.timestampMs);
    });
    this.#emit({ kind: "finalized", items });
  }

  /** Vertices of a leaderless network that took their local places, ascending. */
  onAccepted(items: readonly FinalizedItem[]): void {
    for (const { hash, sequence } of items) {
      for (const waiter of this.#waiters.get(hash) ?? []) waiter.resolve({ hash, sequence, finalityMs: null });
    }
    this.#emit({ kind: "finalized", items });
  }

  /** Vertices of a leaderless network that lost. */
  onRejected(items: readonly RejectedItem[], errorOf: (item: RejectedItem) => Error): void {
    for (const item of items) {
      for (const waiter of this.#waiters.get(item.hash) ?? []) waiter.reject(errorOf(item));
    }
    this.#emit({ kind: "rejected", items });
  }

  onValidators(changed: ValidatorSetChanged, afterBatch: number): void {
    this.#emit({ kind: "validators", changed, afterBatch });
  }

  #wakeWaiters(execution: Execution, bundles: readonly StoredBundle[]): void {
    execution.executed.forEach(({ firstPosition }, index) => {
      const { vertexIds } = present(bundles[index], "an executed bundle").held;
      vertexIds.forEach((hash, offset) => {
        for (const waiter of this.#waiters.get(hash) ?? []) {
          waiter.resolve({ hash, sequence: firstPosition + offset, finalityMs: null });
        }
      });
    });
  }

  #emit(event: NodeEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#log("error", "node.listener-failed", { error: String(error) });
      }
    }
  }
}
