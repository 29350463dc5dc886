import { sealEnvelope } from "../../dag/conflict-keys.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { Schedule } from "../schedule.ts";
import { contextOf } from "./avalanche-network.ts";
import { OrderedNode } from "./ordered-node.ts";
import type { OrderedOptions, OrderedParcel, OrderedWorld } from "./ordered-world.ts";

/** Requests that became final and durable at the node of their client. */
export interface FinalRequest {
  readonly submittedMs: number;
  readonly atMs: number;
  readonly vertices: number;
}

/**
 * Real engines of one network in virtual time, each with a machine of its own whose resources cost what the cost table says.
 * Signatures are time only; sizes are those of the real encodings; nothing is lost and nobody lies.
 */
export class OrderedNetwork<M> implements OrderedWorld<M> {
  readonly schedule: Schedule = new Schedule();
  readonly options: OrderedOptions<M>;
  readonly context: NetworkContext;
  readonly nodes: readonly OrderedNode<M>[];
  readonly payload: Uint8Array;
  readonly finals: FinalRequest[] = [];
  /** Messages to one receiver each, their bytes with those of bundles, and places of the log at the first node. */
  sent = { messages: 0, bytes: 0 };
  slots = 0;
  steps = { count: 0, us: 0 };
  readonly #held = new Map<Hash, { readonly held: HeldBundle; readonly bytes: number }>();

  constructor(options: OrderedOptions<M>) {
    this.options = options;
    this.context = contextOf(options.nodes);
    this.payload = sealEnvelope({ conflictKeys: [], payload: new Uint8Array(options.payloadBytes) });
    this.nodes = this.context.set.indices().map((index) => new OrderedNode(this, index));
    // Not all in the same instant: turns of different nodes are at different times.
    this.nodes.forEach((node, place) => {
      this.schedule.at((place * TURN_SPREAD_MS) / options.nodes, () => node.start());
    });
    for (let request = 0; request < options.requests; request++) {
      const node = present(this.nodes[(request * SPREAD) % options.nodes], "a node");
      const atMs = START_MS + (request * TURN_SPREAD_MS) / options.requests;
      this.schedule.at(atMs, () => node.submit(atMs));
    }
  }

  run(untilMs: number): void {
    for (;;) {
      const next = this.schedule.nextAtMs();
      if (next === null || next > untilMs) return;
      this.schedule.runNext();
    }
  }

  /** The counters begin anew. */
  clear(): void {
    this.sent = { messages: 0, bytes: 0 };
    this.steps = { count: 0, us: 0 };
    this.slots = 0;
    this.finals.length = 0;
    for (const { machine } of this.nodes) machine.clear();
  }

  register(held: HeldBundle, bytes: number): void {
    this.#held.set(held.ref.digest, { held, bytes });
  }

  heldOf(digest: Hash): HeldBundle | undefined {
    return this.#held.get(digest)?.held;
  }

  bytesOf(digest: Hash): number {
    return this.#held.get(digest)?.bytes ?? 0;
  }

  carry(parcel: OrderedParcel<M>, to: ValidatorIndex, atMs: number): void {
    const node = present(this.nodes[to], `node ${to}`);
    this.schedule.at(atMs, () => node.receive(parcel, atMs));
  }

  onSent(messages: number, bytes: number): void {
    this.sent.messages += messages;
    this.sent.bytes += bytes;
  }

  onStep(us: number): void {
    this.steps.count += 1;
    this.steps.us += us;
  }

  onFinal(submittedMs: number, vertices: number, atMs: number): void {
    this.finals.push({ submittedMs, vertices, atMs });
  }

  onSlot(self: ValidatorIndex): void {
    if (self === 0) this.slots += 1;
  }
}

/** Nodes begin within one turn of each other, clients a little later. */
const TURN_SPREAD_MS = 6;
const START_MS = 20;

/** A prime above every size: neighbouring requests go to nodes that are far apart. */
const SPREAD = 1_009;
