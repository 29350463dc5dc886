import { networkOf } from "../../../test/cluster/signing.ts";
import { type Bundle, type HeldBundle, holdBundle } from "../../dag/bundle.ts";
import { sealEnvelope } from "../../dag/conflict-keys.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { DagArrival } from "../dag-engine.ts";
import { BundleNode } from "./bundle-node.ts";

export const NETWORK: NetworkContext = networkOf(4);

/** A vertex with conflict keys, each a word. */
export function vertex(text: string, ...keys: readonly string[]): Uint8Array {
  const bytes = (word: string): Uint8Array => Uint8Array.from(word, (char) => char.charCodeAt(0));
  return sealEnvelope({ conflictKeys: keys.map(bytes), payload: bytes(text) });
}

export interface Made {
  readonly creator?: number;
  readonly previous?: HeldBundle | null;
  readonly second?: HeldBundle | null;
  readonly payloads?: readonly Uint8Array[];
}

/** A bundle after another one of its creator. */
export function made({ creator = 0, previous = null, second = null, payloads = [vertex("v")] }: Made = {}): HeldBundle {
  const bundle: Bundle = {
    creator: creator as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "dag",
    firstNonce: (previous === null ? 1 : previous.ref.firstNonce + previous.ref.count) as Nonce,
    timestampMs: 1_000,
    parents: [previous?.ref.tip ?? NETWORK.genesis, second?.ref.tip ?? NETWORK.genesis],
    payloads,
  };
  return holdBundle(NETWORK, bundle);
}

/** A lane of so many bundles, oldest first. */
export function lane(creator: number, count: number, name = "v"): readonly HeldBundle[] {
  const bundles: HeldBundle[] = [];
  for (let at = 0; at < count; at++) {
    bundles.push(made({ creator, previous: bundles.at(-1) ?? null, payloads: [vertex(`${name}${at}`)] }));
  }
  return bundles;
}

/** The nodes of a lane, each the parent of the next. */
export function chain(bundles: readonly HeldBundle[]): readonly BundleNode[] {
  const nodes: BundleNode[] = [];
  bundles.forEach((held, order) => {
    const previous = nodes.at(-1) ?? "past";
    nodes.push(new BundleNode(held, { previous, second: "past", forkSet: held.ref.digest, nowMs: 0, order }));
  });
  return nodes;
}

export function arrival(held: HeldBundle, changes: Partial<DagArrival> = {}): DagArrival {
  return { held, lost: [], settled: null, ...changes };
}

export function noHash(digit: string): Hash {
  return digit.repeat(64) as Hash;
}
