import type { EngineEvent } from "../consensus/engine.ts";
import type { Nonce, Sequence, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { ExecutionState } from "../replication/executor.ts";
import type { Log } from "./observer.ts";
import type { StatusFrame } from "./wire.ts";

/** Events kept until the gate opens; what falls out is sent again by peers. */
const HELD_EVENTS_MAX = 4_096;

/**
 * How far the log must move on before a node that lost its memory may vote again: every place for which it may have voted
 * lies within its receive window (256) above the stable checkpoint of then, and one checkpoint interval (32).
 */
const AMNESIA_DISTANCE = 288;

export interface StartGateOptions<M> {
  readonly network: NetworkContext;
  /** This node's place, which may change from epoch to epoch; null for an observer. */
  self(): ValidatorIndex | null;
  /** What this node's own disk knows of what it said. */
  readonly remembered: { readonly nonce: Nonce; readonly vote: Sequence };
  readonly log: Log;
  readonly onOpen: (held: readonly EngineEvent<M>[]) => void;
}

/**
 * The doppelganger wait: before a node signs anything it hears from enough peers where its own key stands. If they hold
 * more of its lane, or saw later votes of it, than its own disk knows, then the disk is empty, older or cloned: the node
 * may have said things that it does not remember. It then keeps silent, follows as an observer would, and speaks again
 * when everything that it may have said lies below the stable checkpoint.
 *
 * Limit: peers remember votes only since their own start. A disk that is lost while every peer restarts is not noticed by
 * its votes, only by its lane.
 */
export class StartGate<M> {
  readonly #options: StartGateOptions<M>;
  readonly #heard = new Map<ValidatorIndex, StatusFrame>();
  #votes: Sequence[];
  #held: EngineEvent<M>[] = [];
  #open = false;
  #silentUntil: { readonly stable: number; readonly nonce: number } | null = null;

  constructor(options: StartGateOptions<M>) {
    this.#options = options;
    this.#votes = options.network.set.roster.map(() => 0 as Sequence);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Whether nothing may be signed now. */
  get isSilent(): boolean {
    return !this.#open || this.#silentUntil !== null || this.#options.self() === null;
  }

  /** Why this node keeps silent, for its operator; null where it speaks. */
  get reason(): string | null {
    if (!this.#open) return "waits to hear from enough validators where this node's key stands";
    if (this.#silentUntil === null) return null;
    const { stable } = this.#silentUntil;
    return `this node's disk knows less than it once said; it follows, and votes again from checkpoint ${stable} on`;
  }

  /** The highest sequence that each validator was seen to vote for; a copy, because it goes into frames that wait. */
  votes(): readonly Sequence[] {
    return [...this.#votes];
  }

  /**
   * The roster may have grown. Votes for places behind the old epoch's last one are void and forgotten by those who cast
   * them: whoever remembered them would take a peer that restarts for one without memory.
   */
  onEpoch(base: Sequence): void {
    this.#votes = this.#votes.map((sequence) => (sequence > base ? base : sequence));
    while (this.#votes.length < this.#options.network.set.roster.length) this.#votes.push(0 as Sequence);
  }

  onVote(signer: ValidatorIndex, sequence: Sequence): void {
    if (sequence > (this.#votes[signer] ?? 0)) this.#votes[signer] = sequence;
  }

  onStatus(from: ValidatorIndex, frame: StatusFrame): void {
    if (this.#open) return;
    this.#heard.set(from, frame);
    this.check();
  }

  /** Keeps an event back while the gate is closed; those that let the node listen pass. */
  holds(event: EngineEvent<M>): boolean {
    if (this.#open || event.kind === "peer-connected" || event.kind === "peer-status") return false;
    if (this.#held.length < HELD_EVENTS_MAX) this.#held.push(event);
    return true;
  }

  /** Opens the gate where enough validators were heard: a quorum with this node, so that nobody waits in vain. */
  check(): void {
    const { network, remembered, log } = this.#options;
    const self = this.#options.self();
    if (this.#open) return;
    const needed = self === null ? 0 : network.set.quorum - 1;
    if (this.#heard.size < needed) return;
    this.#open = true;
    const heard = [...this.#heard.values()];
    if (self !== null) {
      const nonce = Math.max(0, ...heard.map(({ lanes }) => lanes[self] ?? 0));
      // Of an earlier epoch's votes this node need not know any more.
      const inEpoch = heard.filter(({ epoch }) => epoch >= network.set.epoch);
      const vote = Math.max(0, ...inEpoch.map(({ votes }) => votes[self] ?? 0));
      if (nonce > remembered.nonce || vote > remembered.vote) {
        const stable = Math.max(...heard.map(({ status }) => status.stable)) + AMNESIA_DISTANCE;
        this.#silentUntil = { stable, nonce };
        log("error", "node.amnesia", {
          rememberedNonce: remembered.nonce,
          seenNonce: nonce,
          silentUntilCheckpoint: stable,
        });
      }
    }
    const held = this.#held;
    this.#held = [];
    this.#options.onOpen(held);
  }

  onExecuted(state: ExecutionState, stable: Sequence): void {
    const self = this.#options.self();
    if (this.#silentUntil === null || self === null) return;
    const executedNonce = state.lanes[self]?.nonce ?? 0;
    if (stable < this.#silentUntil.stable || executedNonce < this.#silentUntil.nonce) return;
    this.#silentUntil = null;
    this.#options.log("info", "node.speaks-again", { stable });
  }
}
