import type { NodeId } from "../crypto/identity.ts";
import type { Connection } from "./connection.ts";

/** What becomes of a new authenticated connection. */
export type Admission =
  | { readonly kind: "first" }
  /** It takes the place of another connection to the same node. */
  | { readonly kind: "replaces"; readonly old: Connection }
  /** The other one stays. */
  | { readonly kind: "duplicate" };

/**
 * One connection for each pair of nodes, however both dial. Within one run of both processes the connection that the lower
 * node id dialed stays; both ends apply that rule and so agree. A peer with another incarnation has restarted: what it had
 * before is dead, and the new connection takes over at once, without waiting for the old one's idle time-out.
 */
export class PeerRegistry {
  readonly #self: NodeId;
  readonly #connections = new Map<NodeId, Connection>();

  constructor(self: NodeId) {
    this.#self = self;
  }

  get size(): number {
    return this.#connections.size;
  }

  get(peer: NodeId): Connection | undefined {
    return this.#connections.get(peer);
  }

  /** In ascending order of node id. */
  all(): readonly Connection[] {
    return [...this.#connections.values()].sort((left, right) =>
      left.identity.nodeId < right.identity.nodeId ? -1 : 1,
    );
  }

  admit(connection: Connection): Admission {
    const { nodeId, incarnation } = connection.identity;
    const old = this.#connections.get(nodeId);
    if (old === undefined) {
      this.#connections.set(nodeId, connection);
      return { kind: "first" };
    }
    const isRestart = old.identity.incarnation !== incarnation;
    const isPreferred = this.#isDialedByLower(connection) && !this.#isDialedByLower(old);
    if (!isRestart && !isPreferred && !old.isClosed) return { kind: "duplicate" };
    this.#connections.set(nodeId, connection);
    return { kind: "replaces", old };
  }

  /** Forgets a connection; false where another one has its place. */
  remove(connection: Connection): boolean {
    const { nodeId } = connection.identity;
    if (this.#connections.get(nodeId) !== connection) return false;
    return this.#connections.delete(nodeId);
  }

  #isDialedByLower(connection: Connection): boolean {
    const isOutbound = connection.direction === "outbound";
    return this.#self < connection.identity.nodeId ? isOutbound : !isOutbound;
  }
}
