import { unreachable } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { DagClaim, DagEvent, DagRestored, DagStatus, DagView } from "../dag-engine.ts";
import type { Effect, TimerName, Verdict } from "../engine.ts";
import { certificatesOf, onBundles, restore } from "./arriving.ts";
import type { BundleNode } from "./bundle-node.ts";
import { encodePassed, type RestoredRows, restoreRows, WITNESS_ROW } from "./durable.ts";
import type { AvalancheMessage } from "./messages.ts";
import { secondParent } from "./parents.ts";
import { Participant, type ParticipantOptions } from "./participant.ts";
import { maybePoll, onAnswer, onPollTimer, onQuery } from "./polling.ts";
import { rememberOwn } from "./remembering.ts";
import { onResolutions } from "./resolving.ts";
import { maybePass, onClaims, onSyncFailed, testimoniesOf } from "./syncing.ts";
import { maybeTick, onTick, RESAID_PER_TICK } from "./ticking.ts";
import { isWitnessed, onVotes, sayVotes } from "./voting.ts";
import { votesFault } from "../../dag/votes.ts";
import { sample } from "./sampler.ts";
import { sharedVotes } from "./shared-votes.ts";

export interface CoreOptions extends ParticipantOptions {
  /** This engine's own rows. */
  readonly rows: readonly { readonly key: string; readonly value: Uint8Array }[];
  /** What holds the state, for who looks at it from outside or plants a bug in it; default: a `Participant`. */
  readonly makeParticipant?: (options: ParticipantOptions) => Participant;
}

/**
 * Avalanche without the log beside it: bundles, polls, votes and what others know (docs/decisions/0006). A pure state
 * machine like every engine.
 */
export class AvalancheCore implements DagView {
  readonly #p: Participant;
  readonly #options: CoreOptions;
  readonly #rows: RestoredRows;

  /** @throws DecodeError where a row is damaged or gone */
  constructor(options: CoreOptions) {
    this.#options = options;
    this.#rows = restoreRows(options.rows);
    // What it knew is on the disk with the row that says so; else validators that restart in a young epoch wait for each other.
    const isWritten = this.#rows.passed !== null;
    const remembering = { ...options, remembersPrevious: options.remembersPrevious || isWritten };
    this.#p = options.makeParticipant?.(remembering) ?? new Participant(remembering);
  }

  start(nowMs: number): readonly Effect<AvalancheMessage>[] {
    const p = this.#p;
    p.nowMs = nowMs;
    const { open, won } = this.#options.restored;
    restore(p, open, this.#rows, won);
    if (p.earlier.length > 0) this.#begin();
    p.wantsSync = new Set(sample(p.others(), p.set.honestMinority, p.random));
    return this.#finish();
  }

  onMessage(signed: Signed<AvalancheMessage>, nowMs: number): readonly Effect<AvalancheMessage>[] {
    const p = this.#p;
    p.nowMs = nowMs;
    const { message, proof } = signed;
    const from = proof.seal.signer;
    p.health.onHeard(from);
    switch (message.kind) {
      case "query":
        onQuery(p, from, message);
        break;
      case "answer":
        onAnswer(p, from, message);
        break;
      case "votes":
        this.#onVotes({ message: sharedVotes(message, (bundle) => p.nodeOf(bundle)), proof });
        break;
      default:
        return unreachable(message);
    }
    return this.#finish();
  }

  onEvent(event: DagEvent): readonly Effect<AvalancheMessage>[] {
    const p = this.#p;
    p.nowMs = event.nowMs;
    switch (event.kind) {
      case "dag-bundles":
        onBundles(p, event.bundles);
        break;
      case "dag-claims":
        onClaims(p, event);
        break;
      case "dag-sync-failed":
        onSyncFailed(p, event.from);
        break;
      case "resolutions":
        onResolutions(p, event);
        break;
      default:
        return unreachable(event);
    }
    return this.#finish();
  }

  onTimer(name: TimerName, nowMs: number): readonly Effect<AvalancheMessage>[] {
    const p = this.#p;
    p.nowMs = nowMs;
    if (!p.takeTimer(name, nowMs)) return [];
    if (name === "poll") onPollTimer(p);
    else onTick(p);
    return this.#finish();
  }

  onPeerConnected(peer: ValidatorIndex, nowMs: number): readonly Effect<AvalancheMessage>[] {
    this.#p.nowMs = nowMs;
    this.#p.health.onHeard(peer);
    if (this.#p.set.has(peer)) this.#p.wantsSync.add(peer);
    return this.#finish();
  }

  screen(message: AvalancheMessage): Verdict {
    const p = this.#p;
    switch (message.kind) {
      case "query":
        if (p.self === null) return { kind: "ignore", reason: "not-answering" };
        return message.lanes.every((lane) => lane.length > 0)
          ? { kind: "accept" }
          : { kind: "reject", reason: "malformed-query" };
      case "answer": {
        if (message.to !== p.self) return { kind: "ignore", reason: "answer-to-another" };
        const poll = p.polls.get(message.poll);
        if (poll === undefined) return { kind: "ignore", reason: "late-answer" };
        return message.heads.length === poll.chains.length
          ? { kind: "accept" }
          : // Its asker began anew since: polls count from 1 in each of its lives.
            { kind: "ignore", reason: "answer-to-an-earlier-life" };
      }
      case "votes": {
        const fault = votesFault(message);
        return fault === null ? { kind: "accept" } : { kind: "reject", reason: `malformed-votes: ${fault}` };
      }
      default:
        return unreachable(message);
    }
  }

  status(): DagStatus {
    const p = this.#p;
    let undecidedBundles = 0;
    let undecidedVertices = 0;
    for (const node of p.graph.open()) {
      undecidedBundles += 1;
      undecidedVertices += node.openVertices;
    }
    let conflicts = 0;
    for (const set of p.graph.sets.values()) if (set.isContested && set.winner === null) conflicts += 1;
    return {
      undecidedBundles,
      undecidedVertices,
      conflicts,
      pollsUnderWay: p.polls.size,
      polls: p.pollsDone,
      queryTimeouts: p.health.timeouts,
      timeoutShare: p.health.timeoutPpm / 1_000_000,
      isPartitioned: p.health.isPartitioned,
      mayVote: p.self !== null && p.mayVote,
    };
  }

  secondParent(nowMs: number): Hash {
    return secondParent(this.#p, nowMs);
  }

  claimOf(bundle: Hash, isForEpoch = false): DagClaim | null {
    const node = this.#p.nodeOf(bundle);
    if (node === undefined) return null;
    const rejected = [...node.rejected].sort((left, right) => left - right);
    const told = isForEpoch ? { certified: certificatesOf(this.#p, node) } : {};
    if (node.place !== "open") return { bundle, state: node.place, undecided: [...node.open()], rejected, ...told };
    const isCertified = isWitnessed({ node, vertex: null });
    const open = [...node.open()];
    const undecided = isCertified ? open.filter((vertex) => !isWitnessed({ node, vertex })) : open;
    return { bundle, state: isCertified ? "certified" : "open", undecided, rejected, ...told };
  }

  passed(): readonly Epoch[] {
    return this.#p.passed;
  }

  frontier(): readonly Nonce[] {
    const { graph } = this.#p;
    return graph.decided.map((_, creator) => graph.settledNonce(creator as ValidatorIndex));
  }

  handOver(): DagRestored {
    const { graph } = this.#p;
    // What was settled lately goes along: others may need this node's votes for it in the next epoch.
    const open = [...graph.settled(), ...graph.open()].sort((left, right) => left.order - right.order);
    return {
      lanes: [...graph.decided],
      open: open.map((node) => ({
        held: node.held,
        place: node.place === "accepted" ? "accepted" : "open",
        accepted: [...node.accepted],
        rejected: [...node.rejected],
        certified: certificatesOf(this.#p, node),
      })),
      passed: this.#p.passed,
    };
  }

  confidencePpm(bundle: Hash, vertex: number): number | null {
    return this.#p.nodeOf(bundle)?.snowOf(vertex).confidencePpm ?? null;
  }

  #onVotes(signed: Parameters<typeof onVotes>[1]): void {
    const p = this.#p;
    const { signer } = signed.proof.seal;
    for (const { bundle } of signed.message.entries) {
      if (p.nodeOf(bundle) !== undefined || p.graph.past.get(bundle) !== undefined) continue;
      p.early.add(bundle, signed);
      if (signer !== p.self && !p.graph.orphans.has(bundle)) p.missing.onNamed(bundle, signer, p.nowMs);
    }
    for (const node of onVotes(p, signed)) {
      // Who has no votes owes none; and what is not given soon is asked for again.
      if (!node.isSettled || p.self === null) continue;
      const owed = p.owed.get(signer) ?? new Set<BundleNode>();
      if (owed.size >= RESAID_PER_TICK) continue;
      owed.add(node);
      p.owed.set(signer, owed);
    }
  }

  /** A later epoch: what this node knows of those before is written down before this one begins, and is heard first. */
  #begin(): void {
    const p = this.#p;
    for (const node of p.graph.open()) if (node.carried.length > 0) p.toCarry.add(node);
    const { passed } = this.#rows;
    if (passed !== null) p.restorePassed(passed);
    if (!p.isOwnWitness) return;
    p.emit({ kind: "persist", writes: [{ key: WITNESS_ROW, value: encodePassed(p.passed) }] });
    const told = [...p.graph.open()].flatMap((node) => node.carried.flatMap((each) => testimoniesOf(p, node, each)));
    if (p.self !== null) p.gate?.hear(p.self, p.passed, told);
    maybePass(p);
  }

  /** What was learned of earlier epochs is on the disk before anything rests on it. */
  #carry(): void {
    const p = this.#p;
    if (p.toCarry.size === 0) return;
    const writes = [...p.toCarry].flatMap((node) => rememberOwn(p, node));
    p.toCarry.clear();
    if (writes.length > 0) p.emit({ kind: "persist", writes });
    if (p.mayVote) p.emit({ kind: "persist", writes: [{ key: WITNESS_ROW, value: encodePassed(p.passed) }] });
  }

  #finish(): readonly Effect<AvalancheMessage>[] {
    const p = this.#p;
    maybePoll(p);
    this.#carry();
    sayVotes(p);
    maybeTick(p);
    const decisions = p.takeDecisions();
    if (decisions.length > 0) p.emit({ kind: "decide", decisions });
    return p.takeEffects();
  }
}
