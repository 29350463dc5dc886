import type { NodeId } from "../crypto/identity.ts";
import { parsePeer } from "./config.ts";
import type { Genesis } from "./genesis.ts";

export interface KnownAddress {
  readonly nodeId: NodeId;
  readonly host: string;
  readonly port: number;
}

/**
 * Where to dial each validator: what `bootstrap_peers` says of it by name (`/p2p/<node id>`), else the genesis file's
 * address. An entry without a name is dropped with a word to the operator, unless it is a validator's address anyway:
 * who answers there is only known after the handshake, and a validator that moved is found by its name.
 */
export function peerAddresses(
  genesis: Genesis,
  bootstrapPeers: readonly string[],
  warn: (message: string) => void,
): readonly KnownAddress[] {
  const addresses = new Map<NodeId, KnownAddress>();
  for (const { nodeId, address } of genesis.validators) {
    const { host, port } = parsePeer(address);
    addresses.set(nodeId, { nodeId, host, port });
  }
  for (const entry of bootstrapPeers) {
    const { host, port, nodeId } = parsePeer(entry);
    const named = genesis.validators.find((validator) => validator.nodeId === nodeId);
    if (named !== undefined) addresses.set(named.nodeId, { nodeId: named.nodeId, host, port });
    else if (nodeId !== null) warn(`bootstrap_peers names ${nodeId}, which is no validator of this network`);
    else if (![...addresses.values()].some((known) => known.host === host && known.port === port)) {
      warn(
        `bootstrap_peers entry ${entry} is no validator's address in the genesis file: add /p2p/<node id> to say whose it is`,
      );
    }
  }
  return [...addresses.values()];
}
