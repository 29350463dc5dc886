import type { AvalancheParams } from "../../consensus/avalanche/params.ts";
import type { DagEvent } from "../../consensus/dag-engine.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { Random } from "../random.ts";
import type { Schedule } from "../schedule.ts";
import type { EngineCosts } from "./avalanche-charges.ts";
import type { MemoryTape } from "./avalanche-memory-tape.ts";
import type { StepMeter } from "./avalanche-meter.ts";
import type { Parcel } from "./avalanche-turn.ts";
import type { CostTable } from "./cost-table.ts";

export interface ScaleOptions {
  readonly nodes: number;
  readonly params: AvalancheParams;
  /** The least time between two turns of one node, in milliseconds. */
  readonly turnMs: number;
  /** Vertices a second that clients submit in the whole network, spread over the nodes that speak. */
  readonly loadPerS: number;
  readonly payloadBytes: number;
  /** Nodes that are down from the beginning; the last ones. */
  readonly silent: number;
  readonly seed: number;
  readonly costs: CostTable;
  readonly engineCosts: EngineCosts;
  /**
   * So many nodes hold copies of their own of all that they get, with seals of real size, as in processes of their own: for
   * measuring memory. The others share what they got.
   */
  readonly copying: number;
  /** Writes down all that the first node hears and does; null where nobody plays it again. */
  readonly tape?: MemoryTape | null;
}

/** Who asks others for something. */
export interface Asker {
  receiveFetched(bundles: readonly HeldBundle[], nowMs: number): void;
  onEvent(event: DagEvent): void;
}

/** What a simulated node knows of the network around it. */
export interface ScaleWorld {
  readonly options: ScaleOptions;
  readonly context: NetworkContext;
  readonly schedule: Schedule;
  readonly meter: StepMeter;
  readonly payload: Uint8Array;
  randomOf(index: ValidatorIndex): Random;
  register(held: HeldBundle, bytes: number): void;
  /** A bundle's length on the wire. */
  bytesOf(ref: { readonly digest: Hash }): number;
  carry(parcel: Parcel, to: ValidatorIndex, atMs: number): void;
  fetch(asker: Asker, names: readonly Hash[], nowMs: number): void;
  sync(asker: Asker, from: ValidatorIndex, nowMs: number): void;
  proofOf(from: ValidatorIndex): Proof;
  onFinal(finals: readonly { readonly submittedMs: number; readonly polls: number }[], atMs: number): void;
}
