import { encode } from "../codec/codec.ts";
import type { Engine, PeerStatus } from "../consensus/engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Nonce, ValidatorIndex, View } from "../membership/ids.ts";
import type { Epochs } from "./epochs.ts";
import { type Addressed, listOf } from "./frames.ts";
import type { Clock, Transport } from "./ports.ts";
import { frameCodec, frameSizeHint, type StatusFrame } from "./wire.ts";

export interface CourierPorts<M> {
  readonly epochs: Epochs<M>;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Up to which nonce each lane is held. */
  heldNonces(): readonly Nonce[];
  isStopped(): boolean;
}

/** How long after a dropped frame a slow peer is told where this node stands. */
const TELL_LATER_MS = 1_000;

/** Frames to validators by their index, and the word of where this node stands. */
export class Courier<M> {
  readonly #ports: CourierPorts<M>;
  /** Peers that are about to hear where this node stands. Bounded by the connections. */
  readonly #told = new Set<NodeId>();

  constructor(ports: CourierPorts<M>) {
    this.#ports = ports;
  }

  send({ lane, to, frame }: Addressed): void {
    const { epochs, transport } = this.#ports;
    const { network, self } = epochs;
    const bytes = encode(frameCodec, frame, frameSizeHint(frame));
    for (const receiver of to === "all" ? network.set.indices() : listOf(to)) {
      if (receiver === self) continue;
      const peer = network.set.at(receiver).nodeId;
      // A peer that is away loses the frame, and asks for what it lacks when it is back. One that is slow is told later.
      if (transport.send(peer, lane, bytes) === "queue-full") this.tellLater(peer);
    }
  }

  tellStatus(peer: NodeId): void {
    const { epochs, transport } = this.#ports;
    transport.send(peer, "consensus", encode(frameCodec, this.statusFrame(statusOf(epochs.engine))));
  }

  /** A frame to a connected peer was dropped, or one of us lags an epoch: it hears soon where this node stands. */
  tellLater(peer: NodeId): void {
    const { clock } = this.#ports;
    if (this.#told.has(peer) || this.#ports.isStopped()) return;
    this.#told.add(peer);
    clock.setTimer(clock.monotonicMs() + TELL_LATER_MS, () => {
      this.#told.delete(peer);
      if (!this.#ports.isStopped()) this.tellStatus(peer);
    });
  }

  statusFrame(status: PeerStatus): StatusFrame {
    const { epoch } = this.#ports.epochs.network.set;
    return { kind: "status", epoch, status, lanes: this.#ports.heldNonces() };
  }

  /** Views are an epoch's own: of a peer in another one only its place in the log means something here. */
  inThisEpoch({ epoch, status }: StatusFrame): PeerStatus {
    if (epoch === this.#ports.epochs.network.set.epoch) return status;
    return { ...status, view: 0 as View, active: true };
  }

  /** The other validators that are connected, ascending; then who else is: in another epoch it may be a validator. */
  reachable(): readonly NodeId[] {
    const { epochs, transport } = this.#ports;
    const { network, self } = epochs;
    const peers = transport.peers().map(({ nodeId }) => nodeId);
    const isValidator = (peer: NodeId): boolean => network.set.indexOf(peer) !== null;
    const others = peers.filter((peer) => self === null || peer !== network.set.at(self).nodeId);
    return [...others.filter(isValidator), ...others.filter((peer) => !isValidator(peer))];
  }

  /** The other validators that are connected. */
  connected(): readonly ValidatorIndex[] {
    const { set } = this.#ports.epochs.network;
    return this.reachable().flatMap((peer) => set.indexOf(peer) ?? []);
  }

  nodeId(index: ValidatorIndex): NodeId {
    return this.#ports.epochs.network.set.at(index).nodeId;
  }
}

function statusOf<M>(engine: Engine<M>): PeerStatus {
  const { view, active, executed, stable } = engine.status();
  return { view, active, executed, stable };
}
