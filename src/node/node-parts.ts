import type { NodeId } from "../crypto/identity.ts";
import type { MembershipState, ValidatorSetChanged } from "../membership/membership-state.ts";
import type { NetworkContext, Validator } from "../membership/validator-set.ts";
import type { CommutativeApplication } from "../replication/application.ts";
import type { EngineParts } from "./engines.ts";
import type { LoopObserver } from "./observer.ts";
import type { Clock, Database, Lane, Signer, Transport, Verifier } from "./ports.ts";
import type { Replication } from "./replicated/replication.ts";
import type { SeenValidator } from "./reporter.ts";
import type { NodeLimits } from "./submission-refusal.ts";
import type { SealedFrame } from "./wire.ts";

/** What a node is made of: its adapters, what its genesis says, and whom it tells. */
export interface NodeParts extends EngineParts {
  /** The network with the validators of its genesis; how it goes on is on the disk. */
  readonly network: NetworkContext;
  /** The membership at genesis. */
  readonly membership: MembershipState;
  readonly nodeId: NodeId;
  readonly database: Database;
  readonly transport: Transport;
  readonly signer: Signer;
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly observer: LoopObserver;
  readonly limits: NodeLimits;
  readonly alpn: string;
  /** Where the genesis file says that its validators are, `host:port`; for people. */
  readonly addresses?: ReadonlyMap<NodeId, string>;
  readonly onFatal: (error: unknown) => void;
  /** The validators that are known now: at the start, and after every change. Keys and addresses follow them. */
  readonly onMembership?: (membership: MembershipState, changed: ValidatorSetChanged | null) => void;
  /** What was seen of the other validators; nothing is reported without. */
  readonly observations?: () => readonly SeenValidator[];
  /** Looks at what each validator sealed itself; see `PeerGuard.inspect`. */
  readonly inspect?: (peer: NodeId, lane: Lane, frame: SealedFrame) => void;
  /** How often to look whether something is to be reported, in milliseconds. Default 60,000. */
  readonly reportIntervalMs?: number;
  /** What judges the vertices of a leaderless network; null, and by default, payloads are opaque. */
  readonly application?: Pick<CommutativeApplication, "claimOf"> | null;
  /** What the order drives; null, and by default, nothing. */
  readonly replication?: Replication | null;
  /**
   * So many batches behind, the application's state is taken over from peers, and not the log. Default 0: only where nobody has
   * the log any more.
   */
  readonly joinGap?: number;
  /** A quorum said that these are validators of a later epoch: what they sign is to be checked. */
  readonly learnKeys?: (validators: readonly Validator[]) => void;
}
