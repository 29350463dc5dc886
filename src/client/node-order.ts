import { CretoError } from "./creto-error.ts";
import { Fields } from "./fields.ts";
import type { PooledNode } from "./node-pool.ts";
import type { Patience } from "./patience.ts";
import type { Answer, Ask, Transport } from "./transport.ts";
import { type NodeStatus, statusOf } from "./vertices.ts";

const STATUS: Ask = { method: "GET", path: "/v1/status", isRepeatable: true };

/** What the client knows of its network: which one it is, and whether all nodes have one order. */
export class NodeOrder {
  readonly #transport: Transport;
  #genesis: string | null;
  #isLeaderless: boolean | null = null;

  /** @param genesis the network's hash, where the caller knows it */
  constructor(transport: Transport, genesis: string | null) {
    this.#transport = transport;
    this.#genesis = genesis;
  }

  /** @throws CretoError `wrong-network` where the node has another genesis than the one before it */
  async status(patience: Patience): Promise<NodeStatus> {
    return this.#learned(await this.#transport.ask(STATUS, patience));
  }

  /** As `status`, of this node, asked once. */
  async statusOf(node: PooledNode, patience: Patience): Promise<NodeStatus> {
    return this.#learned(await this.#transport.askOnce(STATUS, node, patience));
  }

  /** The only node whose sequence numbers mean the same as before; null where all share one order. */
  async pin(patience: Patience): Promise<PooledNode | null> {
    if (this.#isLeaderless === false) return null;
    const { isLeaderless, node } = await this.status(patience);
    return isLeaderless ? { url: node } : null;
  }

  #learned({ body, node: { url } }: Answer): NodeStatus {
    const status = statusOf(new Fields(body, "status"), url);
    this.#genesis ??= status.genesis;
    if (status.genesis !== this.#genesis) {
      const what = `${url} is of the network ${status.genesis}, not of ${this.#genesis}`;
      throw new CretoError("wrong-network", `${what}: take it off the list of nodes`, { node: url });
    }
    this.#isLeaderless = status.isLeaderless;
    return status;
  }
}
