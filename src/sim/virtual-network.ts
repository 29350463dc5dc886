import type { NodeId } from "../crypto/identity.ts";
import { present } from "../lib/assert.ts";
import type { Lane, PeerInfo, SendOutcome, TransportHandler } from "../node/ports.ts";
import { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

/** How links behave; times in milliseconds, the rest probabilities for each frame. */
export interface LinkWeather {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /**
   * How unlike the links are: each one's delays are multiplied by a factor of its own between 1 / (1 + spread) and 1 + spread,
   * and the way back has another. 0: all alike.
   */
  readonly spread: number;
  /** A lost packet comes later: QUIC sends it again, and what follows on its lane waits. */
  readonly loss: number;
  /** The connection breaks, and what is on its way is gone. */
  readonly breakage: number;
  readonly duplication: number;
}

export const CALM_LINKS: LinkWeather = {
  delayMinMs: 0.2,
  delayMaxMs: 5,
  spread: 0,
  loss: 0,
  breakage: 0,
  duplication: 0,
};

/** A connection without an answer is given up within this time; QUIC's idle limit here is 5 s. */
const IDLE_MS_MAX = 5_000;
const RECONNECT_MS_MIN = 5;
const RECONNECT_MS_MAX = 400;

/** Frames under way on one lane of one link; then the sender hears `queue-full`. */
const LANE_FRAMES_MAX = 4_096;

const LANES: readonly Lane[] = ["consensus", "dissemination"];

/** One process on the network. Twins are two of them with one node id. */
export interface Endpoint {
  readonly nodeId: NodeId;
  /** Its number in the world. */
  readonly place: number;
}

interface Port extends Endpoint {
  handler: TransportHandler | null;
}

interface LaneQueue {
  readonly frames: { readonly frame: Uint8Array; readonly dueMs: number }[];
  /** Frames arrive in order: none before this time. */
  lastDueMs: number;
  reading: boolean;
  scheduled: boolean;
}

interface Link {
  readonly from: Port;
  readonly to: Port;
  readonly random: Random;
  /** 0 to 1: where this link lies between the quickest and the slowest. */
  readonly slowness: number;
  readonly lanes: ReadonlyMap<Lane, LaneQueue>;
  blocked: boolean;
  up: boolean;
  /** Counts connections: what belongs to an earlier one is gone. */
  life: number;
  waiting: boolean;
}

/** What looks on, and may hold frames back. */
export interface NetworkWatcher {
  /** False loses the frame, and with it the connection. */
  onSend(from: Endpoint, to: Endpoint, lane: Lane, frame: Uint8Array): boolean;
  onDeliver(from: Endpoint, to: Endpoint, lane: Lane, frame: Uint8Array): void;
}

/**
 * Links between every two processes with the promises of the production transport and no more: frames of one lane arrive
 * in order or not at all, lanes do not order each other, a peer that stops reading stops its lane, a broken connection is
 * told to both sides and comes back.
 */
export class VirtualNetwork {
  readonly #schedule: Schedule;
  readonly #seed: number;
  readonly #watcher: NetworkWatcher;
  readonly #ports: Port[] = [];
  readonly #links = new Map<number, Link>();
  weather: LinkWeather = CALM_LINKS;
  /** Frames handed over so far. */
  delivered = 0;

  constructor(schedule: Schedule, seed: number, watcher: NetworkWatcher) {
    this.#schedule = schedule;
    this.#seed = seed;
    this.#watcher = watcher;
  }

  add(endpoint: Endpoint): void {
    const port: Port = { ...endpoint, handler: null };
    this.#ports[endpoint.place] = port;
    for (const other of this.#ports) {
      if (other === undefined || other.nodeId === port.nodeId) continue;
      for (const [from, to] of [
        [port, other],
        [other, port],
      ] as const) {
        this.#links.set(keyOf(from.place, to.place), this.#newLink(from, to));
      }
    }
  }

  attach(place: number, handler: TransportHandler): void {
    const port = this.#port(place);
    port.handler = handler;
    for (const other of this.#ports) {
      // A new process knows no connection of the one before.
      if (this.#links.get(keyOf(place, other.place))?.up === true) this.#break(port, other);
      else this.#connectSoon(port, other);
    }
  }

  /** The process is gone: its connections end, what is on its way to it too. What it sent arrives. */
  detach(place: number): void {
    const port = this.#port(place);
    port.handler = null;
    for (const other of this.#ports) if (other !== port) this.#breakSoon(port, other);
  }

  /** Blocks or frees one direction. */
  block(from: number, to: number, blocked: boolean): void {
    const link = this.#links.get(keyOf(from, to));
    if (link === undefined || link.blocked === blocked) return;
    link.blocked = blocked;
    if (blocked) this.#breakSoon(link.from, link.to);
    else this.#connectSoon(link.from, link.to);
  }

  unblockAll(): void {
    for (const { from, to } of this.#links.values()) this.block(from.place, to.place, false);
  }

  send(from: number, peer: NodeId, lane: Lane, frame: Uint8Array): SendOutcome {
    let outcome: SendOutcome = "not-connected";
    for (const to of this.#ports) {
      const link = to.nodeId === peer ? this.#links.get(keyOf(from, to.place)) : undefined;
      if (link === undefined || !link.up) continue;
      if (this.#queue(link, lane).frames.length >= LANE_FRAMES_MAX) return "queue-full";
      outcome = "queued";
      this.#put(link, lane, frame);
    }
    return outcome;
  }

  /** Asks one process that has this node id; rejects where the connection breaks or the time is over. */
  request(from: number, peer: NodeId, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const links = this.#ports
      .filter(({ nodeId }) => nodeId === peer)
      .map((to) => this.#links.get(keyOf(from, to.place)))
      .filter((link) => link?.up === true);
    const link = links[0];
    if (link === undefined) return Promise.reject(new Error("the peer is not connected"));
    const back = present(this.#links.get(keyOf(link.to.place, from)), "the way back");
    const asked = Promise.withResolvers<Uint8Array>();
    const { life } = link;
    const cancel = this.#schedule.after(timeoutMs, () => asked.reject(new Error(`no answer in ${timeoutMs} ms`)));
    const question = body.slice();
    this.#schedule.after(this.#delay(link), () => {
      const { handler } = link.to;
      if (handler === null || link.life !== life || link.blocked) return;
      handler.onRequest(link.from.nodeId, question).then(
        (answer) => {
          const copy = answer.slice();
          this.#schedule.after(this.#delay(back), () => {
            if (back.blocked || back.life !== life) return;
            cancel();
            asked.resolve(copy);
          });
        },
        () => {
          cancel();
          asked.reject(new Error("the peer refused the question"));
        },
      );
    });
    return asked.promise;
  }

  peers(of: number): readonly PeerInfo[] {
    const found = new Map<NodeId, PeerInfo>();
    for (const to of this.#ports) {
      const link = this.#links.get(keyOf(of, to.place));
      if (link?.up === true) found.set(to.nodeId, infoOf(to));
    }
    return [...found.values()].sort((left, right) => (left.nodeId < right.nodeId ? -1 : 1));
  }

  /** Ends the connections with one node id; they come back by themselves. */
  disconnect(from: number, peer: NodeId): void {
    const port = this.#port(from);
    for (const to of this.#ports) if (to.nodeId === peer) this.#break(port, to);
  }

  #newLink(from: Port, to: Port): Link {
    const random = Random.of(this.#seed, from.place, to.place);
    const queues = LANES.map((lane): [Lane, LaneQueue] => [
      lane,
      { frames: [], lastDueMs: 0, reading: false, scheduled: false },
    ]);
    const slowness = Random.of(this.#seed, 0x51, from.place, to.place).fraction();
    return { from, to, random, slowness, lanes: new Map(queues), blocked: false, up: false, life: 0, waiting: false };
  }

  #put(link: Link, lane: Lane, frame: Uint8Array): void {
    const passes = this.#watcher.onSend(link.from, link.to, lane, frame);
    if (link.blocked) return;
    const { weather } = this;
    if (!passes || link.random.chance(weather.breakage)) return this.#breakSoon(link.from, link.to);
    const queue = this.#queue(link, lane);
    const copies = link.random.chance(weather.duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const dueMs = Math.max(queue.lastDueMs, this.#schedule.nowMs + this.#delay(link));
      queue.lastDueMs = dueMs;
      queue.frames.push({ frame, dueMs });
    }
    this.#readOn(link, lane, queue);
  }

  #readOn(link: Link, lane: Lane, queue: LaneQueue): void {
    const next = queue.frames[0];
    if (next === undefined || queue.reading || queue.scheduled) return;
    queue.scheduled = true;
    const { life } = link;
    this.#schedule.at(next.dueMs, () => {
      if (link.life !== life) return;
      queue.scheduled = false;
      queue.frames.shift();
      this.#hand(link, lane, queue, next.frame);
    });
  }

  #hand(link: Link, lane: Lane, queue: LaneQueue, frame: Uint8Array): void {
    const { handler } = link.to;
    if (handler === null) return;
    this.delivered += 1;
    this.#watcher.onDeliver(link.from, link.to, lane, frame);
    // All receivers share one buffer: nobody writes into a frame, and copies were a tenth of a run's time.
    const reading = handler.onFrame(link.from.nodeId, lane, frame);
    if (!(reading instanceof Promise)) return this.#readOn(link, lane, queue);
    queue.reading = true;
    const { life } = link;
    const readOn = (): void => {
      if (link.life !== life) return;
      queue.reading = false;
      this.#readOn(link, lane, queue);
    };
    reading.then(readOn, readOn);
  }

  #delay({ random, slowness }: Link): number {
    const { delayMinMs, delayMaxMs, loss } = this.weather;
    const factor = (1 + this.weather.spread) ** (2 * slowness - 1);
    const spread = delayMaxMs - delayMinMs;
    // Mostly short, sometimes long: what reorders is the tail.
    const once = factor * (delayMinMs + random.fraction() * (random.chance(0.8) ? spread / 4 : spread));
    let delayMs = once;
    // Each loss costs about a round trip and a probe time-out.
    while (loss > 0 && random.chance(loss)) delayMs += 3 * once + 1;
    return delayMs;
  }

  #breakSoon(left: Port, right: Port): void {
    const link = this.#links.get(keyOf(left.place, right.place));
    if (link === undefined || link.waiting) return;
    link.waiting = true;
    this.#schedule.after(link.random.between(1, IDLE_MS_MAX), () => {
      link.waiting = false;
      this.#break(left, right);
    });
  }

  #break(left: Port, right: Port): void {
    let wasUp = false;
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      const link = present(this.#links.get(keyOf(from.place, to.place)), "a link");
      wasUp ||= link.up;
      link.up = false;
      link.life += 1;
      for (const queue of link.lanes.values()) {
        queue.frames.length = 0;
        queue.lastDueMs = 0;
        queue.reading = false;
        queue.scheduled = false;
      }
    }
    if (wasUp) {
      left.handler?.onPeerDisconnected(right.nodeId, "the connection broke");
      right.handler?.onPeerDisconnected(left.nodeId, "the connection broke");
    }
    this.#connectSoon(left, right);
  }

  #connectSoon(left: Port, right: Port): void {
    const link = this.#links.get(keyOf(left.place, right.place));
    const back = this.#links.get(keyOf(right.place, left.place));
    if (link === undefined || back === undefined) return;
    this.#schedule.after(link.random.between(RECONNECT_MS_MIN, RECONNECT_MS_MAX), () => {
      if (link.up || link.blocked || back.blocked || left.handler === null || right.handler === null) return;
      link.up = true;
      back.up = true;
      left.handler.onPeerConnected(infoOf(right));
      right.handler.onPeerConnected(infoOf(left));
    });
  }

  #queue(link: Link, lane: Lane): LaneQueue {
    return present(link.lanes.get(lane), `lane ${lane}`);
  }

  #port(place: number): Port {
    return present(this.#ports[place], `process ${place}`);
  }
}

function keyOf(from: number, to: number): number {
  return from * 0x1_0000 + to;
}

function infoOf({ nodeId, place }: Endpoint): PeerInfo {
  return {
    nodeId,
    role: "validator",
    address: `virtual:${place}`,
    direction: "outbound",
    connectedSinceMs: 0,
    roundTripMs: null,
    bytesSent: 0,
    bytesReceived: 0,
    queuedBytes: 0,
  };
}
