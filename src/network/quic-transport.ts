import { connect, type QuicEndpoint, type QuicSession, type QuicStream, type SessionOptions } from "node:quic";
import type { NodeId, PublicKeys } from "../crypto/identity.ts";
import type { HybridSignature } from "../crypto/signature.ts";
import type { Hash } from "../lib/hash.ts";
import type { PeerIdentity, RefusalCode, Role } from "../peering/handshake.ts";
import type {
  Clock,
  Entropy,
  Lane,
  PeerInfo,
  PeerRole,
  SendOutcome,
  Transport,
  TransportHandler,
} from "../node/ports.ts";
import { listenBound } from "./bound-endpoint.ts";
import { createTlsCredentials, type TlsCredentials } from "./certificate.ts";
import { closeEndpointAfter, closeSession, Connection } from "./connection.ts";
import { Dialer, hostAndPort, type PeerAddress } from "./dialer.ts";
import { channelBinding } from "./exporter.ts";
import { HandshakeFailed, performHandshake } from "./handshake-driver.ts";
import {
  BIDI_STREAMS_MAX,
  HANDSHAKE_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  SESSION_WINDOW_BYTES,
  STREAM_WINDOW_BYTES,
  UNI_STREAMS_MAX,
} from "./limits.ts";
import { NO_NETWORK_METRICS, type NetworkMetrics } from "./network-metrics.ts";
import { PeerRegistry } from "./peer-registry.ts";
import { TransportError } from "./transport-error.ts";

/** The application protocol of RFC 7301; the version of our own handshake is inside it. */
export const ALPN = "cretoai/1";

/** X25519 and ML-KEM-768 together, and no other group: there is nothing to downgrade to. */
const GROUPS = "X25519MLKEM768";

/** How long a refused peer may take to read why, before its session is ended. */
const REFUSAL_LINGER_MS = 250;

const CLOSE_FLUSH_MS = 500;

export type NetworkLog = (
  level: "debug" | "info" | "warn" | "error",
  event: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export interface QuicTransportOptions {
  readonly nodeId: NodeId;
  readonly publicKeys: PublicKeys;
  readonly sign: (message: Uint8Array) => Promise<HybridSignature>;
  readonly verify: (keys: PublicKeys, message: Uint8Array, signature: HybridSignature) => Promise<boolean>;
  readonly hybrid: boolean;
  readonly genesis: Hash;
  /** Port 0 takes a free one; see `address`. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly peers: readonly PeerAddress[];
  /** Whether a node may connect, and as what; null refuses it. */
  readonly admit: (peer: NodeId) => PeerRole | null;
  readonly maxPeers: number;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly metrics?: NetworkMetrics;
  readonly log?: NetworkLog;
}

export interface QuicTransport extends Transport {
  /** Where the socket listens; null before `start`. */
  readonly address: { readonly host: string; readonly port: number } | null;
  /**
   * An address learned at run time (a validator that joined, or moved): dialed from now on.
   * @param address `host:port`, an IPv6 host in brackets
   * @throws TransportError `bad-address` where it cannot be read, or there is no room for one more
   */
  setAddress(peer: NodeId, address: string): void;
  /** Dials this peer no more and ends its connection; whether it may connect by itself is `admit`'s. */
  forget(peer: NodeId): void;
}

export function createQuicTransport(options: QuicTransportOptions): QuicTransport {
  return new QuicTransportImpl(options);
}

class QuicTransportImpl implements QuicTransport {
  readonly #options: QuicTransportOptions;
  readonly #metrics: NetworkMetrics;
  readonly #log: NetworkLog;
  readonly #registry: PeerRegistry;
  readonly #dialer: Dialer;
  readonly #credentials: TlsCredentials;
  readonly #incarnation: number;
  readonly #tickets = new Map<string, Uint8Array>();
  /** Sessions whose handshake is under way. */
  #unproved = 0;
  #handler: TransportHandler | null = null;
  #endpoint: QuicEndpoint | null = null;
  #closed = false;

  constructor(options: QuicTransportOptions) {
    this.#options = options;
    this.#metrics = options.metrics ?? NO_NETWORK_METRICS;
    this.#log = options.log ?? (() => undefined);
    this.#registry = new PeerRegistry(options.nodeId);
    this.#credentials = createTlsCredentials(options.clock.nowMs());
    this.#incarnation = incarnationOf(options.entropy.bytes(6));
    this.#dialer = new Dialer({
      self: options.nodeId,
      clock: options.clock,
      entropy: options.entropy,
      peers: options.peers,
      isConnected: (peer) => this.#registry.get(peer) !== undefined,
      isWelcome: (peer) => options.admit(peer) !== null,
      dial: (peer) => this.#dial(peer),
    });
  }

  get address(): { readonly host: string; readonly port: number } | null {
    const address = this.#endpoint?.address;
    return address === undefined || address === null ? null : { host: address.address, port: address.port };
  }

  async start(handler: TransportHandler): Promise<void> {
    this.#handler = handler;
    const { host, port } = this.#options.listen;
    try {
      this.#endpoint = await listenBound((session) => this.#onSession(session), this.#listenOptions(host, port));
    } catch (error) {
      throw new TransportError(
        "cannot-listen",
        `cannot listen on UDP ${host}:${port}: ${String(error)}. If another program has the port, choose another quic_port.`,
        error,
      );
    }
    this.#dialer.start();
  }

  send(peer: NodeId, lane: Lane, frame: Uint8Array): SendOutcome {
    const connection = this.#registry.get(peer);
    if (connection === undefined) {
      this.#metrics.onDropped(lane, "not-connected");
      return "not-connected";
    }
    return connection.send(lane, frame);
  }

  async request(peer: NodeId, body: Uint8Array, { timeoutMs }: { readonly timeoutMs: number }): Promise<Uint8Array> {
    const connection = this.#registry.get(peer);
    if (connection === undefined) throw new TransportError("not-connected", `${peer} is not connected`);
    return await connection.request(body, timeoutMs);
  }

  peers(): readonly PeerInfo[] {
    return this.#registry.all().map((connection) => connection.info());
  }

  disconnect(peer: NodeId, reason: string): void {
    this.#registry.get(peer)?.close("dismissed", reason);
  }

  setAddress(peer: NodeId, address: string): void {
    if (this.#dialer.set({ nodeId: peer, ...hostAndPort(address) })) return;
    throw new TransportError("bad-address", `no room for the address of ${peer}: forget validators that left`);
  }

  forget(peer: NodeId): void {
    this.#dialer.forget(peer);
    this.disconnect(peer, "no peer any more");
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#dialer.stop();
    const connections = this.#registry.all();
    await Promise.all(connections.map((connection) => connection.closeGracefully("shutdown", CLOSE_FLUSH_MS)));
    this.#endpoint?.closed.catch(() => undefined);
    this.#endpoint?.destroy();
  }

  #onSession(session: QuicSession): void {
    const { maxPeers } = this.#options;
    session.onerror = () => undefined;
    session.closed.catch(() => undefined);
    // Unproved sessions are bounded by the peers that could become of them, and as many that are only trying.
    if (this.#closed || this.#unproved >= 2 * maxPeers) return closeSession(session, "refused");
    const binding = Promise.withResolvers<Uint8Array>();
    session.onkeylog = (line) => takeBinding(line, binding.resolve);
    this.#prove(session, "listener", null, binding.promise).catch((error: unknown) => this.#onFailure(session, error));
  }

  async #dial(peer: PeerAddress): Promise<void> {
    const binding = Promise.withResolvers<Uint8Array>();
    const target = `${peer.host}:${peer.port}`;
    const ticket = this.#tickets.get(target);
    const session = await connect(target, {
      alpn: ALPN,
      groups: GROUPS,
      servername: "cretoai",
      // A socket of its own: a dead session slows down those that share its endpoint (see `NUDGE_MS`).
      reuseEndpoint: false,
      keylog: true,
      // The certificate is self-signed and proves nothing; identity is proved by the handshake inside.
      verifyPeer: "manual",
      transportParams: transportParams(),
      streamIdleTimeout: 0,
      onkeylog: (line) => takeBinding(line, binding.resolve),
      onsessionticket: (received) => this.#keepTicket(target, received),
      onerror: () => undefined,
      ...(ticket === undefined ? {} : { sessionTicket: ticket }),
    });
    closeEndpointAfter(session);
    session.opened.catch(() => undefined);
    try {
      await this.#prove(session, "dialer", peer.nodeId, binding.promise);
    } catch (error) {
      // A ticket of a server that restarted is of no use any more.
      this.#tickets.delete(target);
      this.#onFailure(session, error);
      throw error;
    }
  }

  /** From a session to a connection: who is at the other end, and may it be there. */
  async #prove(session: QuicSession, side: Role, expected: NodeId | null, binding: Promise<Uint8Array>): Promise<void> {
    this.#unproved += 1;
    const timeout = this.#timeout();
    const early: QuicStream[] = [];
    let connection: Connection | null = null;
    const firstStream = Promise.withResolvers<QuicStream>();
    let isFirst = side === "listener";
    session.onstream = (stream) => {
      quieted(stream);
      if (connection !== null) connection.onStream(stream);
      else if (isFirst && stream.direction === "bidi") {
        isFirst = false;
        firstStream.resolve(stream);
      } else if (side === "dialer" && early.length < UNI_STREAMS_MAX) early.push(stream);
      else {
        // Only a listener's lanes may overtake its welcome; a stranger's would hold unread all that flow control lets in.
        timeout.reject(new HandshakeFailed("protocol", "us"));
        closeSession(session, "protocol");
      }
    };
    session.closed.then(() => timeout.reject(new Error("the session ended")), timeout.reject);
    try {
      const proving = (async () => {
        const stream = await (side === "dialer" ? session.createBidirectionalStream() : firstStream.promise);
        return await performHandshake(quieted(stream), this.#handshakeOptions(side, expected), binding, this.#options);
      })();
      proving.catch(() => undefined);
      const identity = await Promise.race([proving, timeout.promise]);
      connection = this.#connect(session, identity, side);
      if (connection !== null) for (const stream of early) connection.onStream(stream);
    } finally {
      timeout.cancel();
      this.#unproved -= 1;
    }
  }

  /** Registers a proved connection; null where it is one too many. */
  #connect(session: QuicSession, identity: PeerIdentity, side: Role): Connection | null {
    const role = this.#options.admit(identity.nodeId);
    if (this.#closed || role === null) {
      closeSession(session, "refused");
      return null;
    }
    const handler = this.#handler;
    if (handler === null) throw new TransportError("closed", "the transport was not started");
    const connection = new Connection({
      session,
      identity,
      role,
      side,
      clock: this.#options.clock,
      metrics: this.#metrics,
      handler: {
        onFrame: (peer, lane, frame) => handler.onFrame(peer, lane, frame),
        onRequest: (peer, body) => handler.onRequest(peer, body),
        onClosed: (closed, reason) => this.#onClosed(closed, reason),
      },
    });
    const admission = this.#registry.admit(connection);
    if (admission.kind === "duplicate") {
      connection.close("duplicate");
      return null;
    }
    if (admission.kind === "replaces") {
      admission.old.close("replaced");
      handler.onPeerDisconnected(identity.nodeId, "replaced by a newer connection");
    }
    this.#metrics.onConnection("opened");
    this.#log("info", "network.connected", { peer: identity.nodeId, direction: connection.direction, role });
    handler.onPeerConnected(connection.info());
    return connection;
  }

  #onClosed(connection: Connection, reason: string): void {
    if (!this.#registry.remove(connection)) return;
    const { nodeId } = connection.identity;
    this.#metrics.onConnection("closed");
    this.#log("info", "network.disconnected", { peer: nodeId, reason });
    this.#handler?.onPeerDisconnected(nodeId, reason);
    this.#dialer.onDisconnected(nodeId);
  }

  #onFailure(session: QuicSession, error: unknown): void {
    const code = error instanceof HandshakeFailed ? error.code : "connection";
    this.#metrics.onHandshakeFailure(code);
    const level = error instanceof HandshakeFailed ? "warn" : "debug";
    this.#log(level, "network.handshake-failed", { code, error: String(error) });
    const { clock } = this.#options;
    clock.setTimer(clock.monotonicMs() + REFUSAL_LINGER_MS, () => closeSession(session, "refused"));
  }

  #handshakeOptions(role: Role, expected: NodeId | null): Parameters<typeof performHandshake>[1] {
    const { nodeId, publicKeys, genesis, hybrid, entropy } = this.#options;
    return {
      role,
      nodeId,
      publicKeys,
      genesis,
      hybrid,
      expected,
      nonce: entropy.bytes(32),
      incarnation: this.#incarnation,
      refuse: (peer) => this.#refusalOf(peer),
    };
  }

  #refusalOf(peer: NodeId): RefusalCode | null {
    if (this.#options.admit(peer) === null) return "not-admitted";
    const isKnown = this.#registry.get(peer) !== undefined;
    return !isKnown && this.#registry.size >= this.#options.maxPeers ? "too-many-peers" : null;
  }

  #timeout(): { readonly promise: Promise<never>; reject(error: unknown): void; cancel(): void } {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    const { clock } = this.#options;
    const cancel = clock.setTimer(clock.monotonicMs() + HANDSHAKE_TIMEOUT_MS, () => {
      reject(new Error(`no handshake within ${HANDSHAKE_TIMEOUT_MS} ms`));
    });
    return { promise, reject, cancel };
  }

  #keepTicket(target: string, ticket: unknown): void {
    if (ArrayBuffer.isView(ticket))
      this.#tickets.set(target, new Uint8Array(ticket.buffer, ticket.byteOffset, ticket.byteLength));
  }

  #listenOptions(host: string, port: number): SessionOptions {
    const { maxPeers } = this.#options;
    return {
      endpoint: {
        address: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
        // Room for the peers, for those that are trying, and for sessions of restarted peers that have not died yet.
        maxConnectionsTotal: Math.min(65_535, 4 * maxPeers + 16),
        sessionCreationRate: 100,
        sessionCreationBurst: 400,
      },
      sni: { "*": { keys: this.#credentials.key, certs: this.#credentials.certificate } },
      alpn: ALPN,
      groups: GROUPS,
      keylog: true,
      streamIdleTimeout: 0,
      transportParams: transportParams(),
    };
  }
}

function quieted(stream: QuicStream): QuicStream {
  stream.onerror = () => undefined;
  stream.closed.catch(() => undefined);
  return stream;
}

function takeBinding(line: string, resolve: (binding: Uint8Array) => void): void {
  const binding = channelBinding(line);
  if (binding !== null) resolve(binding);
}

function transportParams(): NonNullable<SessionOptions["transportParams"]> {
  return {
    maxIdleTimeout: IDLE_TIMEOUT_MS / 1_000,
    initialMaxData: SESSION_WINDOW_BYTES,
    initialMaxStreamDataUni: STREAM_WINDOW_BYTES,
    initialMaxStreamDataBidiLocal: STREAM_WINDOW_BYTES,
    initialMaxStreamDataBidiRemote: STREAM_WINDOW_BYTES,
    initialMaxStreamsBidi: BIDI_STREAMS_MAX,
    initialMaxStreamsUni: UNI_STREAMS_MAX,
  };
}

function incarnationOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}
