import type { HeldBundle } from "../../dag/bundle.ts";
import { hashOf } from "../../crypto/hash.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { Replication } from "../../node/replicated/replication.ts";
import type { OrderedBundles } from "../../replication/executor.ts";
import type { OrderedPayload } from "../../replication/replica.ts";
import type { ExecutedBatch } from "./replica-checker.ts";

export interface ReplicationWatcher {
  /** Before anything of it is durable. */
  onExecuted(batch: ExecutedBatch): void;
  onRestored(sequence: Sequence): void;
}

/** The same, wrong for as long as something is. */
export function mistakenReplication(replication: Replication, isWrong: () => boolean): Replication {
  const apply = replication.apply.bind(replication);
  replication.apply = (...ordered) => {
    const root = apply(...ordered);
    return isWrong() ? hashOf("record", hashBytes(root)) : root;
  };
  return replication;
}

/** The very replication, with somebody who looks on. */
export function watchedReplication(replication: Replication, watcher: ReplicationWatcher): Replication {
  const apply = replication.apply.bind(replication);
  const takeEffects = replication.takeEffects.bind(replication);
  const restore = replication.restore.bind(replication);
  let executed: Omit<ExecutedBatch, "handled"> | null = null;
  replication.apply = (network, ordered, heldOf) => {
    const root = apply(network, ordered, heldOf);
    executed = { sequence: ordered.sequence, payloads: payloadsOf(network, ordered, heldOf), root };
    return root;
  };
  replication.takeEffects = () => {
    const effects = takeEffects();
    if (executed !== null) watcher.onExecuted({ ...executed, handled: effects.handled });
    executed = null;
    return effects;
  };
  replication.restore = async (parts, execution) => {
    await restore(parts, execution);
    watcher.onRestored(execution.sequence);
  };
  return replication;
}

/** What clients said in a batch, in its order. */
function payloadsOf(
  network: NetworkContext,
  { executed }: OrderedBundles,
  heldOf: (digest: Hash) => HeldBundle,
): readonly OrderedPayload[] {
  return executed
    .filter(({ ref }) => ref.purpose === "application")
    .flatMap(({ ref, firstPosition }) => {
      const creator = network.set.at(ref.creator).nodeId;
      return heldOf(ref.digest).bundle.payloads.map((payload, index): OrderedPayload => {
        return { position: (firstPosition + index) as Position, creator, payload };
      });
    });
}
