import type { Votes } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { BundleNode } from "./bundle-node.ts";

/**
 * The same votes, in as little memory as they can take: hundreds of thousands of entries wait in tallies, and all that cover a
 * whole bundle at one level are one. What is decoded has a text of its own for each name, about 250 bytes an entry.
 */
export function sharedVotes({ kind, entries }: Votes, nodeOf: (bundle: Hash) => BundleNode | undefined): Votes {
  const shared = entries.map((entry) => {
    const node = nodeOf(entry.bundle);
    // Of bundles that are not here votes are few (`EARLY_VOTES_MAX`).
    if (node === undefined) return entry;
    return entry.except.length === 0 ? node.wholeVotes[entry.level] : { ...entry, bundle: node.digest };
  });
  return { kind, entries: shared };
}
