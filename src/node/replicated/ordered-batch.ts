import type { HeldBundle } from "../../dag/bundle.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { OrderedBatch, OrderedPayload } from "../../replication/replica.ts";

/** A bundle with the place of its first vertex in the total order. */
export interface PlacedBundle {
  readonly held: HeldBundle;
  readonly firstPosition: Position;
}

/** An executed batch as the application sees it: what validators say of their own set is not for it. */
export function orderedBatch(
  network: NetworkContext,
  batch: { readonly sequence: Sequence; readonly timestampMs: number; readonly history: Hash },
  bundles: readonly PlacedBundle[],
): OrderedBatch {
  return { ...batch, payloads: payloadsOf(network, bundles) };
}

function* payloadsOf(network: NetworkContext, bundles: readonly PlacedBundle[]): Generator<OrderedPayload> {
  for (const { held, firstPosition } of bundles) {
    if (held.ref.purpose !== "application") continue;
    const creator = network.set.at(held.ref.creator).nodeId;
    for (const [index, payload] of held.bundle.payloads.entries()) {
      yield { position: (firstPosition + index) as Position, creator, payload };
    }
  }
}

/** The vertex at a position, among these bundles; null where it is in none. */
export function vertexAt(bundles: readonly PlacedBundle[], position: Position): Hash | null {
  const found = bundles.find(({ held, firstPosition }) => {
    return position >= firstPosition && position < firstPosition + held.ref.count;
  });
  return found === undefined ? null : present(found.held.vertexIds[position - found.firstPosition], "a vertex");
}
