import type { NodeId } from "../crypto/identity.ts";
import type { Clock, Entropy } from "../node/ports.ts";
import { TransportError } from "./transport-error.ts";
import { DIALED_PEERS_MAX, HIGHER_ID_DELAY_MS, REDIAL_MS, REDIAL_MS_MAX } from "./limits.ts";

export interface PeerAddress {
  /** Whom to expect there. */
  readonly nodeId: NodeId;
  readonly host: string;
  readonly port: number;
}

interface Target {
  peer: PeerAddress;
  failures: number;
  dialing: boolean;
  cancel: () => void;
}

/** Keeps dialing every configured peer that is not connected: soon, then ever more slowly, with a spread. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #targets = new Map<NodeId, Target>();
  #stopped = true;

  constructor(options: DialerOptions) {
    this.#options = options;
    for (const peer of options.peers) if (peer.nodeId !== options.self) this.#targets.set(peer.nodeId, newTarget(peer));
  }

  start(): void {
    this.#stopped = false;
    for (const target of this.#targets.values()) this.#begin(target);
  }

  stop(): void {
    this.#stopped = true;
    for (const target of this.#targets.values()) target.cancel();
  }

  onDisconnected(peer: NodeId): void {
    const target = this.#targets.get(peer);
    if (target === undefined) return;
    target.failures = 0;
    this.#schedule(target, this.#spread(REDIAL_MS));
  }

  /** A peer that is new, or has moved: dialed from now on. False where it is one more than can be kept. */
  set(peer: PeerAddress): boolean {
    const { nodeId } = peer;
    if (nodeId === this.#options.self) return true;
    const known = this.#targets.get(nodeId);
    if (known === undefined && this.#targets.size >= DIALED_PEERS_MAX) return false;
    // An attempt that is under way goes on with the old address; the next one takes the new.
    const target = known ?? newTarget(peer);
    target.peer = peer;
    target.failures = 0;
    this.#targets.set(nodeId, target);
    if (!this.#options.isConnected(nodeId)) this.#begin(target);
    return true;
  }

  /** Not dialed any more. */
  forget(peer: NodeId): void {
    this.#targets.get(peer)?.cancel();
    this.#targets.delete(peer);
  }

  #begin(target: Target): void {
    this.#schedule(target, this.#options.self < target.peer.nodeId ? 0 : HIGHER_ID_DELAY_MS);
  }

  #schedule(target: Target, delayMs: number): void {
    target.cancel();
    if (this.#stopped || this.#targets.get(target.peer.nodeId) !== target) return;
    const { clock } = this.#options;
    target.cancel = clock.setTimer(clock.monotonicMs() + delayMs, () => this.#attempt(target));
  }

  #attempt(target: Target): void {
    const { isConnected, isWelcome, dial } = this.#options;
    if (this.#stopped || target.dialing || isConnected(target.peer.nodeId)) return;
    // Whom this node would refuse it does not call either; one that is banned may be welcome again later.
    if (!isWelcome(target.peer.nodeId)) return this.#schedule(target, this.#spread(REDIAL_MS_MAX));
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

function newTarget(peer: PeerAddress): Target {
  return { peer, failures: 0, dialing: false, cancel: () => undefined };
}

export interface DialerOptions {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly peers: readonly PeerAddress[];
  isConnected(peer: NodeId): boolean;
  /** Whether this node would have a connection to it now. */
  isWelcome(peer: NodeId): boolean;
  dial(peer: PeerAddress): Promise<void>;
}

/** @throws TransportError `bad-address` */
export function hostAndPort(address: string): { readonly host: string; readonly port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(address);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3]);
  if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
  throw new TransportError(
    "bad-address",
    `${JSON.stringify(address.slice(0, 80))} is no address: write host:port, such as 10.0.0.4:9000 or [::1]:9000`,
  );
}
