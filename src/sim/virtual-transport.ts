import type { NodeId } from "../crypto/identity.ts";
import type { Lane, PeerInfo, SendOutcome, Transport, TransportHandler } from "../node/ports.ts";
import type { VirtualNetwork } from "./virtual-network.ts";

/** What a process waits for that is no more. */
const NEVER: Promise<never> = new Promise(() => undefined);

/** The transport of one life of one process. */
export class VirtualTransport implements Transport {
  readonly #network: VirtualNetwork;
  readonly #place: number;
  readonly #operate: () => boolean;
  readonly #isAlive: () => boolean;

  /** `operate` counts an operation and answers whether the process lives on to do it. */
  constructor(
    network: VirtualNetwork,
    place: number,
    life: { readonly operate: () => boolean; readonly isAlive: () => boolean },
  ) {
    this.#network = network;
    this.#place = place;
    this.#operate = life.operate;
    this.#isAlive = life.isAlive;
  }

  start(handler: TransportHandler): Promise<void> {
    if (this.#isAlive()) this.#network.attach(this.#place, handler);
    return Promise.resolve();
  }

  send(peer: NodeId, lane: Lane, frame: Uint8Array): SendOutcome {
    return this.#operate() ? this.#network.send(this.#place, peer, lane, frame) : "not-connected";
  }

  request(peer: NodeId, body: Uint8Array, options: { readonly timeoutMs: number }): Promise<Uint8Array> {
    if (!this.#operate()) return NEVER;
    const answer = this.#network.request(this.#place, peer, body, options.timeoutMs);
    // A process that is gone hears neither the answer nor that there is none.
    return answer.then(
      (bytes) => (this.#isAlive() ? bytes : NEVER),
      (error: unknown) => (this.#isAlive() ? Promise.reject(error) : NEVER),
    );
  }

  peers(): readonly PeerInfo[] {
    return this.#isAlive() ? this.#network.peers(this.#place) : [];
  }

  disconnect(peer: NodeId): void {
    if (this.#isAlive()) this.#network.disconnect(this.#place, peer);
  }

  close(): Promise<void> {
    if (this.#isAlive()) this.#network.detach(this.#place);
    return Promise.resolve();
  }
}
