import type { NodeId } from "../crypto/identity.ts";
import type { Clock, Entropy } from "../node/ports.ts";
import { HIGHER_ID_DELAY_MS, REDIAL_MS, REDIAL_MS_MAX } from "./limits.ts";

export interface PeerAddress {
  /** Whom to expect there. */
  readonly nodeId: NodeId;
  readonly host: string;
  readonly port: number;
}

interface Target {
  readonly peer: PeerAddress;
  failures: number;
  dialing: boolean;
  cancel: () => void;
}

/** Keeps dialing every configured peer that is not connected: soon, then ever more slowly, with a spread. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #targets: readonly Target[];
  #stopped = true;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#targets = options.peers
      .filter((peer) => peer.nodeId !== options.self)
      .map((peer) => ({ peer, failures: 0, dialing: false, cancel: () => undefined }));
  }

  start(): void {
    this.#stopped = false;
    for (const target of this.#targets) {
      this.#schedule(target, this.#options.self < target.peer.nodeId ? 0 : HIGHER_ID_DELAY_MS);
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const target of this.#targets) target.cancel();
  }

  onDisconnected(peer: NodeId): void {
    for (const target of this.#targets) {
      if (target.peer.nodeId !== peer) continue;
      target.failures = 0;
      this.#schedule(target, this.#spread(REDIAL_MS));
    }
  }

  #schedule(target: Target, delayMs: number): void {
    target.cancel();
    if (this.#stopped) return;
    const { clock } = this.#options;
    target.cancel = clock.setTimer(clock.monotonicMs() + delayMs, () => this.#attempt(target));
  }

  #attempt(target: Target): void {
    const { isConnected, dial } = this.#options;
    if (this.#stopped || target.dialing || isConnected(target.peer.nodeId)) return;
    target.dialing = true;
    dial(target.peer)
      .then(
        () => {
          target.failures = 0;
        },
        () => {
          target.failures += 1;
        },
      )
      .finally(() => {
        target.dialing = false;
        // Also after success: a connection that lost to its duplicate leaves the other one in place, or none.
        if (!isConnected(target.peer.nodeId)) this.#schedule(target, this.#backOffMs(target));
      });
  }

  #backOffMs(target: Target): number {
    return this.#spread(Math.min(REDIAL_MS_MAX, REDIAL_MS * 2 ** Math.min(target.failures, 10)));
  }

  /** Up to a quarter more, so that peers that lost each other at once do not dial in step. */
  #spread(delayMs: number): number {
    const [byte] = this.#options.entropy.bytes(1);
    return delayMs * (1 + (byte ?? 0) / 1024);
  }
}

export interface DialerOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly peers: readonly PeerAddress[];
  isConnected(peer: NodeId): boolean;
  dial(peer: PeerAddress): Promise<void>;
}
