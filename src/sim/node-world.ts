import type { NodeId } from "../crypto/identity.ts";
import type { Trace } from "../consensus/engine.ts";
import type { Hash } from "../lib/hash.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { MembershipState, ValidatorSetChanged } from "../membership/membership-state.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { ConsensusNode } from "../node/consensus-node.ts";
import type { LogLevel } from "../node/observer.ts";
import type { Replication } from "../node/replicated/replication.ts";
import type { FinalizedItem } from "../node/service.ts";
import type { Recoverable } from "../node/transfer/recovery.ts";
import type { ViolationType } from "../peering/peer-score.ts";
import type { TestedApplication } from "./applications/tested-application.ts";
import type { Plan } from "./plan.ts";
import type { Schedule } from "./schedule.ts";
import type { VirtualKeys } from "./virtual-keys.ts";
import type { VirtualNetwork } from "./virtual-network.ts";

/** What a node of the simulator (`N`) needs of the world around it. */
export interface NodeWorld<N> {
  readonly plan: Plan;
  readonly schedule: Schedule;
  readonly network: VirtualNetwork;
  readonly allKeys: ReadonlyMap<NodeId, VirtualKeys>;
  /** What every node begins with. */
  readonly membership: MembershipState;
  /** What the order drives; null for a log. */
  readonly application: TestedApplication | null;
  networkContext(): NetworkContext;
  /** One life's replicated application is made: with somebody who looks on, where it is a correct node's. */
  onReplication(node: N, replication: Replication): Replication;
  onLog(node: N, level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void;
  onTrace(node: N, trace: Trace): void;
  /** The disk is read, nothing was said yet. */
  onOpened(node: N, opened: ConsensusNode): Promise<void>;
  onCrash(node: N): void;
  onRecovery(node: N, recovery: Recoverable): void;
  onFatal(node: N, error: unknown): void;
  onSubmitted(payload: Uint8Array): void;
  onAccepted(node: N, hashes: readonly Hash[], payloads: readonly Uint8Array[]): void;
  onEquivocation(node: N, equivocation: Equivocation): void;
  onFinal(node: N, items: readonly FinalizedItem[]): void;
  onValidators(node: N, changed: ValidatorSetChanged): void;
  onRejected(node: N, peer: NodeId, reason: string): void;
  onViolation(node: N, peer: NodeId, type: ViolationType): void;
  onBanned(node: N, peer: NodeId, reason: string): void;
}
