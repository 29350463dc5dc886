import type { AvalancheOptions } from "../consensus/avalanche/engine.ts";
import { deriveParams } from "../consensus/avalanche/params.ts";
import type { Engine } from "../consensus/engine.ts";
import type { HotStuffOptions } from "../consensus/hotstuff/engine.ts";
import type { HotStuffMessage } from "../consensus/hotstuff/messages.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";
import type { NodeParts } from "../node/node-parts.ts";
import type { NodeMessage } from "../node/engines.ts";
import type { Plan } from "./plan.ts";
import type { Random } from "./random.ts";

/** What a plan says of engines other than PBFT, as a node is told it. */

export function hotStuffParts(
  { hotstuff, windows }: Plan,
  make: (options: HotStuffOptions) => Engine<HotStuffMessage>,
): Partial<NodeParts> {
  return {
    engine: "hotstuff",
    hotstuff,
    makeHotStuff: (options) => make({ ...options, checkpointInterval: windows.checkpointInterval }),
  };
}

/** @param make absent for production's engine */
export function leaderlessParts(
  { sampling }: Plan,
  random: Random,
  make?: (options: AvalancheOptions<PbftMessage>) => Engine<NodeMessage>,
): Partial<NodeParts> {
  return {
    engine: "avalanche",
    entropy: { bytes: (count) => Uint8Array.from({ length: count }, () => random.below(256)) },
    avalancheParams: (nodes) => deriveParams(nodes, sampling),
    ...(make === undefined ? {} : { makeLeaderless: make }),
  };
}
