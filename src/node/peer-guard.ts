import type { NodeId } from "../crypto/identity.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import { PeerHistory, type PeerObservation } from "../peering/peer-history.ts";
import { TokenBucket } from "../peering/token-bucket.ts";
import { FrameInspector } from "./frame-inspector.ts";
import type { EngineName } from "./genesis-application.ts";
import type { PeerBook } from "./peer-book.ts";
import type { SealedFrame } from "./wire.ts";
import type { Clock, Lane, PeerInfo, SendOutcome, Transport, TransportHandler } from "./ports.ts";

/**
 * Questions in a row without an answer while the peer is connected, each asked after the one before was given up: with the
 * fetcher's 4 s that are 12 s of silence. Less is a slow disk or a bad moment.
 */
const TIMEOUTS_IN_A_ROW = 3;

/** What a throttled peer may still say: all that a correct one says under load on the consensus lane, little else. */
const THROTTLED = {
  consensus: { rate: 500, burst: 1_000 },
  dissemination: { rate: 50, burst: 100 },
  question: { rate: 20, burst: 40 },
} as const;

/** Peers with a record: above any `max_peers`. */
const PEERS_MAX = 2_048;

export interface ValidatorObservation extends PeerObservation {
  readonly nodeId: NodeId;
}

export interface PeerGuardOptions {
  readonly self: NodeId;
  readonly transport: Transport;
  readonly book: PeerBook;
  readonly clock: Clock;
  readonly validators: () => ValidatorSet;
  /** Whose words its frames carry. Default: those of "pbft". */
  readonly genesis?: { readonly engine: EngineName };
}

/** A question that was not asked: others can answer it. */
export class PeerShunned extends Error {
  override readonly name = "PeerShunned";
  readonly code = "shunned";

  constructor(peer: NodeId, state: string) {
    super(`${peer} is ${state} here and was not asked`);
  }
}

interface PeerRecord {
  readonly history: PeerHistory;
  readonly buckets: Map<keyof typeof THROTTLED, TokenBucket>;
  timeouts: number;
  /** When the last question was given up. */
  timedOutMs: number;
}

/**
 * Stands between the transport and the loop. Banned peers' frames end here, before anything is decoded; throttled peers'
 * wait their turn, so that nothing of theirs is lost; what peers send and answer is taken down for their score.
 */
export class PeerGuard implements Transport {
  readonly #options: PeerGuardOptions;
  readonly #inspector: FrameInspector;
  readonly #records = new Map<NodeId, PeerRecord>();

  constructor(options: PeerGuardOptions) {
    this.#options = options;
    this.#inspector = new FrameInspector(options.genesis?.engine ?? "pbft");
  }

  async start(handler: TransportHandler): Promise<void> {
    const { transport, book } = this.#options;
    // From now on: who never comes has been away since the start.
    this.observations(this.#nowMs());
    await transport.start({
      onPeerConnected: (peer) => {
        this.#record(peer.nodeId).history.onConnection(true, this.#nowMs());
        handler.onPeerConnected(peer);
      },
      onPeerDisconnected: (peer, reason) => {
        const record = this.#record(peer);
        record.history.onConnection(false, this.#nowMs());
        record.timeouts = 0;
        handler.onPeerDisconnected(peer, reason);
      },
      onFrame: (peer, lane, frame) => {
        if (!this.#isWelcome(peer)) return undefined;
        const pauseMs = this.#pauseMs(peer, lane);
        if (pauseMs === 0) return handler.onFrame(peer, lane, frame);
        return this.#delay(pauseMs).then(() => handler.onFrame(peer, lane, frame));
      },
      onRequest: async (peer, body) => {
        if (book.isBanned(peer)) throw new PeerShunned(peer, "banned");
        const pauseMs = this.#pauseMs(peer, "question");
        if (pauseMs > 0) await this.#delay(pauseMs);
        return await handler.onRequest(peer, body);
      },
    });
  }

  send(peer: NodeId, lane: Lane, frame: Uint8Array): SendOutcome {
    return this.#options.book.isBanned(peer) ? "not-connected" : this.#options.transport.send(peer, lane, frame);
  }

  /** @throws PeerShunned for a peer that is banned, or in bad standing while enough others can be asked */
  async request(peer: NodeId, body: Uint8Array, options: { readonly timeoutMs: number }): Promise<Uint8Array> {
    const { transport, book } = this.#options;
    const state = book.stateOf(peer);
    if (state === "banned" || (state !== "good" && this.#canBeSpared())) throw new PeerShunned(peer, state);
    const record = this.#record(peer);
    const askedMs = this.#nowMs();
    try {
      const answer = await transport.request(peer, body, options);
      record.timeouts = 0;
      return answer;
    } catch (error) {
      const code: unknown = error instanceof Error ? Reflect.get(error, "code") : null;
      // Several that were open at once are one silence.
      if (code !== "timeout" || askedMs < record.timedOutMs) throw error;
      record.timeouts += 1;
      record.timedOutMs = this.#nowMs();
      if (record.timeouts >= TIMEOUTS_IN_A_ROW) {
        book.record(
          peer,
          "timeout",
          `${record.timeouts} questions in a row without an answer in ${options.timeoutMs} ms`,
        );
      }
      throw error;
    }
  }

  peers(): readonly PeerInfo[] {
    return this.#options.transport.peers().filter(({ nodeId }) => !this.#options.book.isBanned(nodeId));
  }

  disconnect(peer: NodeId, reason: string): void {
    this.#options.transport.disconnect(peer, reason);
  }

  async close(): Promise<void> {
    await this.#options.transport.close();
    await this.#options.book.settled();
  }

  /** A violation that somebody else saw: the wiring knows who, the loop knows what. */
  onViolation(peer: NodeId, type: Parameters<PeerBook["record"]>[1], detail: string): void {
    if (this.#options.book.record(peer, type, detail)) this.#record(peer).history.onViolation();
  }

  /** What a peer sealed itself, as soon as it is read; before its signature is checked. */
  inspect(peer: NodeId, lane: Lane, frame: SealedFrame): void {
    const { clock } = this.#options;
    for (const { type, detail } of this.#inspector.inspect(peer, lane, frame, clock.nowMs())) {
      this.onViolation(peer, type, detail);
    }
  }

  /** What this node saw of each other validator of now, in ascending order of index. @param nowMs of `monotonicMs` */
  observations(nowMs: number): readonly ValidatorObservation[] {
    const set = this.#options.validators();
    return set
      .indices()
      .map((index) => set.at(index).nodeId)
      .filter((nodeId) => nodeId !== this.#options.self)
      .map((nodeId) => ({ nodeId, ...this.#record(nodeId).history.at(nowMs) }));
  }

  #isWelcome(peer: NodeId): boolean {
    if (this.#options.book.isBanned(peer)) return false;
    this.#record(peer).history.onFrame(this.#nowMs());
    return true;
  }

  #pauseMs(peer: NodeId, kind: keyof typeof THROTTLED): number {
    if (this.#options.book.stateOf(peer) !== "throttled") return 0;
    const { buckets } = this.#record(peer);
    const nowMs = this.#nowMs();
    const bucket = buckets.get(kind) ?? new TokenBucket({ ...THROTTLED[kind], nowMs });
    buckets.set(kind, bucket);
    return bucket.take(1, nowMs);
  }

  /**
   * Whether n - 1 - f validators in good standing are connected. What a quorum certified is held by f + 1 correct ones, so
   * at least one of any n - 1 - f others has it: leaving f out never makes content unreachable.
   */
  #canBeSpared(): boolean {
    const { book, transport } = this.#options;
    const set = this.#options.validators();
    const good = transport
      .peers()
      .filter(({ nodeId }) => set.indexOf(nodeId) !== null && book.stateOf(nodeId) === "good");
    return good.length >= set.size - 1 - set.faultTolerance;
  }

  #record(peer: NodeId): PeerRecord {
    const known = this.#records.get(peer);
    if (known !== undefined) return known;
    if (this.#records.size >= PEERS_MAX) {
      const set = this.#options.validators();
      const stranger = [...this.#records.keys()].find((other) => set.indexOf(other) === null);
      if (stranger !== undefined) this.#records.delete(stranger);
    }
    const record: PeerRecord = {
      history: new PeerHistory(this.#nowMs()),
      buckets: new Map(),
      timeouts: 0,
      timedOutMs: 0,
    };
    this.#records.set(peer, record);
    return record;
  }

  #delay(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.setTimer(this.#nowMs() + ms, resolve);
    });
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }
}
