import type { Fields } from "./fields.ts";
import type { NodeStatus } from "./vertices.ts";

/** What a subscription asks for, and how far it has come: so that another connection, or another node, goes on there. */
export interface Feed<E> {
  /** The message that begins it on a new connection. */
  hello(): object;
  /** Where it begins at the latest: what the node answered, or where the node stands. */
  begin(from: number): void;
  /** The new events of a message of the node, each once. @throws CretoError `bad-answer` where some are missing */
  take(message: Fields): readonly E[];
  /** What to say where a connection ended and something may have been missed; null where nothing can be. */
  interruption(): E | null;
  /** The node has more than was taken from it. */
  isBehind(status: NodeStatus): boolean;
  /** The address of the next events for who has no WebSocket; null where there is none. */
  poll(): { readonly path: string; readonly query: Readonly<Record<string, number>> } | null;
}
