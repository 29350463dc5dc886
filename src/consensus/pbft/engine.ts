import { decode, encode } from "../../codec/codec.ts";
import type { Batch } from "../../dag/batch.ts";
import type { Lanes } from "../../dag/lanes.ts";
import { unreachable } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { Effect, Engine, EngineEvent, EngineStatus, EngineWire, TimerName, Verdict, Verified } from "../engine.ts";
import {
  armResend,
  continueSync,
  isBehind,
  isIdle,
  onPeerStatus,
  onResendTimer,
  onSynced,
  onSyncFailed,
} from "./catch-up.ts";
import { onCheckpoint, onExecuted } from "./checkpoints.ts";
import { messageCodec } from "./codec.ts";
import { maybeJoin } from "./joining.ts";
import type { RestoredState } from "./durable.ts";
import { EARLY_MESSAGES_MAX, type Windows, WINDOWS } from "./limits.ts";
import type { PbftMessage } from "./messages.ts";
import { planNewView } from "./new-view.ts";
import {
  advanceAll,
  type Instant,
  maybePropose,
  onCommit,
  onFormerProposal,
  onPrepare,
  onPrePrepare,
  sayPrePrepare,
} from "./normal-case.ts";
import { Replica } from "./replica.ts";
import { screen } from "./screen.ts";
import { innerObligations, statementOf } from "./statements.ts";
import { AdaptiveTimeout, type TimeoutLimits } from "../adaptive-timeout.ts";
import { onNewView, onViewChange, startViewChange } from "./view-changing.ts";

export interface PbftOptions {
  readonly network: NetworkContext;
  /** This node's place in the set; null for an observer. */
  readonly self: ValidatorIndex | null;
  readonly lanes: Lanes;
  readonly timeouts: TimeoutLimits;
  /** The same on all replicas of a network. Default: `WINDOWS`. */
  readonly windows?: Windows;
  /** The last sequence of the epoch before; 0, the default, in the first. */
  readonly base?: Sequence;
  /** The last executed sequence of the ledger. */
  readonly executed: Sequence;
  readonly restored: RestoredState;
}

/**
 * Practical Byzantine Fault Tolerance (Castro & Liskov, OSDI 1999; ACM TOCS 2002), with batches, pipelining under
 * watermarks, and status messages for catching up.
 *
 * Safety invariant: no two correct replicas execute different batches at one sequence, while at most f of n lie.
 */
export class PbftEngine implements Engine<PbftMessage> {
  readonly name = "pbft";
  /** Everything is ordered here. */
  readonly dag = null;
  readonly wire: EngineWire<PbftMessage>;
  readonly #replica: Replica;

  constructor(options: PbftOptions) {
    const timeout = new AdaptiveTimeout(options.timeouts);
    const windows = options.windows ?? WINDOWS;
    const base = options.base ?? (0 as Sequence);
    this.#replica = new Replica({ ...options, timeout, windows, base });
    restoreInto(this.#replica, options.restored);
    this.wire = {
      encode: (message) => encode(messageCodec, message),
      decode: (bytes) => decode(messageCodec, bytes),
      statementOf,
      obligationsOf: (message) => innerObligations(options.network, message, { ...windows, base }),
    };
  }

  step(event: EngineEvent<PbftMessage>): readonly Effect<PbftMessage>[] {
    this.#dispatch(event);
    if (this.#replica.wishes.size > 0) maybeJoin(this.#replica, event.nowMs);
    this.#updateTimers(event.nowMs);
    return this.#replica.takeEffects();
  }

  screen(from: ValidatorIndex, message: PbftMessage): Verdict {
    return screen(this.#replica, from, message);
  }

  status(): EngineStatus {
    const replica = this.#replica;
    const newest = replica.slots.get(replica.executed);
    return {
      view: replica.view,
      active: replica.active,
      leader: replica.leader,
      executed: replica.executed,
      stable: replica.low,
      participation: (newest?.commits.size ?? replica.committers) / replica.set.size,
      timeoutMs: replica.timeout.currentMs(),
    };
  }

  batchOf(digest: Hash): Batch | undefined {
    return this.#replica.batches.get(digest);
  }

  #dispatch(event: EngineEvent<PbftMessage>): void {
    const replica = this.#replica;
    switch (event.kind) {
      case "start":
        return start(replica, event.nowMs);
      case "message":
        return this.#onMessage(event.signed, event);
      case "bundles":
        for (const ref of event.refs) {
          if (!replica.lanes.add(ref, event.nowMs) && isNamed(replica, ref.digest))
            replica.lanes.add(ref, event.nowMs, true);
        }
        return advanceAll(replica, event);
      case "batches":
        for (const batch of event.batches) replica.learnBatch(batch);
        return advanceAll(replica, event);
      case "timer":
        return this.#onTimer(event.name, event);
      case "executed":
        onExecuted(replica, event);
        maybePropose(replica, event);
        return continueSync(replica);
      case "peer-status":
        return onPeerStatus(replica, event.from, event.status);
      case "peer-connected":
        return replica.emit({ kind: "status", to: event.peer, status: replica.status() });
      case "synced":
        return onSynced(replica, event.from, event.slots, event.checkpoint);
      case "sync-failed":
        return onSyncFailed(replica, event.from);
      case "dag-bundles":
      case "dag-claims":
      case "dag-sync-failed":
      case "resolutions":
        return;
      default:
        return unreachable(event);
    }
  }

  #onMessage(signed: Verified<Signed<PbftMessage>>, at: Instant): void {
    const replica = this.#replica;
    // Verification takes time: what was expected before it may be stale now.
    if (screen(replica, signed.proof.seal.signer, signed.message).kind !== "accept") return;
    const { message, proof } = signed;
    switch (message.kind) {
      case "pre-prepare":
        if (message.view < replica.view) return onFormerProposal(replica, { message, proof });
        return this.#isPresent(signed, message.view) ? onPrePrepare(replica, { message, proof }, at) : undefined;
      case "prepare":
        return this.#isPresent(signed, message.view) ? onPrepare(replica, { message, proof }, at) : undefined;
      case "commit":
        return onCommit(replica, { message, proof }, at);
      case "checkpoint":
        return onCheckpoint(replica, { message, proof });
      case "view-change":
        return onViewChange(replica, { message, proof }, at);
      case "new-view":
        onNewView(replica, { message, proof }, at);
        return this.#replayEarly(at);
      default:
        return unreachable(message);
    }
  }

  /** Whether a message is of the active view; one of a view to come is kept for it. */
  #isPresent(signed: Verified<Signed<PbftMessage>>, view: View): boolean {
    const replica = this.#replica;
    if (view === replica.view && replica.active) return true;
    const { signer } = signed.proof.seal;
    const kept = replica.early.get(signer) ?? [];
    if (kept.length < EARLY_MESSAGES_MAX) kept.push(signed);
    replica.early.set(signer, kept);
    return false;
  }

  #replayEarly(at: Instant): void {
    const kept = [...this.#replica.early].sort(([left], [right]) => left - right).flatMap(([, messages]) => messages);
    this.#replica.early.clear();
    for (const signed of kept) this.#onMessage(signed, at);
  }

  #onTimer(name: TimerName, at: Instant): void {
    const replica = this.#replica;
    // A timer that was set anew or cancelled since may still fire: its time tells.
    const due = replica.timers.get(name);
    if (due === undefined || due > at.nowMs) return;
    replica.timers.delete(name);
    switch (name) {
      case "progress":
        if (!replica.active || this.#progressDueMs() === null) return;
        if (isBehind(replica) || this.#wasAsleep(due, at.nowMs)) {
          replica.patientSinceMs = at.nowMs;
          return;
        }
        return startViewChange(replica, (replica.view + 1) as View);
      case "new-view":
        return replica.active ? undefined : startViewChange(replica, (replica.view + 1) as View);
      case "resend":
        return onResendTimer(replica, at);
      case "poll":
      case "patience":
        return;
      default:
        return unreachable(name);
    }
  }

  /**
   * Whether this process stood still when the leader's time ran out (a suspended machine, SIGSTOP): then it says nothing of the leader.
   * Once in a row: where timers are always late because there is too much to do, leaders must still be replaced.
   */
  #wasAsleep(dueMs: number, nowMs: number): boolean {
    const replica = this.#replica;
    const isLate = nowMs - dueMs >= replica.timeout.currentMs() / 2;
    const isExcused = isLate && !replica.overslept;
    replica.overslept = isExcused;
    return isExcused;
  }

  /** When the leader's time is up: the longest wait of a lane, or of an unfinished place, plus the time-out. */
  #progressDueMs(): number | null {
    const replica = this.#replica;
    if (!replica.active || replica.self === null) return null;
    const waits = [replica.lanes.waitingSinceMs(), this.#unfinishedSinceMs()].filter((since) => since !== null);
    if (waits.length === 0) return null;
    return Math.max(Math.min(...waits), replica.patientSinceMs) + replica.timeout.currentMs();
  }

  #unfinishedSinceMs(): number | null {
    const { slots, finalizing } = this.#replica;
    let oldest: number | null = null;
    for (const { sequence, accepted, committed } of slots.values()) {
      // What is committed and not executed waits for content: not the leader's doing.
      if (sequence <= finalizing || accepted === null || committed !== null) continue;
      if (oldest === null || accepted.atMs < oldest) oldest = accepted.atMs;
    }
    return oldest;
  }

  #updateTimers(nowMs: number): void {
    const replica = this.#replica;
    if (!replica.started) return;
    const due = this.#progressDueMs();
    if (due === null) replica.cancelTimer("progress");
    else replica.setTimer("progress", due);
    if (due !== null || !isIdle(replica)) armResend(replica, nowMs);
  }
}

/** What this replica said before it went down it says again; what it learned it has. */
function restoreInto(replica: Replica, restored: RestoredState): void {
  replica.view = restored.view.view;
  replica.active = restored.view.active;
  replica.stable = restored.stable;
  replica.newView = restored.newView;
  replica.ownNewView = restored.ownNewView;
  replica.ownViewChange = restored.view.active ? null : restored.ownViewChange;
  const { newView } = restored;
  if (newView !== null && newView.message.view === replica.view) {
    const plan = planNewView(newView.message.viewChanges, replica.base);
    replica.assigned = plan.assigned;
    replica.floor = plan.stable?.sequence ?? replica.base;
    replica.nextSequence = Math.max(replica.nextSequence, plan.last + 1) as Sequence;
  }
  for (const [sequence, record] of restored.accepted) {
    if (sequence <= replica.low) continue;
    if (record.batch !== null) replica.learnBatch(record.batch);
    if (record.view !== replica.view || !replica.active) continue;
    const { view, digest, proof } = record;
    replica.slot(sequence).accepted = { view, digest, proof, atMs: 0, accused: false };
    replica.nextSequence = Math.max(replica.nextSequence, sequence + 1) as Sequence;
  }
  for (const [sequence, { certificate, batch }] of restored.prepared) {
    if (sequence <= replica.low) continue;
    if (batch !== null) replica.learnBatch(batch);
    replica.slot(sequence).prepared = certificate;
  }
  for (const [sequence, stateDigest] of restored.ownStates) {
    if (sequence > replica.low && sequence <= replica.executed) replica.ownStates.set(sequence, stateDigest);
  }
}

/** Whether an open place's content names this bundle. */
function isNamed(replica: Replica, digest: Hash): boolean {
  for (const batch of replica.batches.values()) if (batch.bundles.includes(digest)) return true;
  return false;
}

function start(replica: Replica, nowMs: number): void {
  replica.started = true;
  replica.patientSinceMs = nowMs;
  if (!replica.active) {
    if (replica.ownViewChange !== null) replica.say(replica.ownViewChange);
    if (replica.ownNewView?.view === replica.view) replica.say(replica.ownNewView);
  }
  for (const slot of replica.sortedSlots()) {
    if (slot.accepted !== null) slot.accepted = { ...slot.accepted, atMs: nowMs };
    sayAgain(replica, slot.sequence);
  }
  if (replica.leads && replica.active) {
    // The crash may have come between the view's row and those of its proposals.
    for (const [sequence, digest] of replica.assigned) {
      if (sequence > replica.low && replica.slot(sequence).accepted === null) sayPrePrepare(replica, sequence, digest);
    }
  }
  for (const [sequence, stateDigest] of replica.ownStates) replica.say({ kind: "checkpoint", sequence, stateDigest });
  replica.emit({ kind: "status", to: "all", status: replica.status() });
}

function sayAgain(replica: Replica, sequence: Sequence): void {
  const { accepted, prepared } = replica.slot(sequence);
  if (accepted === null) return;
  const { view, digest } = accepted;
  if (replica.leads) sayPrePrepare(replica, sequence, digest);
  if (prepared !== null && prepared.view === view && prepared.digest === digest) {
    replica.slot(sequence).commitSaid = true;
    replica.say({ kind: "commit", view, sequence, digest });
  }
}
