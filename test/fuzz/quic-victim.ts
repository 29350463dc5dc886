import { randomBytes } from "node:crypto";
import type { NodeId } from "../../src/crypto/identity.ts";
import { generateKeyPair } from "../../src/crypto/key-pair.ts";
import { importPublicKeys } from "../../src/crypto/public-keys.ts";
import { createVerifier } from "../../src/crypto/verifier.ts";
import { ZERO_HASH } from "../../src/lib/hash.ts";
import type { PeerAddress } from "../../src/network/dialer.ts";
import { NO_NETWORK_METRICS } from "../../src/network/network-metrics.ts";
import { createQuicTransport, type QuicTransport } from "../../src/network/quic-transport.ts";
import type { Clock } from "../../src/node/ports.ts";
import { systemClock } from "../../src/node/system-clock.ts";

const verifier = createVerifier({ hybrid: true });

/** The limits of a node under attack run out four times as fast, so that a test can wait for them. */
const HASTE = 4;

const hastyClock: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * HASTE,
  setTimer: (atMs, callback) => systemClock.setTimer(atMs / HASTE, callback),
};

/** A transport whose frames and events can be waited for. */
export class QuicVictim {
  readonly transport: QuicTransport;
  readonly address: PeerAddress;
  /** Frames that came in, by peer. */
  readonly frames: Map<NodeId, number>;
  /** Why handshakes failed, in the order in which they did. */
  readonly failures: string[];
  readonly #waiting: Set<() => void>;

  private constructor(
    transport: QuicTransport,
    nodeId: NodeId,
    { frames, failures, waiting }: { frames: Map<NodeId, number>; failures: string[]; waiting: Set<() => void> },
  ) {
    this.transport = transport;
    this.address = { nodeId, host: "127.0.0.1", port: transport.address?.port ?? 0 };
    this.frames = frames;
    this.failures = failures;
    this.#waiting = waiting;
  }

  static async started(options: { readonly dial?: PeerAddress; readonly isHasty?: boolean } = {}): Promise<QuicVictim> {
    const keys = generateKeyPair({ hybrid: true });
    const frames = new Map<NodeId, number>();
    const failures: string[] = [];
    const waiting = new Set<() => void>();
    const wake = (): void => {
      for (const check of waiting) check();
    };
    const transport = createQuicTransport({
      nodeId: keys.nodeId,
      publicKeys: keys.publicKeys,
      sign: (message) => keys.sign(message),
      verify: (publicKeys, message, signature) => verifier.verify(importPublicKeys(publicKeys), message, signature),
      hybrid: true,
      genesis: ZERO_HASH,
      listen: { host: "127.0.0.1", port: 0 },
      peers: options.dial === undefined ? [] : [options.dial],
      admit: () => "validator",
      maxPeers: 32,
      clock: options.isHasty === true ? hastyClock : systemClock,
      entropy: { bytes: (count) => Uint8Array.from(randomBytes(count)) },
      metrics: { ...NO_NETWORK_METRICS, onHandshakeFailure: (code) => failures.push(code) },
    });
    await transport.start({
      onPeerConnected: wake,
      onPeerDisconnected: wake,
      onFrame: (from) => {
        frames.set(from, (frames.get(from) ?? 0) + 1);
        wake();
      },
      onRequest: (_from, body) => Promise.resolve(body),
    });
    return new QuicVictim(transport, keys.nodeId, { frames, failures, waiting });
  }

  /** Resolves when the condition holds; looked at whenever something happened here. */
  until(condition: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => {
      if (!condition()) return;
      this.#waiting.delete(check);
      resolve();
    };
    this.#waiting.add(check);
    check();
    return promise;
  }

  framesFrom(peer: QuicVictim): number {
    return this.frames.get(peer.address.nodeId) ?? 0;
  }
}

/** An honest peer and a victim that pass frames to and fro, each frame set off by the one before. */
export class HonestTraffic {
  readonly #victim: QuicVictim;
  readonly #peer: QuicVictim;
  #stopped = false;

  private constructor(victim: QuicVictim, peer: QuicVictim) {
    this.#victim = victim;
    this.#peer = peer;
  }

  static async between(victim: QuicVictim, peer: QuicVictim): Promise<HonestTraffic> {
    const isReady = (from: QuicVictim, to: QuicVictim) => (): boolean =>
      from.transport.peers().some(({ nodeId }) => nodeId === to.address.nodeId);
    await Promise.all([victim.until(isReady(victim, peer)), peer.until(isReady(peer, victim))]);
    const traffic = new HonestTraffic(victim, peer);
    traffic.#run().catch(() => undefined);
    return traffic;
  }

  /** Resolves when this many more frames went to and fro. @throws where the connection was lost */
  async passes(count: number): Promise<void> {
    const [wantedThere, wantedHere] = [this.#victim.framesFrom(this.#peer), this.#peer.framesFrom(this.#victim)];
    await Promise.all([
      this.#victim.until(() => this.#victim.framesFrom(this.#peer) >= wantedThere + count),
      this.#peer.until(() => this.#peer.framesFrom(this.#victim) >= wantedHere + count),
    ]);
    const answer = await this.#peer.transport.request(this.#victim.address.nodeId, Uint8Array.of(1, 2), {
      timeoutMs: 20_000,
    });
    if (answer.length !== 2) throw new Error(`an answer of ${answer.length} bytes`);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    const frame = new Uint8Array(3_000);
    for (let count = 1; !this.#stopped; count++) {
      this.#peer.transport.send(this.#victim.address.nodeId, "consensus", frame);
      await this.#victim.until(() => this.#victim.framesFrom(this.#peer) >= count);
      this.#victim.transport.send(this.#peer.address.nodeId, "dissemination", frame);
      await this.#peer.until(() => this.#peer.framesFrom(this.#victim) >= count);
    }
  }
}
