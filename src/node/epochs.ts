import type { Engine } from "../consensus/engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { LaneTip, Lanes } from "../dag/lanes.ts";
import { present } from "../lib/assert.ts";
import type { Sequence, ValidatorIndex } from "../membership/ids.ts";
import { type MembershipState, validatorSetOf } from "../membership/membership-state.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { Execution } from "../replication/executor.ts";
import { CurrentNetwork } from "./current-network.ts";
import { OwnLane } from "./own-lane.ts";
import { NodeError } from "./service.ts";

/** What an epoch's engine is made of. */
export interface EpochBegin {
  /** Fixed: another epoch has another engine. */
  readonly network: NetworkContext;
  readonly self: ValidatorIndex | null;
  /** The last sequence of the epoch before. */
  readonly base: Sequence;
  readonly executed: Sequence;
  /** What an engine of this epoch left on the disk; null for none. */
  readonly rows: readonly { readonly key: string; readonly value: Uint8Array }[] | null;
}

export interface EpochsOptions<M> {
  readonly network: NetworkContext;
  readonly nodeId: NodeId;
  readonly membership: MembershipState;
  readonly lanes: Lanes;
  /** Where this node's own lane goes on. */
  readonly ownTip: LaneTip;
  /** What the engine that was under way left; it only listens until the gate is free. */
  readonly begin: Pick<EpochBegin, "base" | "executed" | "rows">;
  readonly makeEngine: (begin: EpochBegin) => Engine<M>;
}

export interface EpochStep {
  readonly nowMs: number;
  readonly speaks: boolean;
}

/**
 * All that changes with the validator set: who counts, this node's own place, the engine. An epoch's engine is made anew,
 * so that nothing of one epoch's votes can ever be counted in another.
 *
 * Invariant: `membership`, the network's set, `self` and `engine` are always of the same epoch.
 */
export class Epochs<M> {
  readonly network: CurrentNetwork;
  readonly #options: EpochsOptions<M>;
  #membership: MembershipState;
  #engine: Engine<M>;
  #ownLane: OwnLane | null;
  #base: Sequence;

  constructor(options: EpochsOptions<M>) {
    this.#options = options;
    this.network = new CurrentNetwork(options.network);
    this.#membership = options.membership;
    this.#engine = options.makeEngine({ network: this.network.frozen(), self: null, ...options.begin });
    this.#base = options.begin.base;
    this.#ownLane = this.self === null ? null : new OwnLane(this.network, this.self, options.ownTip);
  }

  /** This node's index where it is an active validator; null for an observer. */
  get self(): ValidatorIndex | null {
    return this.network.set.indexOf(this.#options.nodeId);
  }

  get engine(): Engine<M> {
    return this.#engine;
  }

  /** Null for an observer. */
  get ownLane(): OwnLane | null {
    return this.#ownLane;
  }

  get membership(): MembershipState {
    return this.#membership;
  }

  /** From now on this epoch's engine speaks: one that remembers what its rows say takes the listening one's place. */
  speak(executed: Sequence, rows: EpochBegin["rows"]): void {
    const { self } = this;
    this.#engine = this.#options.makeEngine({ network: this.network.frozen(), self, base: this.#base, executed, rows });
  }

  /**
   * Takes over what a batch left; where it ended the epoch, the next one begins. Answers whether it did. `speaks` says
   * whether this node's engine may vote at once.
   */
  onExecuted({ state, membership, changed }: Execution, { nowMs, speaks }: EpochStep): boolean {
    this.#membership = membership;
    if (changed === null) return false;
    this.network.advance(validatorSetOf(membership));
    const { lanes } = this.#options;
    lanes.onEpoch(this.network);
    // No engine is told of an epoch's last batch: what it executed must not be proposed again.
    state.lanes.forEach((tip, creator) => {
      lanes.onExecuted(creator as ValidatorIndex, tip, nowMs);
    });
    const { self } = this;
    if (self === null) {
      const reason = "this node is no validator any more: submit to one that is";
      this.#ownLane?.failAll(new NodeError("observer", reason));
      this.#ownLane = null;
    } else {
      this.#ownLane ??= new OwnLane(this.network, self, present(state.lanes[self], "this validator's lane"));
    }
    this.#base = state.epochBase;
    const begin = { base: state.epochBase, executed: state.epochBase, rows: null };
    this.#engine = this.#options.makeEngine({ network: this.network.frozen(), self: speaks ? self : null, ...begin });
    return true;
  }
}
