import type { NodeId } from "../crypto/identity.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import type { Log } from "../node/observer.ts";
import { PeerBook } from "../node/peer-book.ts";
import type { Clock, Transport } from "../node/ports.ts";
import type { Ban } from "../peering/ban.ts";
import type { ViolationType } from "../peering/peer-score.ts";

export interface VirtualBookPorts {
  readonly validators: () => ValidatorSet;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly log: Log;
  /** From the node's earlier lives. */
  readonly bans: ReadonlyMap<NodeId, Ban>;
  readonly save: (bans: ReadonlyMap<NodeId, Ban>) => void;
  readonly onViolation: (peer: NodeId, type: ViolationType) => void;
  /** Answers whether the node still lives. */
  readonly onBanned: (peer: NodeId, reason: string) => boolean;
}

/** Production's book of peers, whose file beside the database is in the world's memory. */
export function virtualBook(ports: VirtualBookPorts): PeerBook {
  const { validators, clock, transport, log, bans, save, onViolation, onBanned } = ports;
  return new PeerBook({
    validators,
    clock,
    log,
    bans,
    save: (kept) => {
      save(kept);
      return Promise.resolve();
    },
    onViolation,
    onBanned: (peer, reason) => {
      if (onBanned(peer, reason)) transport.disconnect(peer, reason);
    },
  });
}
