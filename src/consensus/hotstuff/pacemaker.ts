import type { View } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import { writeHigh } from "./durable.ts";
import type { QcRef, Tc, Timeout } from "./messages.ts";
import { type Instant, refOf, type Replica } from "./replica.ts";
import { sayVote } from "./votes.ts";

/**
 * View synchronisation, Jolteon (Gelashvili et al. 2021), §3: a view begins with the certificate, or the time-out
 * certificate, of the one before; f + 1 time-outs of a higher view pull a replica along.
 *
 * Invariant: from the moment a replica gives a view up it votes in it no more; that is durable before it says so.
 */

export function enterView(replica: Replica, view: View, at: Instant): void {
  if (view <= replica.view) return;
  if (replica.hadWork && replica.active) replica.timeout.onMeasured(at.nowMs - replica.sinceMs);
  replica.view = view;
  replica.sinceMs = at.nowMs;
  const { oldestOpenView } = replica;
  for (const [signer, { message }] of replica.timeouts)
    if (message.view < oldestOpenView) replica.timeouts.delete(signer);
}

/** Gives the view up and says so, or says so again. The vote of this view goes along: its collector may be down. */
export function giveUp(replica: Replica, view: View, at: Instant): void {
  enterView(replica, view, at);
  replica.sinceMs = at.nowMs;
  replica.timeoutSaid = view;
  if (replica.lastView < view) replica.lastView = view;
  const { qc } = replica.high;
  replica.persistVotes(qc === null ? [] : [writeHigh(qc)]);
  // First the vote: with a quorum's votes the view has its certificate, and the leader after it builds on that.
  sayVote(replica, "all", view);
  replica.say({ kind: "timeout", view, high: refOf(replica.high) });
  replica.trace("view-change", replica.executed);
}

export function onTimeout(replica: Replica, signed: Signed<Timeout>, at: Instant): void {
  const { signer } = signed.proof.seal;
  const { view, high } = signed.message;
  const known = replica.timeouts.get(signer)?.message;
  if (known !== undefined && (known.view > view || (known.view === view && known.high.view > high.view))) return;
  replica.timeouts.set(signer, signed);
  if (!isKnown(replica, high)) replica.ask(signer, high.block);
  const pulled = viewOfHonestMinority(replica);
  if (pulled !== null && pulled >= replica.view && replica.timeoutSaid < pulled) giveUp(replica, pulled, at);
  collectTimeouts(replica, at);
}

/** A quorum gave the view up. Who names a certificate that nobody can show is not counted: its leader could not build on it. */
export function collectTimeouts(replica: Replica, at: Instant): void {
  const said = [...replica.timeouts.values()]
    .filter(({ message: { view, high } }) => {
      return view >= replica.oldestOpenView && view !== replica.tc?.view && isKnown(replica, high);
    })
    .sort((left, right) => left.proof.seal.signer - right.proof.seal.signer);
  for (const view of new Set(said.map(({ message }) => message.view))) {
    const matching = said.filter(({ message }) => message.view === view).slice(0, replica.quorum);
    if (matching.length < replica.quorum) continue;
    learnTc(replica, { view, timeouts: matching.map(({ message: { high }, proof }) => ({ high, proof })) }, at);
    return;
  }
}

export function learnTc(replica: Replica, tc: Tc, at: Instant): void {
  if (tc.view < replica.oldestOpenView || tc.view === replica.tc?.view) return;
  replica.tc = tc;
  replica.timeout.onFailure();
  if (tc.view < replica.view) return;
  enterView(replica, (tc.view + 1) as View, at);
  replica.trace("new-view", replica.executed);
}

/** Whether this replica can show the certificate, or is past it. */
export function isKnown(replica: Replica, { view, block }: QcRef): boolean {
  if (view <= replica.committed.block.view) return true;
  const node = replica.tree.get(block);
  return node !== undefined && node.qc !== null && node.block.view === view;
}

/** The highest view that f + 1 others gave up, so that an honest one did. */
function viewOfHonestMinority(replica: Replica): View | null {
  const views = [...replica.timeouts]
    .filter(([signer]) => signer !== replica.self)
    .map(([, { message }]) => message.view)
    .sort((left, right) => right - left);
  return views[replica.set.faultTolerance] ?? null;
}
