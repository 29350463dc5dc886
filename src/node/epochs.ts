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
}

export interface EpochsOptions<M> {
  readonly network: NetworkContext;
  readonly nodeId: NodeId;
  readonly membership: MembershipState;
  readonly lanes: Lanes;
  /** Where this node's own lane goes on. */
  readonly ownTip: LaneTip;
  /** The engine of the epoch that was under way when this node went down. */
  readonly engine: Engine<M>;
  /** A new epoch's engine, with nothing to remember. */
  readonly makeEngine: (begin: EpochBegin) => Engine<M>;
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

  constructor(options: EpochsOptions<M>) {
    this.#options = options;
    this.network = new CurrentNetwork(options.network);
    this.#membership = options.membership;
    this.#engine = options.engine;
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

  /** Takes over what a batch left; where it ended the epoch, the next one begins. Answers whether it did. */
  onExecuted({ state, membership, changed }: Execution, nowMs: number): boolean {
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
    this.#engine = this.#options.makeEngine({ network: this.network.frozen(), self, base: state.epochBase });
    return true;
  }
}
