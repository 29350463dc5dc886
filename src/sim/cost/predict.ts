import { PIPELINE_DEPTH } from "../../consensus/pbft/limits.ts";
import { BUNDLE_VERTICES_MAX } from "../../dag/limits.ts";
import { assert } from "../../lib/assert.ts";
import { quorumSize } from "../../membership/quorum.ts";
import type { CostTable } from "./cost-table.ts";
import { type Rates, type Work, workOf } from "./work.ts";

/**
 * What PBFT as built here can do, from the costs of its elementary operations: an analytic model, no simulation. All of
 * its assumptions are listed in docs/cost-model.md.
 */

/** A closed loop of clients, spread evenly over the nodes: each sends its next request when the last one is final. */
export interface Question {
  /** Validators, 1 to 1,024; all correct. */
  readonly nodes: number;
  readonly payloadBytes: number;
  /** Vertices of one client's request. */
  readonly verticesPerRequest: number;
  /** Vertices that all clients together have under way at a time; one request or more. */
  readonly inFlight: number;
  readonly costs: CostTable;
}

/**
 * What keeps the throughput from being higher: a resource in full use, or, where none is, the waits of the protocol:
 * between turns, or on the way between machines.
 */
export type Bound = "cpu" | "disk" | "wire" | "turn-interval" | "round-trip";

export interface Prediction {
  /** Finalized vertices a second in the whole network. */
  readonly throughputPerS: number;
  /** From a client's request to the answer that it is final. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly bound: Bound;
  /** Between two turns of one node. */
  readonly turnMs: number;
  readonly turnsPerS: number;
  readonly slotsPerS: number;
  readonly verticesPerBundle: number;
  /** Cores in use at the leader. */
  readonly coresUsed: number;
  /** Use of the leader's event loop, its database thread and its link, 0 to 1. */
  readonly loopShare: number;
  readonly diskShare: number;
  readonly linkShare: number;
}

/** As `TURN_INTERVAL_MS` and `TURNS_UNDER_WAY_MAX` of node/outbox.ts. */
const TURN_INTERVAL_S = 0.006;
const TURNS_UNDER_WAY = 2;

/** No turn of a network that works is longer. Where even this does not suffice, the figures are those of an overload. */
const TURN_S_MAX = 1_000;

/** Enough to halve every range below down to a hundred thousandth. */
const HALVINGS = 22;

/** Times the standard deviation: the 99th percentile of a normal distribution. */
const P99_DEVIATIONS = 2.326;

/** The spread of an fsync and of a signature (ML-DSA repeats itself until a candidate fits), as a share of the mean. */
const DURATION_SPREAD = 0.5;

interface Machine {
  readonly cores: number;
  readonly nodes: number;
  readonly hasClients: boolean;
  readonly linkUs: number;
  /** Infinity for loopback: what it costs is CPU. */
  readonly linkBytesPerS: number;
}

interface State {
  readonly rates: Rates;
  readonly work: Work;
  readonly turnS: number;
  readonly latency: Latency;
}

interface Latency {
  readonly meanS: number;
  readonly deviationS: number;
  /** What of the mean is time on links. */
  readonly linkS: number;
}

/** Every node on its own machine of `costs.coresPerNode` cores, clients elsewhere and near. */
export function predict(question: Question): Prediction {
  const { costs } = question;
  return solve(question, {
    cores: costs.coresPerNode,
    nodes: 1,
    hasClients: false,
    linkUs: costs.linkLatencyUs,
    linkBytesPerS: (costs.linkMbitPerS * 1e6) / 8,
  });
}

/** All nodes and the clients on one machine with one disk: what `npm run bench` measures. */
export function predictShared(question: Question & { readonly cores: number }): Prediction {
  const { cores, nodes } = question;
  return solve(question, { cores, nodes, hasClients: true, linkUs: 0, linkBytesPerS: Number.POSITIVE_INFINITY });
}

/** The most that the clients can get with a p99 of at most so many milliseconds; null where one request takes longer. */
export function predictMost(question: Omit<Question, "inFlight">, p99MsMax: number): Prediction | null {
  const at = (inFlight: number): Prediction => predict({ ...question, inFlight });
  if (at(question.verticesPerRequest).p99Ms > p99MsMax) return null;
  const inFlight = lowest(question.verticesPerRequest, 1e9, (candidate) => at(candidate).p99Ms > p99MsMax);
  return at(Math.max(question.verticesPerRequest, inFlight * (1 - 1e-4)));
}

/** The shortest turn with which no resource is asked for more than there is. */
function solve(question: Question, machine: Machine): Prediction {
  const { nodes, payloadBytes, verticesPerRequest, inFlight } = question;
  assert(Number.isInteger(nodes) && nodes >= 1, `1 validator or more, not ${nodes}`);
  assert(payloadBytes >= 0 && verticesPerRequest >= 1 && inFlight >= verticesPerRequest, "one request or more");
  const turnS = lowest(TURN_INTERVAL_S, TURN_S_MAX, (turn) => {
    const state = settle(question, machine, turn);
    return fullest(state.work, machine).use <= 1 && durationOfTurn(state, question.costs) <= TURNS_UNDER_WAY * turn;
  });
  const state = settle(question, machine, turnS);
  const { meanS, deviationS } = state.latency;
  const { work, rates } = state;
  return {
    throughputPerS: rates.vertices,
    p50Ms: meanS * 1e3,
    p99Ms: (meanS + P99_DEVIATIONS * deviationS) * 1e3,
    bound: boundOf(state, machine),
    turnMs: turnS * 1e3,
    turnsPerS: rates.turns,
    slotsPerS: rates.slots,
    verticesPerBundle: rates.vertices / rates.nodes / rates.bundles,
    coresUsed: work.cores,
    loopShare: work.loop,
    diskShare: work.disk,
    linkShare: Math.max(work.bytesOut, work.bytesIn) / machine.linkBytesPerS,
  };
}

/** The rates at which a closed loop settles with turns of this length (Little's law: in flight = throughput x latency). */
function settle(question: Question, machine: Machine, turnS: number): State {
  const at = (vertices: number): State => stateAt(question, machine, turnS, vertices);
  const most = question.inFlight / turnS;
  const vertices = lowest(most * 1e-9, most, (candidate) => {
    return candidate * at(candidate).latency.meanS >= question.inFlight;
  });
  return at(vertices);
}

/** All rates and times at a given throughput. */
function stateAt(question: Question, machine: Machine, turnS: number, vertices: number): State {
  const { nodes, costs } = question;
  const perNode = vertices / nodes;
  // At most one bundle a turn, unless that one is full.
  const bundles = Math.max(Math.min(1 / turnS, perNode / question.verticesPerRequest), perNode / BUNDLE_VERTICES_MAX);
  const at = (slots: number): { readonly rates: Rates; readonly work: Work; readonly times: Times } => {
    const rates: Rates = {
      nodes,
      quorum: quorumSize(nodes),
      payloadBytes: question.payloadBytes,
      verticesPerRequest: question.verticesPerRequest,
      vertices,
      bundles,
      slots,
      turns: Math.min(1 / turnS, 2 * slots + bundles),
    };
    const work = workOf(rates, costs);
    return { rates, work, times: timesOf(rates, work, costs, machine, turnS) };
  };
  // A bundle that finds room in the pipeline becomes a place of its own. The more places, the longer each takes.
  const most = nodes * bundles;
  const slots = lowest(most * 1e-6, most, (candidate) => candidate * at(candidate).times.slotS >= PIPELINE_DEPTH);
  const { rates, work, times } = at(slots);
  return { rates, work, turnS, latency: times.latency };
}

interface Times {
  /** From a proposal to its commit at the leader. */
  readonly slotS: number;
  readonly latency: Latency;
}

function timesOf(rates: Rates, work: Work, costs: CostTable, machine: Machine, turnS: number): Times {
  const { nodes, quorum } = rates;
  const cycleS = turnS * Math.min(1, rates.turns * turnS);
  // The q-th of n waits that are uniform over a cycle.
  const quorumWaitS = (cycleS * quorum) / (nodes + 1);
  const writeS = (costs.fsyncUs + (work.turnDiskBytes / 1_024) * costs.writePerKiBUs) / 1e6;
  const sealS = costs.signUs / 1e6;
  const queueS = queueWait(fullest(work, machine).cpu, work.receiveUs / 1e6, turnS);
  const isAlone = nodes === 1;
  const sendS = isAlone ? 0 : ((nodes - 1) * work.turnBytes) / machine.linkBytesPerS;
  const loopS = isAlone ? 0 : (machine.nodes * work.sendUs) / 1e6 / Math.min(machine.cores, machine.nodes);
  const wayS = isAlone ? 0 : machine.linkUs / 1e6 + (Math.max(sendS, loopS) * quorum) / nodes;
  const openS = isAlone ? 0 : (work.receiveUs + costs.verifyUs) / 1e6;
  const stepS = sealS + writeS + wayS + queueS + openS;
  // Votes of one phase come at about the same time: the quorum's last one waits for the others.
  const voteUs = work.receiveUs + costs.verifyUs - costs.verifyLoopUs;
  const burstS = ((quorum - 1) * Math.max(work.receiveUs, (machine.nodes * voteUs) / machine.cores)) / 1e6;
  const votesS = Math.max(0, burstS - queueS);
  const slotS = cycleS / 2 + 2 * (quorumWaitS + votesS) + 3 * stepS;
  // Places follow each other no faster than the pipeline allows; a bundle waits for what that is longer than bundles' own pace.
  const placeS = Math.max(0, slotS / PIPELINE_DEPTH - 1 / (nodes * rates.bundles));
  const requestS = (costs.requestUs + (rates.verticesPerRequest - 1) * costs.requestVertexUs) / 1e6;
  const meanS = requestS + 2 * queueS + (cycleS / 2 + stepS) + placeS / 2 + slotS + (cycleS / 2 + sealS + writeS);
  const order = (quorum * (nodes + 1 - quorum)) / ((nodes + 1) ** 2 * (nodes + 2));
  const variance =
    cycleS ** 2 * (3 / 12 + 2 * order) +
    placeS ** 2 / 12 +
    6 * queueS ** 2 +
    5 * DURATION_SPREAD ** 2 * (sealS ** 2 + writeS ** 2);
  return { slotS, latency: { meanS, deviationS: Math.sqrt(variance), linkS: 4 * wayS } };
}

/**
 * Waiting for a busy thread: M/D/1 (Pollaczek and Khinchine: rho s / 2(1 - rho)), but in a closed loop there is never more to
 * wait for than one turn of everybody, half of it on average.
 */
function queueWait(use: number, serviceS: number, turnS: number): number {
  const bounded = (Math.min(1, use) * turnS) / 2;
  return use >= 1 ? bounded : Math.min(bounded, (use * serviceS) / (2 * (1 - use)));
}

/** The use of the machine's fullest resource, and of its fullest processor alone. */
function fullest(work: Work, machine: Machine): { readonly use: number; readonly cpu: number; readonly bound: Bound } {
  const clients = machine.hasClients ? work.clients : 0;
  const cpu = Math.max(work.loop, (machine.nodes * work.cores + clients) / machine.cores);
  const disk = machine.nodes * work.disk;
  const wire = Math.max(work.bytesOut, work.bytesIn) / machine.linkBytesPerS;
  const use = Math.max(cpu, disk, wire);
  return { use, cpu, bound: use === cpu ? "cpu" : use === disk ? "disk" : "wire" };
}

/** From closing a turn until its frames may leave. */
function durationOfTurn({ work }: State, costs: CostTable): number {
  return (costs.signUs + costs.fsyncUs + (work.turnDiskBytes / 1_024) * costs.writePerKiBUs) / 1e6;
}

function boundOf(state: State, machine: Machine): Bound {
  if (state.turnS > TURN_INTERVAL_S * 1.001) {
    const { use, bound } = fullest(state.work, machine);
    // Two turns under way, and the disk is what they wait for.
    return use > 0.99 ? bound : "disk";
  }
  return state.latency.linkS > state.latency.meanS / 2 ? "round-trip" : "turn-interval";
}

/** The lowest number from which on a condition holds; `to` where it never does. By halving on a logarithmic scale. */
function lowest(from: number, to: number, holds: (candidate: number) => boolean): number {
  if (holds(from)) return from;
  let [low, high] = [Math.log(from), Math.log(to)];
  for (let step = 0; step < HALVINGS; step++) {
    const middle = (low + high) / 2;
    if (holds(Math.exp(middle))) high = middle;
    else low = middle;
  }
  return Math.exp(high);
}
