import type { Hash } from "../../lib/hash.ts";
import type { BundleNode } from "./bundle-node.ts";
import { PARENT_AGE_MAX_MS } from "./limits.ts";
import type { Participant } from "./participant.ts";

/** Of how many of the best candidates one is drawn (document 2, 3.3.2). */
const CANDIDATES = 10;

/**
 * The second parent of a bundle that is made now (FR-003): another creator's newest bundle that can no longer lose its place
 * (`traps.md`: a virtuous vertex on a rogue parent dies with it), so its confidence is above 0.95 and not only 0.8;
 * recent, active rather than settled, and with few children, so that parents are spread evenly. Genesis where there is none.
 * It cannot close a cycle: it was there before the bundle.
 */
export function secondParent(p: Participant, nowMs: number): Hash {
  const candidates: BundleNode[] = [];
  for (const creator of p.set.indices()) {
    if (creator === p.self) continue;
    const newest = newestOf(p, creator, nowMs);
    if (newest !== null) candidates.push(newest);
  }
  candidates.sort(
    (left, right) =>
      Number(left.isSettled) - Number(right.isSettled) ||
      left.children.length - right.children.length ||
      left.creator - right.creator,
  );
  const best = candidates.slice(0, CANDIDATES);
  const drawn = best.length === 0 ? undefined : best[p.random.below(best.length)];
  return drawn?.tip ?? p.network.genesis;
}

function newestOf(p: Participant, creator: BundleNode["creator"], nowMs: number): BundleNode | null {
  const tip = p.graph.decided[creator]?.tip;
  let node = tip === undefined ? undefined : p.graph.nodeAt(tip);
  for (const open of p.graph.openOf(creator)) if (open.isCertified && open.isStrong) node = open;
  return node !== undefined && nowMs - node.sinceMs <= PARENT_AGE_MAX_MS ? node : null;
}
