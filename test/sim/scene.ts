import { bodiesOf } from "../../src/sim/frame-bodies.ts";
import { drainMicrotasks } from "bun:jsc";
import { decode } from "../../src/codec/codec.ts";
import type { Effect } from "../../src/consensus/engine.ts";
import { PbftEngine } from "../../src/consensus/pbft/engine.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import type { NodeParts } from "../../src/node/node-parts.ts";
import type { Transport } from "../../src/node/ports.ts";
import type { ProposedChange } from "../../src/node/service.ts";
import { frameCodec } from "../../src/node/wire.ts";
import { LIARS_MARK } from "../../src/sim/violation.ts";
import type { Plan } from "../../src/sim/plan.ts";
import { planOf } from "../../src/sim/swarm.ts";
import { TRUE_CLOCK } from "../../src/sim/virtual-clock.ts";
import { CALM_DISK } from "../../src/sim/virtual-disk.ts";
import { CALM_LINKS } from "../../src/sim/virtual-network.ts";
import type { VirtualNode } from "../../src/sim/virtual-node.ts";
import { watched } from "../../src/sim/watched-engine.ts";
import { World } from "../../src/sim/world.ts";

export interface SceneOptions {
  /** Validators at genesis. */
  readonly nodes: number;
  readonly joiners?: number;
  readonly seed?: number;
  /** Milliseconds of a frame's way. */
  readonly delayMs?: readonly [min: number, max: number];
  /** Whom operators may dismiss: any other removal is a false one. */
  readonly dismissed?: readonly number[];
  /** Who is free to lie; what it does is `alter`'s. */
  readonly liars?: readonly number[];
  readonly alter?: (parts: NodeParts, node: VirtualNode, scene: Scene) => NodeParts;
  readonly onEffect?: (place: number, effect: Effect<PbftMessage>) => void;
  /** Default: no reports. */
  readonly reportIntervalMs?: number;
}

/** Everybody is up and has heard the others by then, in virtual milliseconds. */
export const SETTLED_MS = 2_000;

/** How often an operator says again what was not ordered, and how often at the most. */
const AGAIN_MS = 200;
const WORDS_MAX = 50;

/** Between two looks at the real event loop, as in the simulator's own runs. */
const EVENTS_PER_BREATH = 20_000;

/** A network of production nodes that a test leads by hand, in virtual time and with production's windows. */
export class Scene {
  readonly world: World;
  /** Who holds a proof of a lie against whom. */
  readonly accused: { readonly by: number; readonly signer: number }[] = [];
  #paid = 0;

  constructor(options: SceneOptions) {
    this.world = new World({
      plan: planFor(options),
      recorder: null,
      kindOf: (world, place) => ({
        makeEngine: (engine) => {
          world.checker.onEngine(place, engine.network.set.epoch);
          return watched(new PbftEngine(engine), {
            onStep: (event, status) => world.guard(() => world.checker.onStep(place, event, status)),
            onEffect: (effect) => {
              options.onEffect?.(place, effect);
              world.guard(() => world.checker.onEffect(place, effect));
            },
          });
        },
        wrapTransport: (transport) => transport,
        alterParts: (parts, node) => {
          const heard = this.#listening(parts, place);
          return options.alter?.(heard, node, this) ?? heard;
        },
      }),
    });
    for (const node of this.world.nodes) node.start();
  }

  /** @throws Violation the first broken promise of the protocol */
  async until(atMs: number, isDone: () => boolean = () => false): Promise<boolean> {
    const { world } = this;
    const { schedule } = world;
    schedule.at(atMs, () => undefined);
    while (!isDone()) {
      if (world.violation !== null) throw world.violation;
      const next = schedule.nextAtMs();
      if (next === null || next > atMs) return false;
      schedule.runNext();
      drainMicrotasks();
      if (schedule.ran % EVENTS_PER_BREATH === 0) await breathe();
    }
    return true;
  }

  async pass(ms: number): Promise<void> {
    await this.until(this.world.schedule.nowMs + ms);
  }

  /** One client's payloads, where this node is up and takes them. */
  pay(place: number, count = 1): void {
    const node = this.world.node(place);
    node.submit(
      Array.from({ length: count }, () => {
        this.#paid += 1;
        const payload = new Uint8Array(16);
        payload[0] = node.isCorrect ? 1 : LIARS_MARK;
        new DataView(payload.buffer).setUint32(1, this.#paid);
        return payload;
      }),
    );
  }

  /** One payload at each of these nodes, again and again. */
  load(places: readonly number[], fromMs: number, toMs: number, everyMs: number): void {
    for (let atMs = fromMs; atMs < toMs; atMs += everyMs) {
      this.world.schedule.at(atMs, () => {
        for (const place of places) this.pay(place);
      });
    }
  }

  dismiss(by: readonly number[], place: number): void {
    const { nodeId } = this.world.node(place).keys;
    this.#say(by, place, true, { kind: "dismiss", nodeId, waitForSuccessor: false });
  }

  admit(by: readonly number[], place: number): void {
    const { nodeId, publicKeys } = this.world.node(place).keys;
    const candidate = { nodeId, publicKeys, name: `node-${place}`, address: `virtual:${place + 1}` };
    this.#say(by, place, false, { kind: "admit", candidate });
  }

  restart(place: number): void {
    this.world.node(place).crash();
    this.world.node(place).start();
  }

  loseDisk(place: number): void {
    const node = this.world.node(place);
    node.loseDisk();
    this.world.checker.onDiskLost(place);
    node.start();
  }

  epochOf(place: number): number {
    return this.world.node(place).node?.status().epoch ?? -1;
  }

  isValidator(place: number): boolean {
    return this.world.node(place).node?.status().role === "validator";
  }

  viewOf(place: number): string {
    const status = this.world.node(place).engine?.status();
    return status === undefined ? "down" : `${status.view}${status.active ? "" : ", changing"}`;
  }

  /** What keeps a node from taking part; empty for nothing. */
  reasonsOf(place: number): readonly string[] {
    return this.world.node(place).node?.readiness().reasons ?? ["it is down"];
  }

  positionsOf(places: readonly number[]): readonly number[] {
    return places.map((place) => this.world.node(place).node?.status().lastSequence ?? -1);
  }

  #listening(parts: NodeParts, by: number): NodeParts {
    const { observer } = parts;
    const onEquivocation: typeof observer.onEquivocation = (equivocation) => {
      this.accused.push({ by, signer: equivocation.first.proof.seal.signer });
      observer.onEquivocation(equivocation);
    };
    return { ...parts, observer: { ...observer, onEquivocation } };
  }

  /** Each says it until it was ordered, or until nobody wants it any more. */
  #say(by: readonly number[], place: number, isWantedOf: boolean, change: ProposedChange): void {
    const { nodeId } = this.world.node(place).keys;
    for (const speaker of by) {
      let left = WORDS_MAX;
      const say = (): void => {
        const { node } = this.world.node(speaker);
        const member = node?.membership().members.find((one) => one.nodeId === nodeId);
        left -= 1;
        if (left < 0 || (node !== null && (member?.standing === "active") !== isWantedOf)) return;
        this.world.node(speaker).propose(change, () => this.world.schedule.after(AGAIN_MS, say));
      };
      say();
    }
  }
}

function planFor({ nodes, joiners = 0, seed = 1, delayMs, dismissed = [], liars = [], ...rest }: SceneOptions): Plan {
  const [delayMinMs, delayMaxMs] = delayMs ?? [CALM_LINKS.delayMinMs, CALM_LINKS.delayMaxMs];
  return {
    ...planOf({ seed, nodes, byzantine: 0, application: "log" }),
    joiners,
    links: { ...CALM_LINKS, delayMinMs, delayMaxMs },
    disks: CALM_DISK,
    clocks: Array.from({ length: nodes + joiners }, () => TRUE_CLOCK),
    timeouts: { floorMs: 250, initialMs: 500, capMs: 3_000 },
    windows: { checkpointInterval: 32, sendWindow: 128, receiveWindow: 256 },
    reportIntervalMs: rest.reportIntervalMs ?? 10_000_000,
    // Nobody says these by the plan: the test does, and the world knows that they were wanted.
    changes: dismissed.map((node) => ({ kind: "dismiss", atMs: 0, by: [], node })),
    liars: liars.map((node) => ({ node, attacks: [], twin: false })),
    work: [],
    faults: [],
  };
}

/** The same ports with some of the transport's ways replaced. */
export function withTransport(parts: NodeParts, changes: Partial<Transport>): NodeParts {
  const { transport } = parts;
  return {
    ...parts,
    transport: {
      start: (handler) => transport.start(handler),
      send: (peer, lane, frame) => transport.send(peer, lane, frame),
      request: (peer, body, options) => transport.request(peer, body, options),
      peers: () => transport.peers(),
      disconnect: (peer, reason) => transport.disconnect(peer, reason),
      close: () => transport.close(),
      ...changes,
    },
  };
}

function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** What a frame of the consensus lane holds: the first byte of an engine's message is its kind. */
export function kindsOf(frame: Uint8Array): readonly (number | "status")[] {
  const decoded = decode(frameCodec, frame);
  if (decoded.kind === "status") return ["status"];
  return bodiesOf(decoded).map((body) => body[0] ?? -1);
}
