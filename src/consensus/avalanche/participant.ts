import type { Hash } from "../../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../../membership/ids.ts";
import type { NetworkContext, ValidatorSet } from "../../membership/validator-set.ts";
import { CERTIFICATES_MAX } from "../dag-certificate.ts";
import type { DagCertificate, DagDecision, DagRestored, Resolution, Unit } from "../dag-engine.ts";
import type { DurableWrite, Effect, TimerName, Trace } from "../engine.ts";
import type { View } from "../../membership/ids.ts";
import type { Sequence } from "../../membership/ids.ts";
import type { BundleNode } from "./bundle-node.ts";
import { EarlyVotes } from "./early-votes.ts";
import { Gate, type Testimony } from "./gate.ts";
import { DagGraph } from "./graph.ts";
import { Health } from "./health.ts";
import { KeptVotes } from "./kept-votes.ts";
import type { AvalancheMessage } from "./messages.ts";
import { Missing } from "./missing.ts";
import type { AvalancheParams } from "./params.ts";
import type { Poll } from "./poll.ts";
import type { RandomSource } from "./sampler.ts";
import { SpokenOf } from "./spoken-of.ts";

export interface ParticipantOptions {
  readonly network: NetworkContext;
  /** This node's place in the set; null for an observer, or while it may not speak. */
  readonly self: ValidatorIndex | null;
  readonly params: AvalancheParams;
  readonly random: RandomSource;
  readonly restored: DagRestored;
  /** The validators of the epoch before; null in the first epoch. */
  readonly previous: ValidatorSet | null;
  /** Those of the epochs before that one, the newest first; as many as are known. Default: none. */
  readonly earlier?: readonly ValidatorSet[];
  /**
   * Whether this node took part in it, or in one of those before and left, and the process has not begun anew since: what it
   * knew is in `restored`.
   */
  readonly remembersPrevious: boolean;
  /**
   * Whether this node thinks so little of a validator that it does not ask it (AV-ALERT: graylisted, by its own score). It
   * counts as one that did not answer, never as one that is not there. Default: nobody is avoided.
   */
  readonly avoids?: (peer: ValidatorIndex) => boolean;
}

interface Outcome {
  place: DagDecision["place"];
  readonly accepted: number[];
  readonly rejected: number[];
}

/** One validator's state, shared by the modules of this folder, and the list of effects of the step under way. */
export class Participant {
  readonly network: NetworkContext;
  readonly self: ValidatorIndex | null;
  readonly params: AvalancheParams;
  readonly random: RandomSource;
  readonly graph: DagGraph;
  readonly health: Health = new Health();
  /** Polls whose time is not over, in the order of their begin. */
  readonly polls: Map<number, Poll> = new Map();
  /** Bundles that peers named and that are not here. */
  readonly missing: Missing = new Missing();
  readonly early: EarlyVotes = new EarlyVotes();
  /** Votes that this node must be able to show after a crash. */
  readonly kept: KeptVotes = new KeptVotes();
  /** Bundles with new binding votes of this node that are to be said at the end of the step. */
  readonly toSay: Set<BundleNode> = new Set();
  /** False until this node knows what the epoch before certified. */
  mayVote: boolean;
  /** The sets of the epochs before, the newest first. */
  readonly earlier: readonly ValidatorSet[];
  /** What must be heard before this node votes; null in the first epoch. */
  readonly gate: Gate | null;
  /** Whether this node itself was in one of the sets before and remembers what it knew. */
  readonly isOwnWitness: boolean;
  readonly avoids: (peer: ValidatorIndex) => boolean;
  /** What is being told by validators that are asked for the epoch's sake, page by page. */
  readonly testimonies: Map<ValidatorIndex, Testimony[]> = new Map();
  /** Of them, those that spoke of bundles which are not here yet. */
  readonly unfinished: Set<ValidatorIndex> = new Set();
  /** Who spoke of such a bundle, and whether it was proved: it comes again, and its lane must not be too full for it. */
  readonly spokenOf: SpokenOf = new SpokenOf();
  /** The certificates that they showed, each in its newest word. */
  readonly shown: Map<BundleNode, Map<ValidatorIndex, readonly DagCertificate[]>> = new Map();
  /** Bundles of which more is known to be certified, to be written down at the end of the step. */
  readonly toCarry: Set<BundleNode> = new Set();
  /** Subjects that others reported to the log, before this node has them or is ready to report them. */
  readonly reportedElsewhere: Map<Hash, { readonly vertex: number | null; readonly reports: number }> = new Map();
  /** What the log decided about bundles that are not here. */
  readonly resolvedLater: Map<Hash, Resolution> = new Map();
  readonly lostLater: Map<Hash, Unit[]> = new Map();
  /** Decisions about bundles that never became nodes. */
  readonly buried: DagDecision[] = [];
  /** Validators that asked again for votes about settled bundles. */
  readonly owed: Map<ValidatorIndex, Set<BundleNode>> = new Map();
  readonly syncing: Set<ValidatorIndex> = new Set();
  nextSyncMs = 0;
  /** When it may ask for certificates of earlier epochs again. */
  nextCertificatesMs = 0;
  /** Validators to be asked what they know that this node does not. */
  wantsSync: Set<ValidatorIndex> = new Set();
  nowMs = 0;
  nextPoll = 1;
  lastPollMs: number = Number.NEGATIVE_INFINITY;
  pollsDone = 0;
  /** Epochs in which this node came to vote. */
  #passed: readonly Epoch[];
  readonly #outcomes = new Map<BundleNode, Outcome>();
  readonly #timers = new Map<TimerName, number>();
  #out: Effect<AvalancheMessage>[] = [];
  #settledRows: DurableWrite[] = [];

  constructor(options: ParticipantOptions) {
    const { network, self, params, random, restored, previous } = options;
    this.network = network;
    this.self = self;
    this.params = params;
    this.random = random;
    this.earlier = previous === null ? [] : [previous, ...(options.earlier ?? [])];
    this.gate = previous === null ? null : new Gate(this.earlier);
    // Who left and came back has heard nothing of itself over any connection, and was in one of those sets.
    this.isOwnWitness = options.remembersPrevious && self !== null && this.earlier.some((set) => set.has(self));
    this.mayVote = previous === null;
    this.#passed = restored.passed ?? [];
    this.avoids = options.avoids ?? ((): boolean => false);
    this.graph = new DagGraph(network.genesis, restored);
  }

  get set(): ValidatorSet {
    return this.network.set;
  }

  get quorum(): number {
    return this.network.set.quorum;
  }

  /** Epochs in which this node came to vote, newest last. */
  get passed(): readonly Epoch[] {
    const { epoch } = this.set;
    const isNow = this.mayVote && this.self !== null && !this.#passed.includes(epoch);
    return (isNow ? [...this.#passed, epoch] : this.#passed).slice(-CERTIFICATES_MAX);
  }

  /** A restarted node knows it from its row. */
  restorePassed(passed: readonly Epoch[]): void {
    this.#passed = passed;
  }

  /** From now on this node votes in this epoch. */
  pass(): void {
    this.mayVote = true;
    this.shown.clear();
    this.spokenOf.clear();
  }

  emit(effect: Effect<AvalancheMessage>): void {
    this.#out.push(effect);
  }

  trace(phase: Trace["phase"], detail: string): void {
    this.emit({ kind: "trace", trace: { phase, view: 0 as View, sequence: 0 as Sequence, detail } });
  }

  /** As `trace`, of what ends now and took so long. */
  tell(phase: Trace["phase"], detail: string, durationMs: number): void {
    this.emit({ kind: "trace", trace: { phase, view: 0 as View, sequence: 0 as Sequence, detail, durationMs } });
  }

  /** More than half of the queries time out, or no longer do. */
  onPartition(): void {
    const { isPartitioned } = this.health;
    this.emit({ kind: "partition", isPartitioned });
    this.trace("partition", isPartitioned ? "begins" : "is over");
    if (isPartitioned) return;
    // What waited for the others begins to wait anew: sampling goes first when they are back.
    for (const node of this.graph.open()) node.sinceMs = this.nowMs;
    this.wantsSync = new Set(this.others());
  }

  /** What became final is told once a step and bundle, in the order in which it did. */
  outcomeOf(node: BundleNode): Outcome {
    let outcome = this.#outcomes.get(node);
    if (outcome === undefined) {
      outcome = { place: null, accepted: [], rejected: [] };
      this.#outcomes.set(node, outcome);
    }
    return outcome;
  }

  /** A bundle whose place is accepted is told of after its ancestors, also where one of its vertices lost before in this step. */
  placeOutcome(node: BundleNode): void {
    const outcome = this.outcomeOf(node);
    outcome.place = "accepted";
    this.#outcomes.delete(node);
    this.#outcomes.set(node, outcome);
  }

  takeDecisions(): readonly DagDecision[] {
    if (this.#outcomes.size === 0 && this.buried.length === 0) return [];
    const decisions: DagDecision[] = [...this.#outcomes].map(([node, { place, accepted, rejected }]) => ({
      bundle: node.digest,
      place,
      accepted: accepted.sort(ascending),
      rejected: rejected.sort(ascending),
      isSettled: node.isSettled,
      confidencePpm: node.snow.confidencePpm,
      polls: node.snow.polls,
    }));
    this.#outcomes.clear();
    return [...decisions, ...this.buried.splice(0)];
  }

  setTimer(name: TimerName, atMs: number): void {
    const known = this.#timers.get(name);
    if (known === atMs) return;
    this.#timers.set(name, atMs);
    this.emit({ kind: "set-timer", name, atMs });
  }

  cancelTimer(name: TimerName): void {
    if (this.#timers.delete(name)) this.emit({ kind: "cancel-timer", name });
  }

  /** Whether a timer that fired is one that is still set: its time tells. */
  takeTimer(name: TimerName, nowMs: number): boolean {
    const due = this.#timers.get(name);
    if (due === undefined || due > nowMs) return false;
    this.#timers.delete(name);
    return true;
  }

  /**
   * What this node said of a settled bundle need not be remembered: deleted behind the decision that settles it, or a crash
   * between the two would leave an open bundle of which this node does not know any more how it voted.
   */
  forgetRow(key: string): void {
    this.#settledRows.push({ key, value: null });
  }

  takeEffects(): readonly Effect<AvalancheMessage>[] {
    const writes = [...this.#settledRows, ...this.kept.takeUnneeded()];
    if (writes.length > 0) this.emit({ kind: "persist", writes });
    const out = this.#out;
    this.#out = [];
    this.#settledRows = [];
    return out;
  }

  /** The other validators, ascending. */
  others(): readonly ValidatorIndex[] {
    return this.set.indices().filter((index) => index !== this.self);
  }

  nodeOf(digest: Hash): BundleNode | undefined {
    return this.graph.nodes.get(digest);
  }
}

function ascending(left: number, right: number): number {
  return left - right;
}
