import { encode } from "../../src/codec/codec.ts";
import type { CommittedSlot, DurableWrite } from "../../src/consensus/engine.ts";
import { committedSlotCodec } from "../../src/consensus/log-codec.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import type { LaneTip } from "../../src/dag/lanes.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Sequence, ValidatorIndex } from "../../src/membership/ids.ts";
import type { Proof } from "../../src/membership/seal.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";
import { type ExecutionState, genesisState } from "../../src/replication/executor.ts";
import { membershipOf } from "./signing.ts";

export interface Stored {
  readonly held: HeldBundle;
  readonly body: Uint8Array;
  readonly proof: Proof;
}

/** What survives a crash: the engine's rows, the ledger and the bundles. */
export class Disk {
  readonly rows: Map<string, Uint8Array> = new Map();
  readonly bundles: Map<Hash, Stored> = new Map();
  readonly log: Map<Sequence, Uint8Array> = new Map();
  execution: ExecutionState;

  constructor(network: NetworkContext) {
    this.execution = genesisState(network, membershipOf(network));
  }

  write(writes: readonly DurableWrite[]): void {
    for (const { key, value } of writes) {
      if (value === null) this.rows.delete(key);
      else this.rows.set(key, value);
    }
  }

  record(slot: CommittedSlot, state: ExecutionState): void {
    this.log.set(slot.sequence, encode(committedSlotCodec, slot));
    this.execution = state;
  }

  engineRows(): readonly { readonly key: string; readonly value: Uint8Array }[] {
    return [...this.rows]
      .map(([key, value]) => ({ key, value }))
      .sort((left, right) => (left.key < right.key ? -1 : 1));
  }

  /** Bundles that wait to be ordered, in the order of their lanes. */
  waiting(creator?: ValidatorIndex): readonly Stored[] {
    return [...this.bundles.values()]
      .filter(({ held: { ref } }) => creator === undefined || ref.creator === creator)
      .filter(({ held: { ref } }) => ref.firstNonce > (this.execution.lanes[ref.creator]?.nonce ?? 0))
      .sort(({ held: { ref: left } }, { held: { ref: right } }) => {
        return (
          left.creator - right.creator || left.firstNonce - right.firstNonce || (left.digest < right.digest ? -1 : 1)
        );
      });
  }

  /** The end of the lane of this disk's owner. */
  laneEnd(network: NetworkContext, creator: ValidatorIndex): LaneTip {
    let end: LaneTip = this.execution.lanes[creator] ?? { nonce: 0 as LaneTip["nonce"], tip: network.genesis };
    for (const { held } of this.bundles.values()) {
      const { ref } = held;
      const nonce = (ref.firstNonce + ref.count - 1) as LaneTip["nonce"];
      if (ref.creator === creator && nonce > end.nonce) end = { nonce, tip: ref.tip };
    }
    return end;
  }
}
