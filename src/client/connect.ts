import { Client } from "./client.ts";
import { NodePool } from "./node-pool.ts";
import type { SessionOptions } from "./session.ts";
import type { WebSocketMaker } from "./socket.ts";
import { type Fetch, Transport } from "./transport.ts";

export interface ConnectOptions {
  /** Addresses of nodes of one network, such as `http://127.0.0.1:8080`. One is used until it fails. */
  readonly nodes: readonly string[];
  /** How long a call may take with all its retries, unless it says otherwise; 30,000 ms. */
  readonly timeoutMs?: number;
  /** How long one node may take for an answer before another one is asked; 5,000 ms. */
  readonly attemptTimeoutMs?: number;
  /** How long a stream may be silent before its node is looked after; 10,000 ms. */
  readonly heartbeatMs?: number;
  /** The network's genesis hash: nodes of another network are refused where streams and statuses tell theirs. */
  readonly genesis?: string;
  /** Who this client is to the network's application, so that a command sent again after a crash is applied once. */
  readonly session?: SessionOptions;
  /** The validators that `verified` believes: what `cretoai-node verify --write-trusted` wrote, or `Client.trusted` was. */
  readonly trusted?: Uint8Array;
  /** In the place of the runtime's. */
  readonly fetch?: Fetch;
  /** In the place of the runtime's, and where it has none: Node before 22. */
  readonly webSocket?: WebSocketMaker;
}

const TIMEOUT_MS = 30_000;
const ATTEMPT_MS = 5_000;
const HEARTBEAT_MS = 10_000;

/**
 * A client of the network that these nodes belong to. Nothing is sent yet.
 * @throws CretoError `invalid-argument`
 */
export function connect(options: ConnectOptions): Client {
  const { nodes, timeoutMs = TIMEOUT_MS, attemptTimeoutMs = ATTEMPT_MS, heartbeatMs = HEARTBEAT_MS } = options;
  // Called as a method of nothing else, as browsers insist.
  const send: Fetch = options.fetch ?? ((url, init) => fetch(url, init));
  return new Client({
    transport: new Transport(new NodePool(nodes), send, attemptTimeoutMs),
    webSocket: options.webSocket ?? ownWebSocket(),
    timeoutMs,
    heartbeatMs,
    genesis: options.genesis ?? null,
    session: options.session ?? {},
    trusted: options.trusted ?? null,
  });
}

/** Node has one from 22 on. */
function ownWebSocket(): WebSocketMaker | null {
  return typeof WebSocket === "undefined" ? null : WebSocket;
}
