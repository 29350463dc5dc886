import type { VoteEntry } from "../../dag/votes.ts";
import type { BundleNode } from "./bundle-node.ts";
import { RESAY_MS, TICK_MS } from "./limits.ts";
import type { Participant } from "./participant.ts";
import { joinLater, reportOpen } from "./resolving.ts";
import { sync } from "./syncing.ts";
import { entriesOf, maybeAccept, messagesOf } from "./voting.ts";

/** What waits is looked at ten times a second: missing bundles, votes without an end, patience, reports, peers to be asked. */

/** Missing parents that are asked for in one tick. */
const FETCHES_PER_TICK = 64;

/** Bundles whose votes are said again in one tick. */
export const RESAID_PER_TICK = 256;

export function onTick(p: Participant): void {
  fetchMissing(p);
  sync(p);
  if (p.self === null) return;
  // Also in a partition: what was voted before may be all that this node waits for, or others do.
  sayAgain(p);
  sayOwed(p);
  if (p.health.isPartitioned) return;
  losePatience(p);
  joinLater(p);
  reportOpen(p);
}

/** Sees to it that the next tick comes while anything waits. */
export function maybeTick(p: Participant): void {
  if (isWaiting(p)) p.setTimer("patience", Math.floor(p.nowMs / TICK_MS + 1) * TICK_MS);
  else p.cancelTimer("patience");
}

function isWaiting(p: Participant): boolean {
  const { graph, missing } = p;
  if (p.self === null || !p.mayVote || p.wantsSync.size > 0 || p.reportedElsewhere.size > 0 || p.owed.size > 0)
    return true;
  return graph.creators().length > 0 || graph.orphans.size > 0 || missing.size > 0;
}

function fetchMissing(p: Participant): void {
  for (const { tip, creators } of p.graph.orphans.due(p.nowMs, FETCHES_PER_TICK)) {
    const others = creators.filter((creator) => creator !== p.self);
    p.emit({ kind: "fetch-vertices", tips: [tip], from: others });
  }
  for (const [from, digests] of p.missing.due(p.nowMs)) p.emit({ kind: "fetch-bundles", digests, from: [from] });
}

/** What sampling has not decided in time gets this node's vote for what it prefers at the moment (correction 17b). */
function losePatience(p: Participant): void {
  const { patienceMs, maxRounds } = p.params;
  for (const node of [...p.graph.open()]) {
    if (node.isVoted) continue;
    if (p.nowMs - node.sinceMs >= patienceMs || node.snow.polls >= maxRounds) maybeAccept(p, node, "preferred");
  }
}

/** A vote that ended nothing for so long may have been lost with a connection; who has decided answers with its own. */
function sayAgain(p: Participant): void {
  const entries: VoteEntry[] = [];
  let bundles = 0;
  for (const node of p.graph.open()) {
    if (bundles >= RESAID_PER_TICK) break;
    if (!isStale(p, node)) continue;
    bundles += 1;
    entries.push(...entriesOf(p, node, "all"));
  }
  for (const message of messagesOf(entries)) p.emit({ kind: "broadcast", message });
}

/** Who repeats its votes about what is settled here missed the others': it gets this node's once more. */
function sayOwed(p: Participant): void {
  for (const [to, nodes] of [...p.owed].sort(([left], [right]) => left - right)) {
    const entries = [...nodes].slice(0, RESAID_PER_TICK).flatMap((node) => finalVotes(p, node));
    for (const message of messagesOf(entries)) p.emit({ kind: "send", to, message });
  }
  p.owed.clear();
}

/**
 * What is final this node may accept and commit to at any time, also where it learned of it from others or in an earlier
 * epoch: nothing that conflicts with it can be. Whoever is behind may need both to come so far. They are no votes of its own
 * (`ownCommit`): those it can prove, and a report for what is final must not wait for a proof.
 */
function finalVotes(p: Participant, node: BundleNode): readonly VoteEntry[] {
  if (node.place !== "accepted") return entriesOf(p, node, "all");
  const except = [...node.rejected].sort((left, right) => left - right);
  return (["accept", "commit"] as const).map((level) => ({ level, bundle: node.digest, except }));
}

function isStale(p: Participant, { ownAccept, ownCommit }: BundleNode): boolean {
  const saidAtMs = Math.max(ownAccept?.saidAtMs ?? -1, ownCommit?.saidAtMs ?? -1);
  return saidAtMs >= 0 && p.nowMs - saidAtMs >= RESAY_MS;
}
