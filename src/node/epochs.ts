import type { DagRestored } from "../consensus/dag-engine.ts";
import type { Engine } from "../consensus/engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { LaneTip, Lanes } from "../dag/lanes.ts";
import { present } from "../lib/assert.ts";
import type { Nonce, Sequence, ValidatorIndex } from "../membership/ids.ts";
import {
  EARLIER_SETS_MAX,
  earlierSetsOf,
  type MembershipState,
  validatorSetOf,
} from "../membership/membership-state.ts";
import type { NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import type { Execution } from "../replication/executor.ts";
import { CurrentNetwork } from "./current-network.ts";
import { DagLane } from "./dag-lane.ts";
import type { OpenedDag } from "./dag-restore.ts";
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
  /** What a leaderless engine begins with; null where everything is ordered. */
  readonly dag: DagRestored | null;
  /** The validators of the epoch before; null in the first. */
  readonly previous: ValidatorSet | null;
  /** Those of the epochs before that one, the newest first; some of them. */
  readonly earlier: readonly ValidatorSet[];
  /** Whether this process took part in that epoch, or in the last one that it was a validator of: what it knew is in `dag`. */
  readonly remembersPrevious: boolean;
}

export interface EpochsOptions<M> {
  readonly network: NetworkContext;
  readonly nodeId: NodeId;
  readonly membership: MembershipState;
  readonly lanes: Lanes;
  /** Where this node's own lane goes on. */
  readonly ownTip: LaneTip;
  /** What the engine that was under way left; it only listens until the gate is free. */
  readonly begin: Pick<EpochBegin, "base" | "executed" | "rows" | "dag" | "previous" | "earlier">;
  /** Where this node's own lane of a leaderless network goes on; null where everything is ordered. */
  readonly ownDag: { readonly placed: LaneTip; readonly tip: LaneTip } | null;
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
  #dagLane: DagLane | null;
  #base: Sequence;
  #previous: ValidatorSet | null;
  #earlier: readonly ValidatorSet[];
  #remembersPrevious = false;

  constructor(options: EpochsOptions<M>) {
    this.#options = options;
    this.network = new CurrentNetwork(options.network);
    this.#membership = options.membership;
    const { base, previous, earlier } = options.begin;
    this.#earlier = earlier;
    this.#base = base;
    this.#previous = previous;
    const frozen = this.network.frozen();
    this.#engine = options.makeEngine({ network: frozen, self: null, remembersPrevious: false, ...options.begin });
    const { self } = this;
    this.#ownLane = self === null ? null : new OwnLane(this.network, self, options.ownTip);
    this.#dagLane = self === null || options.ownDag === null ? null : new DagLane(this.network, self, options.ownDag);
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

  /** Null for an observer, and in a network that orders everything. */
  get dagLane(): DagLane | null {
    return this.#dagLane;
  }

  get membership(): MembershipState {
    return this.#membership;
  }

  /** From now on this epoch's engine speaks: one that remembers what its rows say takes the listening one's place. */
  speak(executed: Sequence, rows: EpochBegin["rows"]): void {
    const { self } = this;
    const begin = { network: this.network.frozen(), self, base: this.#base, executed, rows };
    this.#engine = this.#options.makeEngine({ ...begin, ...this.#handOver() });
  }

  /**
   * Takes over what a batch left; where it ended the epoch, the next one begins. Answers whether it did. `speaks` says
   * whether this node's engine may vote at once.
   */
  onExecuted({ state, membership, changed }: Execution, { nowMs, speaks }: EpochStep): boolean {
    this.#membership = membership;
    if (changed === null) return false;
    if (this.#previous !== null) this.#earlier = [this.#previous, ...this.#earlier].slice(0, EARLIER_SETS_MAX);
    this.#previous = this.network.set;
    // A validator that only listened knows of no certificate but by what it was told; who had left still knows what it knew.
    if (this.self !== null) this.#remembersPrevious = speaks;
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
      this.failAll(new NodeError("observer", reason));
      this.#ownLane = null;
      this.#dagLane = null;
    } else {
      this.#ownLane ??= new OwnLane(this.network, self, present(state.lanes[self], "this validator's lane"));
      this.#dagLane ??= this.#newDagLane(self);
    }
    this.#base = state.epochBase;
    const begin = { base: state.epochBase, executed: state.epochBase, rows: null, ...this.#handOver() };
    this.#engine = this.#options.makeEngine({ network: this.network.frozen(), self: speaks ? self : null, ...begin });
    return true;
  }

  /** Whoever waits for what this node said learns that it comes to nothing here. */
  failAll(error: NodeError): void {
    this.#ownLane?.failAll(error);
    this.#dagLane?.failAll(error);
  }

  /** What one engine leaves to the next one beside its rows. */
  #handOver(): Pick<EpochBegin, "dag" | "previous" | "earlier" | "remembersPrevious"> {
    const dag = this.#engine.dag?.handOver() ?? null;
    const known = {
      previous: this.#previous,
      earlier: this.#earlier,
      remembersPrevious: this.#remembersPrevious,
    };
    if (dag === null) return { dag, ...known };
    const lanes = this.network.set.roster.map((_, place) => dag.lanes[place] ?? this.#genesisTip());
    return { dag: { ...dag, lanes }, ...known };
  }

  /** This node becomes a validator, perhaps again: its lane goes on behind what of it holds. */
  #newDagLane(self: ValidatorIndex): DagLane | null {
    const handed = this.#engine.dag?.handOver() ?? null;
    if (handed === null) return null;
    const placed = handed.lanes[self] ?? this.#genesisTip();
    return new DagLane(this.network, self, { placed, tip: placed });
  }

  #genesisTip(): LaneTip {
    return { nonce: 0 as Nonce, tip: this.network.genesis };
  }
}

/** The sets before this epoch, from the membership with which the last one ended; null in the first. */
export function setsBefore(ended: MembershipState | null): Pick<EpochBegin, "previous" | "earlier"> {
  return ended === null
    ? { previous: null, earlier: [] }
    : { previous: validatorSetOf(ended), earlier: earlierSetsOf(ended) };
}

/** Where this node's own lane in the DAG goes on; null for an observer, and in a network that orders everything. */
export function ownDagOf(dag: OpenedDag | null, self: ValidatorIndex | null): EpochsOptions<never>["ownDag"] {
  return dag === null || self === null ? null : { placed: dag.order.laneOf(self), tip: dag.restored.ownTip };
}
