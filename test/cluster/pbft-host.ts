import type { Engine } from "../../src/consensus/engine.ts";
import { restore } from "../../src/consensus/pbft/durable.ts";
import { PbftEngine } from "../../src/consensus/pbft/engine.ts";
import type { Windows } from "../../src/consensus/pbft/limits.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";
import type { Host } from "./host.ts";

/** Small windows: a few places, and checkpoints, truncation and watermarks all take part in every run. */
export const SMALL_WINDOWS: Windows = { checkpointInterval: 4, sendWindow: 12, receiveWindow: 24 };

/** The engine of one life, from what the disk of the host holds. */
export function pbftOf(
  host: Host,
  options: { readonly network?: NetworkContext; readonly windows?: Windows } = {},
): Engine<PbftMessage> {
  const { network = host.cluster.network, windows = SMALL_WINDOWS } = options;
  return new PbftEngine({
    network,
    self: host.self,
    lanes: host.lanes,
    timeouts: host.cluster.timeouts,
    windows,
    executed: host.disk.execution.sequence,
    restored: restore(host.disk.engineRows()),
  });
}
