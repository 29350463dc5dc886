import { AvalancheCore } from "../../consensus/avalanche/core.ts";
import { Participant, type ParticipantOptions } from "../../consensus/avalanche/participant.ts";
import { present } from "../../lib/assert.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { Random } from "../random.ts";
import type { DagClusterOptions } from "./dag-cluster-options.ts";
import type { MemberEngine } from "./dag-member.ts";

/** What one member's engine begins with. */
export interface MemberBegin
  extends Pick<ParticipantOptions, "restored" | "previous" | "earlier" | "remembersPrevious"> {
  readonly rows: readonly { readonly key: string; readonly value: Uint8Array }[];
  readonly life: number;
}

/** The engine of one member in one epoch and life; of a correct one with the bug that is planted, if any. */
export function makeMember(
  { params, seed, plant, liars }: DagClusterOptions,
  index: ValidatorIndex,
  network: NetworkContext,
  { life, ...begin }: MemberBegin,
): MemberEngine {
  let inside: Participant | null = null;
  const core = new AvalancheCore({
    network,
    self: network.set.has(index) ? index : null,
    params,
    random: Random.of(seed, 0x5a3, index, network.set.epoch, life),
    ...begin,
    makeParticipant: (options) => {
      const make = liars?.has(index) === true ? undefined : plant?.makeParticipant;
      inside = make?.(options) ?? new Participant(options);
      return inside;
    },
  });
  return { network, core, inside: present<Participant>(inside, "a participant") };
}
