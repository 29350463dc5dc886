import { assert, present } from "../../lib/assert.ts";
import type { Sequence, View } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import { learnCheckpoint } from "./checkpoints.ts";
import { writeNewView, writeOwnNewView, writeOwnViewChange, writeView } from "./durable.ts";
import type { NewView, PreparedCertificate, ViewChange } from "./messages.ts";
import { planNewView } from "./new-view.ts";
import { type Instant, maybePropose, sayPrePrepare } from "./normal-case.ts";
import type { Replica } from "./replica.ts";
import { withSharedSeals } from "./shared-seals.ts";
import { statementOf } from "./statements.ts";

/**
 * View changes, Castro & Liskov 1999, §4.4, and the liveness rules of §4.5.2.
 *
 * Invariant: from the moment a replica asks for a view it says nothing in lower ones, and its view-change message carries
 * a prepared certificate for every place above its stable checkpoint for which it ever said "commit".
 */

/** Leaves the present view and asks for `target`. */
export function startViewChange(replica: Replica, target: View): void {
  assert(target > replica.view, "views only grow");
  replica.view = target;
  replica.active = false;
  replica.assigned = new Map();
  for (const slot of replica.slots.values()) slot.onNewView();
  replica.timeout.onFailure();
  replica.cancelTimer("new-view");
  const message: ViewChange = {
    kind: "view-change",
    view: target,
    stable: replica.stable,
    prepared: preparedCertificates(replica),
  };
  replica.ownViewChange = message;
  const writes = [writeView({ view: target, active: false }), writeOwnViewChange(message)];
  replica.emit({ kind: "persist", writes });
  replica.say(message);
  replica.trace("view-change", replica.executed);
}

export function onViewChange(replica: Replica, signed: Signed<ViewChange>, at: Instant): void {
  const { signer } = signed.proof.seal;
  replica.learnStatement(statementOf(signed.message), signed.proof);
  const known = replica.viewChanges.get(signer);
  if (known !== undefined && known.message.view >= signed.message.view) return;
  replica.viewChanges.set(signer, signed);
  const pulled = viewOfHonestMinority(replica);
  if (pulled !== null && pulled > replica.view) startViewChange(replica, pulled);
  if (replica.active && signed.message.view > replica.view && !replica.wishes.has(signer))
    replica.wishes.set(signer, at.nowMs);
  maybeNewView(replica, at);
}

/** The leader-to-be: with a quorum of view changes it makes the new view. The others: they give it its time. */
export function maybeNewView(replica: Replica, at: Instant): void {
  if (replica.active) return;
  const leaving = [...replica.viewChanges.values()].filter(({ message }) => message.view >= replica.view);
  if (leaving.length < replica.set.quorum) return;
  // §4.5.2: the timer for the new leader starts when a quorum wants the view, not before. Who wants a higher one counts:
  // only its newest request is kept and sent again, so replicas one view apart would wait for each other for ever.
  if (!replica.timers.has("new-view")) replica.setTimer("new-view", at.nowMs + replica.timeout.currentMs());
  const matching = leaving
    .filter(({ message }) => message.view === replica.view)
    .sort((left, right) => left.proof.seal.signer - right.proof.seal.signer);
  if (matching.length < replica.set.quorum) return;
  if (!replica.leads || replica.ownNewView?.view === replica.view) return;
  const message: NewView = {
    kind: "new-view",
    view: replica.view,
    viewChanges: withSharedSeals(matching.slice(0, replica.set.quorum)),
  };
  replica.ownNewView = message;
  // A leader that comes back must not send another new-view message for this view.
  replica.emit({ kind: "persist", writes: [writeOwnNewView(message)] });
  replica.say(message);
}

/** Enters the view; what V obliges to is computed here by every replica, never taken from the leader. */
export function onNewView(replica: Replica, signed: Signed<NewView>, at: Instant): void {
  const { message } = signed;
  replica.learnStatement(statementOf(message), signed.proof);
  for (const { message: viewChange, proof } of message.viewChanges) {
    replica.learnStatement(statementOf(viewChange), proof);
  }
  // A second one for a view that is entered already is of use only against its leader.
  if (message.view < replica.view || (message.view === replica.view && replica.active)) return;
  const plan = planNewView(message.viewChanges, replica.base);
  for (const [sequence, digest] of plan.assigned) {
    const committed = replica.slots.get(sequence)?.committed;
    assert(
      committed === undefined || committed === null || committed.view >= message.view || committed.digest === digest,
      `sequence ${sequence} is committed here with another digest than view ${message.view} assigns: more than f validators lie`,
    );
  }
  replica.view = message.view;
  replica.active = true;
  replica.newView = signed;
  replica.ownViewChange = null;
  replica.assigned = plan.assigned;
  replica.strayShown.clear();
  replica.floor = plan.stable?.sequence ?? replica.base;
  for (const slot of replica.slots.values()) slot.onNewView();
  if (plan.stable !== null) learnCheckpoint(replica, plan.stable);
  replica.emit({ kind: "persist", writes: [writeView({ view: message.view, active: true }), writeNewView(signed)] });
  replica.cancelTimer("new-view");
  replica.patientSinceMs = at.nowMs;
  for (const [signer, { message: wish }] of replica.viewChanges)
    if (wish.view > replica.view) replica.wishes.set(signer, at.nowMs);
  replica.trace("new-view", plan.last);
  replica.nextSequence = (Math.max(plan.last, replica.finalizing) + 1) as Sequence;
  if (replica.leads) {
    for (const [sequence, digest] of plan.assigned) sayPrePrepare(replica, sequence, digest);
    maybePropose(replica, at);
  }
}

/** P: the certificates of every place above the stable checkpoint, ascending. */
function preparedCertificates(replica: Replica): readonly PreparedCertificate[] {
  return replica
    .sortedSlots()
    .filter((slot) => slot.sequence > replica.low && slot.prepared !== null)
    .map((slot) => present(slot.prepared, "a prepared certificate"));
}

/**
 * The highest view that f + 1 others ask for, so that at least one honest replica does (§4.5.2; correction 18: the highest,
 * not the next). Null when fewer ask.
 */
function viewOfHonestMinority(replica: Replica): View | null {
  const views = [...replica.viewChanges]
    .filter(([signer]) => signer !== replica.self)
    .map(([, { message }]) => message.view)
    .sort((left, right) => right - left);
  return views[replica.set.faultTolerance] ?? null;
}
