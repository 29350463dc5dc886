import type { Epoch, Nonce, Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { ExecutionState } from "../replication/executor.ts";
import type { Log } from "./observer.ts";

/**
 * How far the log must move on before a node that lost its memory may vote again: every place for which it may have voted
 * lies within its receive window (256) above the stable checkpoint of then, and one checkpoint interval (32).
 */
const AMNESIA_DISTANCE = 288;

/** What this node's own disk knows of what it said in this epoch. */
export interface Remembered {
  readonly vote: Sequence;
  readonly view: View;
  /** A silence that has not ended. */
  readonly silence: Silence | null;
}

/** What one witness proved with this node's own signatures, and with a quorum's. */
export interface Testimony {
  readonly vote: { readonly epoch: Epoch; readonly sequence: Sequence } | null;
  readonly view: { readonly epoch: Epoch; readonly view: View } | null;
  /** The last nonce of the newest bundle of this node that the witness holds. */
  readonly bundle: { readonly term: Epoch; readonly nonce: Nonce } | null;
  /** As `bundle`, of its lane in a leaderless network, whose nonces count apart. */
  readonly dagBundle: { readonly term: Epoch; readonly nonce: Nonce } | null;
  /** The newest checkpoint of this epoch that it proved; 0 for none. */
  readonly stable: Sequence;
}

export interface StartGateOptions {
  readonly network: NetworkContext;
  /** This node's place, which may change from epoch to epoch; null for an observer. */
  self(): ValidatorIndex | null;
  /** Up to which nonce this node's disk knows its own lane. */
  ownNonce(): Nonce;
  /** Its lane in a leaderless network is proved to be used up to this nonce: nothing new of it before that is known here. */
  onDagLane(nonce: Nonce): void;
  readonly log: Log;
  /** This node may sign from now on. */
  readonly onFree: () => void;
  /** To be durable with, or before, whatever the engine writes next; null forgets it. */
  readonly remember: (silence: Silence | null) => void;
}

/** Why a node is silent; on its disk, so that a restart does not end it. */
export interface Silence {
  readonly epoch: Epoch;
  readonly term: Epoch;
  /** Until a checkpoint at or above this one is stable, and its lane is executed up to `nonce`. */
  readonly stable: number;
  readonly nonce: number;
  /** Words of views up to this one may have been said with other content, and are not said again; -1 for none. */
  readonly viewFloor: number;
}

/**
 * The doppelganger wait: before a node signs anything in an epoch in which it may have signed before, it hears from enough
 * validators what it said. Whoever holds more of its lane, or later words of it, than its own disk knows proves so with its
 * own signature; then the disk is empty, older or cloned. The node keeps silent, follows as an observer does, and speaks
 * again when everything that it may have said lies below the stable checkpoint.
 *
 * Nothing is believed without a proof: a liar that claims more cannot silence anybody.
 *
 * Limit: peers remember words only since their own start. A disk that is lost while every peer restarts is not noticed by
 * its votes, only by its lane.
 */
export class StartGate {
  readonly #options: StartGateOptions;
  readonly #heard = new Map<ValidatorIndex, Testimony>();
  #remembered: Remembered = { vote: 0 as Sequence, view: 0 as View, silence: null };
  #state: "closed" | "silent" | "free" = "closed";
  #silence: Silence | null = null;

  constructor(options: StartGateOptions) {
    this.#options = options;
  }

  /** Whether this node may sign, were it a validator. */
  get isFree(): boolean {
    return this.#state === "free";
  }

  /** Whether nothing may be signed now. */
  get isSilent(): boolean {
    return !this.isFree || this.#options.self() === null;
  }

  /** Whether testimonies are still wanted, and of whom. */
  wants(validator: ValidatorIndex): boolean {
    return this.#state === "closed" && this.#options.self() !== null && !this.#heard.has(validator);
  }

  /** Whether a word of this view, as `isViewWord` has them, is safe to say. */
  maySayView(view: number): boolean {
    if (this.#silence === null || this.#silence.epoch !== this.#options.network.set.epoch) return true;
    return view > this.#silence.viewFloor;
  }

  /** Why this node keeps silent, for its operator; null where it speaks. */
  get reason(): string | null {
    if (this.#options.self() === null || this.isFree) return null;
    if (this.#state === "closed") return "waits to hear from enough validators where this node's key stands";
    return `this node's disk knows less than it once said; it follows, and votes again from checkpoint ${this.#silence?.stable ?? 0} on`;
  }

  /** A silence that a restart interrupted goes on. */
  resume(silence: Silence): void {
    this.#silence = silence;
  }

  /** This node becomes a validator, by its start or by a new epoch. */
  close(remembered: Remembered): void {
    // Of a later epoch: this node's state went back over an epoch's end, and what it said in this one is forgotten.
    if (this.#silence !== null && this.#silence.epoch >= this.#options.network.set.epoch) {
      this.#state = "silent";
      return;
    }
    this.#state = "closed";
    this.#remembered = remembered;
    this.#heard.clear();
    this.#check();
  }

  onTestimony(from: ValidatorIndex, testimony: Testimony): void {
    if (!this.wants(from) || !this.#options.network.set.has(from)) return;
    this.#heard.set(from, testimony);
    this.#check();
  }

  onExecuted(state: ExecutionState, stable: Sequence): void {
    const self = this.#options.self();
    if (this.#state !== "silent" || self === null || this.#silence === null) return;
    if (this.#silence.epoch > this.#options.network.set.epoch) return;
    const executedNonce = state.lanes[self]?.nonce ?? 0;
    if (stable < this.#silence.stable || executedNonce < this.#silence.nonce) return;
    this.#options.log("info", "node.speaks-again", { stable });
    this.#free();
  }

  /** Enough were heard: a quorum with this node, so that nobody waits in vain. */
  #check(): void {
    const { network, log } = this.#options;
    const self = this.#options.self();
    if (self === null || this.#state !== "closed" || this.#heard.size < network.set.quorum - 1) return;
    const { epoch } = network.set;
    const heard = [...this.#heard.values()];
    const bundles = heard.flatMap(({ bundle }) => (bundle?.term === network.set.termOf(self) ? [bundle.nonce] : []));
    // A lane lives through epochs: what it was silent for in an earlier one still holds.
    const lost = this.#silence?.term === network.set.termOf(self) ? this.#silence.nonce : 0;
    const nonce = Math.max(0, lost, ...bundles);
    // Words of earlier epochs bind nobody any more; words of later ones were said by another disk than this.
    const votes = heard.flatMap(({ vote }) => (vote !== null && vote.epoch >= epoch ? [vote] : []));
    const views = heard.flatMap(({ view }) => (view !== null && view.epoch >= epoch ? [view] : []));
    const vote = Math.max(0, ...votes.map(({ sequence }) => sequence));
    const view = Math.max(0, ...views.map((one) => one.view));
    const inDag = heard.flatMap((one) =>
      one.dagBundle?.term === network.set.termOf(self) ? [one.dagBundle.nonce] : [],
    );
    this.#options.onDagLane(Math.max(0, ...inDag) as Nonce);
    const isLater = [...votes, ...views].some((one) => one.epoch > epoch);
    const { vote: rememberedVote, view: rememberedView } = this.#remembered;
    const rememberedNonce = this.#options.ownNonce();
    if (!isLater && vote <= rememberedVote && view <= rememberedView && nonce <= rememberedNonce) return this.#free();
    const stable = Math.max(vote, ...heard.map((one) => one.stable)) + AMNESIA_DISTANCE;
    this.#state = "silent";
    // One that is for a later epoch lasts longer.
    if (this.#silence !== null && this.#silence.epoch > epoch) return;
    this.#silence = { epoch, term: network.set.termOf(self), stable, nonce, viewFloor: views.length === 0 ? -1 : view };
    this.#options.remember(this.#silence);
    log("error", "node.amnesia", { rememberedNonce, rememberedVote, seenNonce: nonce, seenVote: vote, stable });
  }

  #free(): void {
    this.#state = "free";
    this.#heard.clear();
    // One that is for a later epoch waits for it: the state of this node went back over the end of an epoch.
    const { epoch } = this.#options.network.set;
    if (this.#silence !== null && this.#silence.epoch <= epoch) this.#options.remember(null);
    this.#options.onFree();
  }
}
