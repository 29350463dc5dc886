import type { Engine } from "../consensus/engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import { dagReasons } from "./dag-desk.ts";
import type { PeerInfo } from "./ports.ts";
import type { Readiness } from "./service.ts";

interface Standing {
  readonly failed: boolean;
  readonly stopping: boolean;
  /** Validators that can be reached, this node included. */
  readonly connected: number;
  readonly set: ValidatorSet;
  readonly silence: string | null;
  readonly engine: Pick<Engine<unknown>, "status" | "dag">;
}

/** Why a node cannot finalize now, in words for an operator. */
export function readinessOf({ failed, stopping, connected, set, silence, engine }: Standing): Readiness {
  const reasons: string[] = [];
  if (failed) reasons.push("the node failed; its log says why");
  if (stopping) reasons.push("the node is stopping");
  if (connected < set.quorum) {
    const who = `${connected} of ${set.size} validators are connected (this node included)`;
    reasons.push(`${who}, ${set.quorum} are needed`);
  }
  if (silence !== null) reasons.push(silence);
  const { active, view } = engine.status();
  if (!active) reasons.push(`a view change to view ${view} is under way`);
  reasons.push(...dagReasons(engine.dag?.status() ?? null));
  return { ready: reasons.length === 0, reasons };
}

/** How many validators of the set can be reached from this node, itself included where it is one. */
export function connectedIn(set: ValidatorSet, self: NodeId, peers: readonly Pick<PeerInfo, "nodeId">[]): number {
  const others = peers.filter(({ nodeId }) => set.indexOf(nodeId) !== null).length;
  return others + (set.indexOf(self) === null ? 0 : 1);
}
