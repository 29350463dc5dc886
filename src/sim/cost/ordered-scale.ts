import { restore as restoreHotStuff } from "../../consensus/hotstuff/durable.ts";
import { HotStuffEngine } from "../../consensus/hotstuff/engine.ts";
import { restore } from "../../consensus/pbft/durable.ts";
import { PbftEngine } from "../../consensus/pbft/engine.ts";
import type { Sequence } from "../../membership/ids.ts";
import type { HotStuffChoice } from "../../node/genesis-hotstuff.ts";
import type { CostTable } from "./cost-table.ts";
import { OrderedNetwork } from "./ordered-network.ts";
import { STEP_US } from "./ordered-node.ts";
import type { OrderedOptions } from "./ordered-world.ts";

export type OrderedEngine = "pbft" | "hotstuff";

/** A closed loop of clients on a network of so many validators. Times in virtual milliseconds. */
export interface OrderedQuestion {
  readonly engine: OrderedEngine;
  readonly hotstuff: HotStuffChoice;
  readonly nodes: number;
  /** Requests under way in the whole network. */
  readonly requests: number;
  readonly verticesPerRequest: number;
  readonly payloadBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly costs: CostTable;
}

export interface OrderedFigures {
  readonly finalPerS: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** Places of the log a second. */
  readonly slotsPerS: number;
  /** For one place of the log, in the whole network: messages between two nodes, and bytes with those of the bundles. */
  readonly messagesPerSlot: number;
  readonly bytesPerSlot: number;
  /** Cores of a node in use, on average and at the busiest, event loop and pool together. */
  readonly cores: number;
  readonly coresMost: number;
  /** What a step of the engines took on this machine, to what was charged for it. */
  readonly measuredToCharged: number;
}

/** As a node's own, where none of them is configured (docs/configuration.md): no view fails here. */
const TIMEOUTS = { floorMs: 2_000, initialMs: 4_000, capMs: 60_000 };

/** Runs the network through the warm-up and measures the window after it. */
export function measureOrdered(question: OrderedQuestion): OrderedFigures {
  return question.engine === "pbft" ? measure(question, pbftOf) : measure(question, hotStuffOf(question.hotstuff));
}

const begin = { executed: 0 as Sequence, base: 0 as Sequence, timeouts: TIMEOUTS };

type Parts = Parameters<OrderedOptions<unknown>["makeEngine"]>;

function pbftOf(...[network, self, lanes]: Parts): PbftEngine {
  return new PbftEngine({ ...begin, network, self, lanes, restored: restore([]) });
}

function hotStuffOf(choice: HotStuffChoice): (...parts: Parts) => HotStuffEngine {
  return (network, self, lanes) =>
    new HotStuffEngine({ ...begin, ...choice, network, self, lanes, restored: restoreHotStuff([]) });
}

function measure<M>(question: OrderedQuestion, makeEngine: OrderedOptions<M>["makeEngine"]): OrderedFigures {
  const { nodes, requests, verticesPerRequest, payloadBytes, warmUpMs, measureMs, costs } = question;
  const network = new OrderedNetwork<M>({ nodes, requests, verticesPerRequest, payloadBytes, costs, makeEngine });
  network.run(warmUpMs);
  network.clear();
  network.run(warmUpMs + measureMs);
  const seconds = measureMs / 1_000;
  const latencies = network.finals
    .map(({ atMs, submittedMs }) => atMs - submittedMs)
    .sort((left, right) => left - right);
  const quantile = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? Number.NaN;
  const cores = network.nodes.map(({ machine: { use } }) => (use.loopUs + use.poolUs) / 1e6 / seconds);
  const { sent, slots, steps } = network;
  return {
    finalPerS: network.finals.reduce((sum, { vertices }) => sum + vertices, 0) / seconds,
    p50Ms: quantile(0.5),
    p95Ms: quantile(0.95),
    slotsPerS: slots / seconds,
    messagesPerSlot: sent.messages / slots,
    bytesPerSlot: sent.bytes / slots,
    cores: cores.reduce((sum, each) => sum + each, 0) / nodes,
    coresMost: Math.max(...cores),
    measuredToCharged: steps.us / (steps.count * STEP_US),
  };
}
