import { type Batch, NULL_BATCH } from "../../dag/batch.ts";
import type { Lanes } from "../../dag/lanes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Proof, Signed } from "../../membership/seal.ts";
import type { NetworkContext, ValidatorSet } from "../../membership/validator-set.ts";
import type {
  CheckpointCertificate,
  CommittedSlot,
  DurableWrite,
  Effect,
  PeerStatus,
  TimerName,
  Trace,
} from "../engine.ts";
import { type BlockNode, BlockTree } from "./block-tree.ts";
import { writeTc, writeVotes } from "./durable.ts";
import type { Ask, HotStuffMessage, Proposal, Qc, QcRef, Tc, Timeout } from "./messages.ts";
import type { Rules } from "./rules.ts";
import type { Leaders } from "./leaders.ts";
import { genesisBlock } from "./statements.ts";
import type { AdaptiveTimeout } from "../adaptive-timeout.ts";

export interface Instant {
  readonly nowMs: number;
  readonly wallMs: number;
}

export interface CheckpointVote {
  readonly stateDigest: Hash;
  readonly proof: Proof;
}

/** What a peer may still ask for in its present window. */
export interface Allowance {
  readonly untilMs: number;
  blocks: number;
}

/** What one validator said in a view, or for a place of a view. */
export interface Said {
  readonly digest: Hash;
  readonly proof: Proof;
}

/** Whom votes are sent to: the next leader (Algorithm 4), or everybody, who then needs no certificate sent. */
export type VoteRoute = "leader" | "all";

/**
 * One replica's state, shared by the modules of this folder, and the list of effects of the step under way.
 *
 * Invariants: `view`, `lastView` and the views of `lock`, `high` and `committed` never decrease; this replica votes once in
 * a view, and never in one that it gave up; blocks that it commits are one chain.
 */
export class Replica {
  readonly network: NetworkContext;
  readonly self: ValidatorIndex | null;
  readonly lanes: Lanes;
  readonly timeout: AdaptiveTimeout;
  readonly rules: Rules;
  readonly voteRoute: VoteRoute;
  readonly leaders: Leaders;
  readonly checkpointInterval: number;
  readonly base: Sequence;
  readonly quorum: number;

  readonly genesis: BlockNode;
  readonly tree: BlockTree;
  /** Proposals that wait for the certificate of the block they justify themselves with, by their own hash. */
  readonly waiting: Map<Hash, Signed<Proposal>> = new Map();
  /** The block of the present view that was last found to have an absurd time. */
  untimely: Hash | null = null;
  /** A certificate above `high` for a block that is not held yet. */
  pendingQc: Qc | null = null;

  view: View = 1 as View;
  /** The newest block with a certificate that this replica knows. */
  high: BlockNode;
  lock: QcRef;
  /** The newest committed block. */
  committed: BlockNode;
  lastView: View = 0 as View;
  proposedView: View = 0 as View;
  vote: QcRef | null = null;
  /** The view that this replica gave up last. */
  timeoutSaid: View = 0 as View;
  /** The newest time-out certificate. */
  tc: Tc | null = null;

  /** By view, then by signer. */
  readonly votes: Map<View, Map<ValidatorIndex, Said>> = new Map();
  /** By view, then by signer, then by sequence. */
  readonly commits: Map<View, Map<ValidatorIndex, Map<Sequence, Said>>> = new Map();
  readonly timeouts: Map<ValidatorIndex, Signed<Timeout>> = new Map();
  /** Each validator's first proposal of each view, to tell a second one: by view, then by signer. */
  readonly proposed: Map<View, Map<ValidatorIndex, Said>> = new Map();
  readonly accused: Set<ValidatorIndex> = new Set();
  /** Blocks that were asked for since the last look of the resend timer, with whom. */
  readonly asked: Set<string> = new Set();
  /** What others asked for was answered up to here: one entry a validator. */
  readonly answered: Map<ValidatorIndex, Allowance> = new Map();

  /** Committed places that are not executed here, by sequence. */
  readonly decided: Map<Sequence, CommittedSlot> = new Map();
  finalizing: Sequence;
  executed: Sequence;
  stable: CheckpointCertificate | null = null;
  readonly checkpointVotes: Map<Sequence, Map<ValidatorIndex, CheckpointVote>> = new Map();
  readonly ownStates: Map<Sequence, Hash> = new Map();
  ahead: CheckpointCertificate | null = null;

  readonly peers: Map<ValidatorIndex, PeerStatus> = new Map();
  syncing: { readonly from: ValidatorIndex; readonly until: Sequence | null } | null = null;
  readonly syncFailed: Set<ValidatorIndex> = new Set();
  /** When the present view began, this replica gave it up last, or work began: the leader's time counts from the latest. */
  sinceMs = 0;
  hadWork = false;
  timestampMs = 0;
  progressed = false;
  committers = 0;
  started = false;
  readonly timers: Map<TimerName, number> = new Map();

  /** Of the time-out certificate that is durable. */
  #keptTcView: View = 0 as View;
  #out: Effect<HotStuffMessage>[] = [];

  constructor(options: {
    readonly network: NetworkContext;
    readonly self: ValidatorIndex | null;
    readonly lanes: Lanes;
    readonly timeout: AdaptiveTimeout;
    readonly rules: Rules;
    readonly voteRoute: VoteRoute;
    readonly leaders: Leaders;
    readonly checkpointInterval: number;
    readonly executed: Sequence;
    readonly base: Sequence;
  }) {
    this.network = options.network;
    this.self = options.self;
    this.lanes = options.lanes;
    this.timeout = options.timeout;
    this.rules = options.rules;
    this.voteRoute = options.voteRoute;
    this.leaders = options.leaders;
    this.checkpointInterval = options.checkpointInterval;
    this.base = options.base;
    this.executed = options.executed;
    this.finalizing = options.executed;
    this.quorum = options.rules.quorum(options.network.set);
    this.genesis = genesisNode(options.network, options.base);
    this.tree = new BlockTree(this.genesis, options.rules);
    this.high = this.genesis;
    this.committed = this.genesis;
    this.lock = refOf(this.genesis);
  }

  get set(): ValidatorSet {
    return this.network.set;
  }

  /** Who is expected to lead the present view. */
  get leader(): ValidatorIndex {
    const { high, tc, view, set, leaders } = this;
    const isGivenUp = tc !== null && tc.view + 1 === view;
    const isElected = high.block.view + 1 === view && !isGivenUp;
    return isElected ? leaders.electedOn(set, high.block) : leaders.afterTimeout(set, view);
  }

  /** The view whose time-outs still count: where leaders are elected, a quorum's word against a view outlives its certificate. */
  get oldestOpenView(): View {
    return (this.leaders.wantsTimeouts ? this.view - 1 : this.view) as View;
  }

  /** Whether this replica may still vote in its view. */
  get active(): boolean {
    return this.timeoutSaid < this.view;
  }

  get low(): Sequence {
    return this.stable?.sequence ?? this.base;
  }

  /** The lowest block that a chain of the future may need. */
  get floor(): BlockNode {
    return this.committed.settled ?? this.committed;
  }

  batchOf(digest: Hash): Batch | undefined {
    for (const { block, batch } of this.tree.sorted()) if (block.digest === digest) return batch;
    for (const { batch, certificate } of this.decided.values()) if (certificate.digest === digest) return batch;
    return undefined;
  }

  isHeld(batch: Batch): boolean {
    return batch.bundles.every((bundle) => this.lanes.has(bundle));
  }

  status(): PeerStatus {
    return { view: this.view, active: this.active, executed: this.executed, stable: this.low };
  }

  /** What is said next rests on this, and on `more`; it is durable before, all or nothing. */
  persistVotes(more: readonly DurableWrite[] = []): void {
    const { lastView, proposedView, lock, vote, tc } = this;
    const writes = [writeVotes({ lastView, proposedView, lock, vote }), ...more];
    if (tc !== null && tc.view + 1 === this.view && tc.view > this.#keptTcView) {
      this.#keptTcView = tc.view;
      writes.push(writeTc(tc));
    }
    this.emit({ kind: "persist", writes });
  }

  emit(effect: Effect<HotStuffMessage>): void {
    this.#out.push(effect);
  }

  /** Says something to all, itself included; an observer has nothing to say. */
  say(message: HotStuffMessage): void {
    if (this.self !== null) this.emit({ kind: "broadcast", message });
  }

  tell(to: ValidatorIndex, message: HotStuffMessage): void {
    if (this.self !== null) this.emit({ kind: "send", to, message });
  }

  /** Asks for a block and its ancestors, once of each peer until the next look. */
  ask(from: ValidatorIndex, block: Hash): void {
    const key = `${from}/${block}`;
    if (from === this.self || this.asked.has(key)) return;
    this.asked.add(key);
    const message: Ask = { kind: "ask", block, above: this.committed.block.view };
    this.tell(from, message);
  }

  trace(phase: Trace["phase"], sequence: Sequence, detail = "", by?: ValidatorIndex): void {
    const whose = by === undefined ? {} : { by };
    this.emit({ kind: "trace", trace: { phase, view: this.view, sequence, detail, ...whose } });
  }

  setTimer(name: TimerName, atMs: number): void {
    if (this.timers.get(name) === atMs) return;
    this.timers.set(name, atMs);
    this.emit({ kind: "set-timer", name, atMs });
  }

  cancelTimer(name: TimerName): void {
    if (this.timers.delete(name)) this.emit({ kind: "cancel-timer", name });
  }

  takeEffects(): readonly Effect<HotStuffMessage>[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}

export function refOf(node: BlockNode): QcRef {
  return { view: node.block.view, block: node.hash };
}

/** The one special case: certified without votes, and settled by itself. Its hash is its digest. */
function genesisNode(network: NetworkContext, base: Sequence): BlockNode {
  const block = genesisBlock(network, base);
  const node: BlockNode = {
    hash: block.digest,
    block,
    batch: NULL_BATCH,
    proposal: null,
    justifyQc: null,
    qc: null,
    settled: null,
  };
  node.settled = node;
  return node;
}
