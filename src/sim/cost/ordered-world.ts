import type { Engine } from "../../consensus/engine.ts";
import type { Lanes } from "../../dag/lanes.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { Schedule } from "../schedule.ts";
import type { CostTable } from "./cost-table.ts";

/** A network whose leaders order everything, under clients that send their next request when the last one is final. */
export interface OrderedOptions<M> {
  readonly nodes: number;
  /** Requests under way in the whole network, spread evenly over the nodes. */
  readonly requests: number;
  readonly verticesPerRequest: number;
  readonly payloadBytes: number;
  readonly costs: CostTable;
  readonly makeEngine: (network: NetworkContext, self: ValidatorIndex, lanes: Lanes) => Engine<M>;
}

/** All that one receiver gets of one turn, under one signature; or a message of another that is passed on. */
export interface OrderedParcel<M> {
  readonly from: ValidatorIndex;
  readonly bytes: number;
  /** The receiver's event loop until the statements may go to the check of the signature. */
  readonly openUs: number;
  readonly messages: readonly Signed<M>[];
  readonly bundles: readonly HeldBundle[];
}

/** What a simulated node knows of the network around it. */
export interface OrderedWorld<M> {
  readonly options: OrderedOptions<M>;
  readonly context: NetworkContext;
  readonly schedule: Schedule;
  readonly payload: Uint8Array;
  register(held: HeldBundle, bytes: number): void;
  heldOf(digest: Hash): HeldBundle | undefined;
  /** A bundle's length on the wire. */
  bytesOf(digest: Hash): number;
  carry(parcel: OrderedParcel<M>, to: ValidatorIndex, atMs: number): void;
  onSent(messages: number, bytes: number): void;
  onStep(us: number): void;
  onFinal(submittedMs: number, vertices: number, atMs: number): void;
  onSlot(self: ValidatorIndex): void;
}
