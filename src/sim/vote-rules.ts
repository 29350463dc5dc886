import type { Effect, EngineEvent, EngineStatus } from "../consensus/engine.ts";
import type { Epoch } from "../membership/ids.ts";
import type { NodeMessage } from "../node/engines.ts";
import type { SealedFrame } from "../node/wire.ts";

/** Looks at a row of the node's disk as it is now, without delay. */
export type DurableRow = (epoch: Epoch, key: string) => Uint8Array | undefined;

/**
 * What one protocol says that its votes must never do, watched from outside: an ordered engine's rules are one of these,
 * those of a leaderless one another. Each passes over what is not its own engine's.
 */
export interface VoteRules {
  /** Checks that were made. */
  readonly checks: number;
  /** A life begins: what was not durable may be done again. */
  onStart(place: number, executed: number): void;
  /** Another engine takes over: its views count from 0 again. */
  onEngine(place: number, epoch: Epoch): void;
  /** Its disk is gone, and with it what it must remember; what it said stays said. */
  onDiskLost(place: number): void;
  /** After a step of an ordered engine. @throws Violation */
  onStep(place: number, event: EngineEvent<NodeMessage>, status: EngineStatus): void;
  /** What an ordered engine of a correct node has the node do, before it is done. @throws Violation */
  onEffect(place: number, effect: Effect<NodeMessage>): void;
  /** What left a correct node; a frame to all is looked at once. @throws Violation */
  onSent(place: number, frame: SealedFrame, row: DurableRow): void;
}
