import type { CheckpointCertificate, CommittedSlot } from "../consensus/engine.ts";
import type { Lanes } from "../dag/lanes.ts";
import type { ResolutionState } from "../dag/resolution-state.ts";
import type { ValidatorSetChanged } from "../membership/membership-state.ts";
import type { Execution, ExecutionState } from "../replication/executor.ts";
import type { BundlePool } from "./bundle-pool.ts";
import type { Epochs } from "./epochs.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import type { LoopObserver } from "./observer.ts";
import type { Remembered } from "./start-gate.ts";
import type { SeenValidator } from "./reporter.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Replication } from "./replicated/replication.ts";
import type { StateProofs } from "./state-proofs.ts";
import type { StateOffers } from "./transfer/state-offers.ts";
import type { Validator } from "../membership/validator-set.ts";
import type { SealedFrame } from "./wire.ts";
import type { DagParts } from "./dag-loop.ts";
import type { Clock, Database, Entropy, Lane, Signer, Transport, Verifier } from "./ports.ts";

/** What the loop is made of, and whom it tells. */
export interface LoopOptions<M> {
  /** The validator set, this node's place in it, and the engine, as they change. */
  readonly epochs: Epochs<M>;
  /** The same object that the engine orders from. */
  readonly lanes: Lanes;
  readonly ledger: Ledger;
  readonly pool: BundlePool;
  readonly execution: ExecutionState;
  /** The open conflicts that `execution` stands for. */
  readonly resolution: ResolutionState;
  /** The application that the order drives; null where there is none. */
  readonly replication: Replication | null;
  readonly checkpoint: CheckpointCertificate | null;
  readonly proofs: StateProofs;
  /** What of the states on this disk others may take over. */
  readonly offers: StateOffers;
  /** So many batches behind, the state is taken over instead of the log; 0 for never while somebody has the log. */
  readonly gap: number;
  /** A quorum said that these are validators: what they sign can be checked from now on. */
  readonly learnKeys: (validators: readonly Validator[]) => void;
  /** What this node's disk shows that it said in this epoch. */
  readonly remembered: Remembered;
  readonly database: Database;
  readonly transport: Transport;
  readonly signer: Signer;
  readonly verifier: Verifier;
  readonly clock: Clock;
  /** Unpredictable bytes in production. */
  readonly entropy: Entropy;
  /** Null in a network that orders everything. */
  readonly dag: DagParts | null;
  readonly observer: LoopObserver;
  /** What the guard at the transport saw of the other validators; null where nobody watches. */
  readonly observations: () => readonly SeenValidator[] | null;
  /** Looks at what each validator sealed itself, for the score that this node keeps of it. */
  readonly inspect: (peer: NodeId, lane: Lane, frame: SealedFrame) => void;
  /** How often this node looks whether it has something to report, in milliseconds. */
  readonly reportIntervalMs: number;
  /** Executed and durable: `execution.executed` took their places. */
  readonly onExecuted: (execution: Execution, slot: CommittedSlot, bundles: readonly StoredBundle[]) => void;
  /** Another validator set begins now. */
  readonly onMembers: (changed: ValidatorSetChanged) => void;
  /** And that is durable. */
  readonly onEpoch: (changed: ValidatorSetChanged) => void;
  /** Own bundles that became durable. */
  readonly onProposed: (stored: StoredBundle) => void;
  /** The node must stop: what it says could no longer be trusted. */
  readonly onFatal: (error: unknown) => void;
}
