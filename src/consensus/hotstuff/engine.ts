import { decode, encode } from "../../codec/codec.ts";
import type { Batch } from "../../dag/batch.ts";
import type { Lanes } from "../../dag/lanes.ts";
import { unreachable } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { CHECKPOINT_INTERVAL } from "../checkpoint.ts";
import type { Effect, Engine, EngineEvent, EngineStatus, EngineWire, TimerName, Verdict, Verified } from "../engine.ts";
import {
  armResend,
  continueSync,
  isBehind,
  isIdle,
  onAsk,
  onCertificates,
  onPeerStatus,
  onResendTimer,
  onSynced,
  onSyncFailed,
} from "./catch-up.ts";
import { joinAll, learnProposal, learnQc, maybeFinalize } from "./chain.ts";
import { onCheckpoint, onExecuted } from "./checkpoints.ts";
import { messageCodec } from "./codec.ts";
import type { RestoredState } from "./durable.ts";
import { VIEWS_AHEAD_MAX } from "./limits.ts";
import { type LeaderChoice, type Leaders, leadersOf } from "./leaders.ts";
import type { HotStuffMessage, Proposal } from "./messages.ts";
import { collectTimeouts, giveUp, learnTc, onTimeout } from "./pacemaker.ts";
import { hasWork, maybePropose } from "./proposing.ts";
import { type Instant, refOf, Replica, type Said, type VoteRoute } from "./replica.ts";
import { type Phases, type Rules, rulesOf } from "./rules.ts";
import { screen } from "./screen.ts";
import { blockHash, innerObligations, statementOf } from "./statements.ts";
import { AdaptiveTimeout, type TimeoutLimits } from "../adaptive-timeout.ts";
import { accuse, collectedQcs, onCommit, onVote, tryVote } from "./votes.ts";

export interface HotStuffOptions {
  readonly network: NetworkContext;
  /** This node's place in the set; null for an observer. */
  readonly self: ValidatorIndex | null;
  readonly lanes: Lanes;
  readonly timeouts: TimeoutLimits;
  /** Three as in HotStuff, or two as in Jolteon; the same on all replicas of a network. Default: 3. */
  readonly phases?: Phases;
  /** Default: "leader". With "all" a certificate's votes are not sent again, and a crashed leader loses none. */
  readonly voteRoute?: VoteRoute;
  /** The same on all replicas of a network. Default: "round-robin". */
  readonly leaders?: LeaderChoice;
  /** For planted faults. Default: as `leaders` says. */
  readonly leaderRules?: Leaders;
  /** The same on all replicas of a network. Default: `CHECKPOINT_INTERVAL`. */
  readonly checkpointInterval?: number;
  /** For planted faults. Default: those of `phases`. */
  readonly rules?: Rules;
  /** The last sequence of the epoch before; 0, the default, in the first. */
  readonly base?: Sequence;
  /** The last executed sequence of the ledger. */
  readonly executed: Sequence;
  readonly restored: RestoredState;
}

/**
 * Chained HotStuff (Yin, Malkhi, Reiter, Golan Gueta, Abraham, PODC 2019, §5), with Jolteon's pacemaker and, as an option,
 * its two-phase commit (Gelashvili et al. 2021).
 *
 * A vote that completes a chain carries, under the same signature, commits for all places of the log which that chain
 * commits. So a place's certificate is of the same kind as PBFT's: a quorum's commits for a view, sequence and digest.
 *
 * Safety invariant: no two correct replicas execute different batches at one sequence, while at most f of n lie.
 */
export class HotStuffEngine implements Engine<HotStuffMessage> {
  readonly name = "hotstuff";
  /** Everything is ordered here. */
  readonly dag = null;
  readonly wire: EngineWire<HotStuffMessage>;
  readonly #replica: Replica;

  constructor(options: HotStuffOptions) {
    const rules = options.rules ?? rulesOf(options.phases ?? 3);
    const { network } = options;
    this.#replica = new Replica({
      network,
      self: options.self,
      lanes: options.lanes,
      timeout: new AdaptiveTimeout(options.timeouts),
      rules,
      voteRoute: options.voteRoute ?? "leader",
      leaders: options.leaderRules ?? leadersOf(options.leaders ?? "round-robin"),
      checkpointInterval: options.checkpointInterval ?? CHECKPOINT_INTERVAL,
      executed: options.executed,
      base: options.base ?? (0 as Sequence),
    });
    restoreInto(this.#replica, options.restored);
    const { genesis, quorum } = this.#replica;
    this.wire = {
      encode: (message) => encode(messageCodec, message),
      decode: (bytes) => decode(messageCodec, bytes),
      statementOf,
      obligationsOf: (message) => innerObligations(network, { genesis: refOf(genesis), quorum }, message),
    };
  }

  step(event: EngineEvent<HotStuffMessage>): readonly Effect<HotStuffMessage>[] {
    this.#dispatch(event);
    const { nowMs } = event;
    if ("wallMs" in event) this.#advance({ nowMs, wallMs: event.wallMs });
    this.#updateTimers(nowMs);
    return this.#replica.takeEffects();
  }

  screen(from: ValidatorIndex, message: HotStuffMessage): Verdict {
    return screen(this.#replica, from, message);
  }

  status(): EngineStatus {
    const replica = this.#replica;
    return {
      view: replica.view,
      active: replica.active,
      leader: replica.leader,
      executed: replica.executed,
      stable: replica.low,
      participation: replica.committers / replica.set.size,
      timeoutMs: replica.timeout.currentMs(),
    };
  }

  batchOf(digest: Hash): Batch | undefined {
    return this.#replica.batchOf(digest);
  }

  #dispatch(event: EngineEvent<HotStuffMessage>): void {
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
        return maybeFinalize(replica);
      case "batches":
        return;
      case "timer":
        return this.#onTimer(event.name, event);
      case "executed":
        onExecuted(replica, event);
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

  #onMessage(signed: Verified<Signed<HotStuffMessage>>, at: Instant): void {
    const replica = this.#replica;
    const { message, proof } = signed;
    const { signer } = proof.seal;
    // Verification takes time: what was expected before it may be stale now.
    if (screen(replica, signer, message).kind !== "accept") return;
    switch (message.kind) {
      case "proposal":
        return onProposal(replica, { message, proof }, at);
      case "vote":
        return onVote(replica, { message, proof });
      case "commit":
        return onCommit(replica, { message, proof });
      case "timeout":
        return onTimeout(replica, { message, proof }, at);
      case "checkpoint":
        return onCheckpoint(replica, { message, proof });
      case "ask":
        return onAsk(replica, signer, message, at);
      case "certificates":
        return onCertificates(replica, signer, message, at);
      default:
        return unreachable(message);
    }
  }

  /** Goes as far as what is known allows. */
  #advance(at: Instant): void {
    const replica = this.#replica;
    if (!replica.started) return;
    for (const qc of collectedQcs(replica)) learnQc(replica, qc, replica.leader, at);
    collectTimeouts(replica, at);
    tryVote(replica, at);
    maybePropose(replica, at);
  }

  #onTimer(name: TimerName, at: Instant): void {
    const replica = this.#replica;
    // A timer that was set anew or cancelled since may still fire: its time tells.
    const due = replica.timers.get(name);
    if (due === undefined || due > at.nowMs) return;
    replica.timers.delete(name);
    if (name === "resend") return onResendTimer(replica, at);
    if (name !== "progress" || !hasWork(replica)) return;
    if (isBehind(replica)) replica.sinceMs = at.nowMs;
    else giveUp(replica, replica.view, at);
  }

  #updateTimers(nowMs: number): void {
    const replica = this.#replica;
    if (!replica.started) return;
    const works = replica.self !== null && hasWork(replica);
    if (works && !replica.hadWork) replica.sinceMs = nowMs;
    replica.hadWork = works;
    if (works) replica.setTimer("progress", replica.sinceMs + replica.timeout.currentMs());
    else replica.cancelTimer("progress");
    if (!isIdle(replica)) armResend(replica, nowMs);
  }
}

function onProposal(replica: Replica, signed: Signed<Proposal>, at: Instant): void {
  const { message, proof } = signed;
  const { view } = message.block;
  const digest = blockHash(message.block);
  const ofView = replica.proposed.get(view) ?? new Map<ValidatorIndex, Said>();
  const first = ofView.get(proof.seal.signer);
  const isNear = view <= replica.view + VIEWS_AHEAD_MAX && view > replica.committed.block.view;
  if (first === undefined && isNear) replica.proposed.set(view, ofView.set(proof.seal.signer, { digest, proof }));
  else if (first !== undefined && first.digest !== digest) accuse(replica, message, first, proof);
  if (message.qc !== null) learnQc(replica, message.qc, proof.seal.signer, at);
  if (message.tc !== null) learnTc(replica, message.tc, at);
  learnProposal(replica, signed, at);
}

/** Blocks that this replica held join again; what they commit is known again. */
function restoreInto(replica: Replica, { votes, high, tc, proposals, stable, ownStates }: RestoredState): void {
  const at = { nowMs: 0, wallMs: 0 };
  replica.lastView = votes.lastView;
  replica.proposedView = votes.proposedView;
  replica.vote = votes.vote;
  if (votes.lock !== null) replica.lock = votes.lock;
  replica.stable = stable;
  for (const signed of proposals) {
    const { block, batch, qc } = signed.message;
    const hash = blockHash(block);
    replica.tree.add({ hash, block, batch, proposal: signed, justifyQc: qc, qc: null, settled: null });
  }
  joinAll(replica, at);
  if (high !== null) learnQc(replica, high, replica.leader, at);
  if (tc !== null) learnTc(replica, tc, at);
  if (replica.view < votes.lastView) replica.view = votes.lastView;
  for (const [sequence, stateDigest] of ownStates) {
    if (sequence > replica.low && sequence <= replica.executed) replica.ownStates.set(sequence, stateDigest);
  }
  replica.asked.clear();
  replica.takeEffects();
}

function start(replica: Replica, nowMs: number): void {
  replica.started = true;
  replica.sinceMs = nowMs;
  for (const [sequence, stateDigest] of replica.ownStates) replica.say({ kind: "checkpoint", sequence, stateDigest });
  replica.emit({ kind: "status", to: "all", status: replica.status() });
  maybeFinalize(replica);
}

/** Whether an open block's content names this bundle. */
function isNamed(replica: Replica, digest: Hash): boolean {
  for (const { batch } of replica.tree.sorted()) if (batch.bundles.includes(digest)) return true;
  for (const { batch } of replica.decided.values()) if (batch.bundles.includes(digest)) return true;
  return false;
}
