import type { QuicSession, QuicStream } from "node:quic";
import type { NodeId } from "../crypto/identity.ts";
import type { PeerIdentity, Role } from "../peering/handshake.ts";
import { TokenBucket } from "../peering/token-bucket.ts";
import type { Clock, Lane, PeerInfo, PeerRole, SendOutcome } from "../node/ports.ts";
import { LANE_BYTES, LaneSender } from "./lane-sender.ts";
import {
  FIRST_BYTE_TIMEOUT_MS,
  KEEP_ALIVE_MS,
  NUDGE_MS,
  NUDGED_MS,
  OBSERVER_MESSAGES_BURST,
  OBSERVER_MESSAGES_PER_SECOND,
  QUESTIONS_AT_ONCE_MAX,
  VALIDATOR_BYTES_BURST,
  VALIDATOR_BYTES_PER_SECOND,
} from "./limits.ts";
import { MessageAssembler } from "./message-assembler.ts";
import type { NetworkMetrics } from "./network-metrics.ts";
import { answer, ask } from "./requests.ts";
import { TransportError } from "./transport-error.ts";

export interface ConnectionHandler {
  onFrame(peer: NodeId, lane: Lane, frame: Uint8Array): Promise<void> | void;
  onRequest(peer: NodeId, body: Uint8Array): Promise<Uint8Array>;
  onClosed(connection: Connection, reason: string): void;
}

/** Application error codes of CONNECTION_CLOSE. */
export const CLOSE_CODES = { shutdown: 0, duplicate: 1, refused: 2, protocol: 3, replaced: 4, dismissed: 5 } as const;

export type CloseReason = keyof typeof CLOSE_CODES;

/** One authenticated session: lanes in both directions, questions in both directions. */
export class Connection {
  readonly identity: PeerIdentity;
  readonly role: PeerRole;
  readonly direction: "inbound" | "outbound";
  readonly #session: QuicSession;
  readonly #clock: Clock;
  readonly #metrics: NetworkMetrics;
  readonly #handler: ConnectionHandler;
  readonly #senders: Readonly<Record<Lane, LaneSender>>;
  readonly #bucket: TokenBucket;
  readonly #connectedSinceMs: number;
  readonly #lanesIn = new Set<Lane>();
  #questions = 0;
  #cancelKeepAlive: () => void = () => undefined;
  #closed = false;
  #nudging = false;
  #lastFrameMs = 0;

  constructor(options: {
    readonly session: QuicSession;
    readonly identity: PeerIdentity;
    readonly role: PeerRole;
    readonly side: Role;
    readonly clock: Clock;
    readonly metrics: NetworkMetrics;
    readonly handler: ConnectionHandler;
  }) {
    this.identity = options.identity;
    this.role = options.role;
    this.direction = options.side === "dialer" ? "outbound" : "inbound";
    this.#session = options.session;
    this.#clock = options.clock;
    this.#metrics = options.metrics;
    this.#handler = options.handler;
    this.#connectedSinceMs = options.clock.nowMs();
    const onError = (error: unknown): void => this.#end(`a lane failed: ${String(error)}`);
    this.#senders = {
      consensus: new LaneSender(this.#session, "consensus", {
        onError,
        nudge: () => this.#senders.dissemination.keepAlive(),
      }),
      dissemination: new LaneSender(this.#session, "dissemination", { onError, nudge: this.#nudge }),
    };
    const nowMs = options.clock.monotonicMs();
    this.#bucket =
      options.role === "validator"
        ? new TokenBucket({ rate: VALIDATOR_BYTES_PER_SECOND, burst: VALIDATOR_BYTES_BURST, nowMs })
        : new TokenBucket({ rate: OBSERVER_MESSAGES_PER_SECOND, burst: OBSERVER_MESSAGES_BURST, nowMs });
    this.#session.closed.then(
      () => this.#end("the peer closed the connection"),
      (error: unknown) => this.#end(String(error)),
    );
    this.#keepAlive();
  }

  /** See `NUDGE_MS`. */
  readonly #nudge = (): void => this.#senders.consensus.keepAlive();

  get isClosed(): boolean {
    return this.#closed;
  }

  send(lane: Lane, frame: Uint8Array): SendOutcome {
    if (this.#closed) return "not-connected";
    if (!this.#senders[lane].send(frame)) {
      this.#metrics.onDropped(lane, "queue-full");
      return "queue-full";
    }
    this.#metrics.onSent(lane, frame.length);
    this.#lastFrameMs = this.#clock.monotonicMs();
    // A dialed session has its endpoint, and so its timer, to itself.
    if (this.direction === "inbound" && !this.#nudging) this.#keepNudging();
    return "queued";
  }

  async request(body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#closed) throw new TransportError("not-connected", "the peer is not connected");
    this.#metrics.onSent("request", body.length);
    const response = await ask(this.#session, body, { timeoutMs, clock: this.#clock, nudge: this.#nudge });
    this.#metrics.onReceived("request", response.length);
    return response;
  }

  /** A stream that the peer opened. */
  onStream(stream: QuicStream): void {
    stream.onerror = () => undefined;
    stream.closed.catch(() => undefined);
    if (stream.direction === "bidi") this.#onQuestion(stream);
    else this.#readLane(stream).catch((error: unknown) => this.#violate(String(error)));
  }

  info(): PeerInfo {
    const { stats, path } = this.#session;
    const rtt = Number(stats.smoothedRtt);
    return {
      nodeId: this.identity.nodeId,
      role: this.role,
      address: path === undefined ? "unknown" : `${path.remote.address}:${path.remote.port}`,
      direction: this.direction,
      connectedSinceMs: this.#connectedSinceMs,
      roundTripMs: rtt > 0 ? rtt / 1e6 : null,
      bytesSent: Number(stats.bytesSent),
      bytesReceived: Number(stats.bytesReceived),
      queuedBytes: this.#senders.consensus.queuedBytes + this.#senders.dissemination.queuedBytes,
    };
  }

  /** Hands what is queued to QUIC, for a bounded time, and closes. */
  async closeGracefully(reason: CloseReason, timeoutMs: number): Promise<void> {
    const flushed = Promise.all([this.#senders.consensus.flush(), this.#senders.dissemination.flush()]);
    await Promise.race([flushed, this.#delay(timeoutMs)]);
    this.close(reason);
  }

  /** @param detail for the log of this node; the peer hears the reason only */
  close(reason: CloseReason, detail: string = reason): void {
    this.#end(`closed by this node: ${detail}`, reason);
  }

  async #readLane(stream: QuicStream): Promise<void> {
    const assembler = new MessageAssembler();
    let lane: Lane | null = null;
    const cancelTimeout = this.#clock.setTimer(this.#clock.monotonicMs() + FIRST_BYTE_TIMEOUT_MS, () => {
      stream.destroy();
    });
    try {
      for await (const chunks of stream) {
        for (const chunk of chunks) {
          let rest = chunk;
          if (lane === null) {
            cancelTimeout();
            lane = this.#claimLane(chunk[0]);
            rest = chunk.subarray(1);
          }
          await this.#pace(rest.length);
          for (const frame of assembler.push(rest)) {
            if (this.#closed) return;
            this.#metrics.onReceived(lane, frame.length);
            await this.#handler.onFrame(this.identity.nodeId, lane, frame);
          }
        }
      }
    } finally {
      cancelTimeout();
    }
    if (!this.#closed) throw new Error("the peer ended a lane");
  }

  #claimLane(byte: number | undefined): Lane {
    const lane =
      byte === LANE_BYTES.consensus ? "consensus" : byte === LANE_BYTES.dissemination ? "dissemination" : null;
    if (lane === null) throw new Error(`a stream of unknown kind ${byte}`);
    if (this.#lanesIn.has(lane)) throw new Error(`a second ${lane} lane`);
    this.#lanesIn.add(lane);
    return lane;
  }

  #onQuestion(stream: QuicStream): void {
    if (this.#questions >= QUESTIONS_AT_ONCE_MAX) {
      stream.destroy(undefined, { code: CLOSE_CODES.protocol });
      return;
    }
    this.#questions += 1;
    answer(stream, { clock: this.#clock, nudge: this.#nudge }, async (body) => {
      await this.#pace(body.length);
      this.#metrics.onReceived("request", body.length);
      const response = await this.#handler.onRequest(this.identity.nodeId, body);
      this.#metrics.onSent("request", response.length);
      return response;
    })
      .catch(() => stream.destroy())
      .finally(() => {
        this.#questions -= 1;
      });
  }

  /** Slows a peer down to its allowance: bytes for validators, messages for others. */
  async #pace(bytes: number): Promise<void> {
    const pauseMs = this.#bucket.take(this.role === "validator" ? bytes : 1, this.#clock.monotonicMs());
    if (pauseMs > 1) await this.#delay(pauseMs);
  }

  #keepNudging(): void {
    this.#nudging = true;
    this.#clock.setTimer(this.#clock.monotonicMs() + NUDGE_MS, () => {
      this.#nudging = false;
      if (this.#closed) return;
      const quietMs = this.#clock.monotonicMs() - this.#lastFrameMs;
      if (quietMs > NUDGED_MS) return;
      if (quietMs > NUDGE_MS) this.#nudge();
      this.#keepNudging();
    });
  }

  #keepAlive(): void {
    this.#cancelKeepAlive = this.#clock.setTimer(this.#clock.monotonicMs() + KEEP_ALIVE_MS, () => {
      if (this.#closed) return;
      this.#senders.consensus.keepAlive();
      const rtt = Number(this.#session.stats.smoothedRtt);
      if (rtt > 0) this.#metrics.onRoundTrip(rtt / 1e9);
      this.#keepAlive();
    });
  }

  #delay(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.setTimer(this.#clock.monotonicMs() + ms, resolve);
    });
  }

  #violate(reason: string): void {
    this.#end(reason, "protocol");
  }

  #end(reason: string, close: CloseReason | null = null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelKeepAlive();
    this.#senders.consensus.close();
    this.#senders.dissemination.close();
    this.#handler.onClosed(this, reason);
    closeSession(this.#session, close ?? "protocol");
  }
}

/** Ends a session at once and tells the peer why; a session that is gone already is left alone. */
export function closeSession(session: QuicSession, reason: CloseReason): void {
  if (session.destroyed) return;
  session.closed.catch(() => undefined);
  try {
    session.destroy(undefined, { code: CLOSE_CODES[reason], type: "application", reason });
  } catch {
    // It ended by itself in this very moment.
  }
}

/**
 * An endpoint that was made for one session outlives it in Bun 1.4.5, with its socket and about a mebibyte: a validator that is
 * away is dialed for as long as it is.
 */
export function closeEndpointAfter(session: QuicSession): void {
  const { endpoint } = session;
  const close = (): void => {
    endpoint?.close().catch(() => undefined);
  };
  session.closed.then(close, close);
}
