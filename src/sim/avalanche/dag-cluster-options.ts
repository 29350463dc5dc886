import type { AvalancheMessage } from "../../consensus/avalanche/messages.ts";
import type { AvalancheParams } from "../../consensus/avalanche/params.ts";
import type { Participant, ParticipantOptions } from "../../consensus/avalanche/participant.ts";
import type { DagClaim, DagRestored } from "../../consensus/dag-engine.ts";
import type { Effect } from "../../consensus/engine.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { heardOf } from "./dag-log.ts";
import type { DagMember } from "./dag-member.ts";

/** How long a message is under way, in virtual milliseconds; and how many of a thousand are lost for good. */
export interface DagWeather {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  readonly lossPermille: number;
}

export type LiarEffect = Effect<AvalancheMessage>;

/** What a Byzantine validator does instead of what its engine wants. It has all keys of its own and sees everything. */
export interface DagLiar {
  /** Replaces one effect of its engine. */
  alter(effect: LiarEffect, self: ValidatorIndex): readonly LiarEffect[];
  /** Looks at a message before its engine does; true keeps it from the engine. */
  hear?(heard: { readonly from: ValidatorIndex; readonly message: AvalancheMessage }, self: ValidatorIndex): boolean;
  /** What it says of bundles to one who syncs. */
  claims?(claims: readonly DagClaim[], asker: ValidatorIndex): readonly DagClaim[];
  /** Whether it hands over a body that it holds. */
  serves?(held: HeldBundle, to: ValidatorIndex): boolean;
}

/** Who watches the correct members; throws a `DagViolation`. */
export interface DagWatch {
  onBundle(member: DagMember, held: HeldBundle): void;
  /** Before the effects of one step are performed. */
  onStep(member: DagMember, effects: readonly LiarEffect[]): void;
  onSaid(member: DagMember, message: AvalancheMessage): void;
  onHeard(member: DagMember, signed: Signed<AvalancheMessage>): void;
  onClaims(member: DagMember, from: ValidatorIndex, epoch: number, claims: readonly DagClaim[]): void;
  onReport(member: DagMember, effect: Extract<LiarEffect, { readonly kind: "report" }>): void;
  onDecided(member: DagMember, effect: Extract<LiarEffect, { readonly kind: "decide" }>): void;
  onResolved(member: DagMember, heard: ReturnType<typeof heardOf>): void;
  onBegin(member: DagMember, isRestart: boolean): void;
}

/** What is wrong with every correct member, for planted bugs. */
export interface DagPlant {
  readonly makeParticipant?: (options: ParticipantOptions) => Participant;
  /** Changes an effect of a correct member on its way. */
  readonly alter?: (effect: LiarEffect) => readonly LiarEffect[];
  /** Changes what one epoch's engine leaves to the next. */
  readonly handOver?: (left: DagRestored) => DagRestored;
}

export interface DagClusterOptions {
  readonly network: NetworkContext;
  readonly params: AvalancheParams;
  readonly seed: number;
  readonly weather: DagWeather;
  readonly liars?: ReadonlyMap<ValidatorIndex, DagLiar>;
  /** How long the ordered log takes for a report, in virtual milliseconds; null: there is no log. */
  readonly logMs: number | null;
  /** Whether a message passes now; a partition says no. Default: all do. */
  readonly passes?: (from: ValidatorIndex, to: ValidatorIndex, nowMs: number) => boolean;
  /** When a member that is cut off from the log hears of it again, in virtual milliseconds; `nowMs` for at once. */
  readonly logFrom?: (member: ValidatorIndex, nowMs: number) => number;
  /** Validators that join later; they only listen until an epoch takes them in. */
  readonly newcomers?: number;
  readonly plant?: DagPlant;
}
