import type { CostTable } from "./cost-table.ts";
import { type Prediction, predict, predictMost, predictShared, type Question } from "./predict.ts";

const NODES: readonly number[] = [4, 7, 31, 100, 1_000];

/** One way, in microseconds: between machines of different continents. */
const WAN_LATENCY_US = 50_000;

/** The specification's bound of the 99th percentile. */
const P99_MS_MAX = 500;

/** The load of the real bench in which most is finalized below that bound: 8 clients a node with batches of 100. */
const LOAD: Omit<Question, "nodes" | "costs"> = { payloadBytes: 200, verticesPerRequest: 100, inFlight: 3_200 };

interface Scenario {
  readonly name: string;
  readonly payloadBytes: number;
  readonly verticesPerRequest: number;
  /** Requests under way at a time, at all nodes together. */
  readonly requests: number;
}

/** As in bench/main.ts, on two cores. 256 requests at once are the most that its client, Bun's `fetch`, sends. */
const BENCH: readonly Scenario[] = [
  { name: "single, light", payloadBytes: 200, verticesPerRequest: 1, requests: 4 },
  { name: "single, busy", payloadBytes: 200, verticesPerRequest: 1, requests: 128 },
  { name: "single, 256 at once", payloadBytes: 200, verticesPerRequest: 1, requests: 256 },
  { name: "single, heavy", payloadBytes: 200, verticesPerRequest: 1, requests: 1_024 },
  { name: "batch of 100, light", payloadBytes: 200, verticesPerRequest: 100, requests: 4 },
  { name: "batch of 100, busy", payloadBytes: 200, verticesPerRequest: 100, requests: 32 },
  { name: "batch of 500, busy", payloadBytes: 200, verticesPerRequest: 500, requests: 16 },
  { name: "batch of 500, heavy", payloadBytes: 200, verticesPerRequest: 500, requests: 32 },
  { name: "1 KiB, batch of 100", payloadBytes: 1_024, verticesPerRequest: 100, requests: 32 },
  { name: "10 KiB, batch of 10", payloadBytes: 10_240, verticesPerRequest: 10, requests: 32 },
];

/**
 * The cost table and what follows from it, as text for people: networks of several sizes with each node on a machine of its
 * own, and the real bench (four nodes and their clients on two cores). docs/cost-model.md says what to make of it.
 */
export function costReport(costs: CostTable): string {
  const wan = { ...costs, linkLatencyUs: WAN_LATENCY_US };
  return [
    "Costs of operations",
    ...Object.entries(costs).map(([name, value]) => `${name.padEnd(18)}${value.toString().padStart(8)}`),
    "",
    `Each node on a machine of its own, ${costs.coresPerNode} cores, ${costs.linkMbitPerS} Mbit/s; batches of 100 with 200 bytes`,
    ...section(`${costs.linkLatencyUs / 1e3} ms one way`, costs),
    ...section(`${WAN_LATENCY_US / 1e3} ms one way`, wan),
    "",
    "Four nodes and their clients on one machine with two cores",
    HEAD,
    ...BENCH.map((scenario) => row(scenario.name, shared(scenario, costs))),
  ].join("\n");
}

/** What the model says of one scenario of the real bench: four nodes and the clients on two cores. */
function shared({ payloadBytes, verticesPerRequest, requests }: Scenario, costs: CostTable): Prediction {
  const inFlight = requests * verticesPerRequest;
  return predictShared({ nodes: 4, cores: 2, payloadBytes, verticesPerRequest, inFlight, costs });
}

function section(title: string, costs: CostTable): readonly string[] {
  return [
    "",
    `${title}, 3,200 vertices under way`,
    HEAD,
    ...NODES.map((nodes) => row(`${nodes} nodes`, predict({ ...LOAD, nodes, costs }))),
    "",
    `${title}, as many vertices under way as a p99 of ${P99_MS_MAX} ms allows`,
    HEAD,
    ...NODES.map((nodes) => row(`${nodes} nodes`, predictMost({ ...LOAD, nodes, costs }, P99_MS_MAX))),
  ];
}

const HEAD = `${"".padEnd(20)}finalized/s    p50 ms    p99 ms   turn ms  cores   loop   disk   link  bound`;

function row(name: string, prediction: Prediction | null): string {
  if (prediction === null) return `${name.padEnd(20)}${"none: one request alone takes longer".padStart(11)}`;
  const { throughputPerS, p50Ms, p99Ms, turnMs, coresUsed, loopShare, diskShare, linkShare, bound } = prediction;
  const times = [p50Ms, p99Ms, turnMs].map((value) => value.toFixed(1).padStart(10)).join("");
  const shares = [coresUsed, loopShare, diskShare, linkShare].map((value) => value.toFixed(2).padStart(7)).join("");
  return `${name.padEnd(20)}${Math.round(throughputPerS).toString().padStart(11)}${times}${shares}  ${bound}`;
}
