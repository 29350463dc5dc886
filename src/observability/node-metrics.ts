import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { DagStatus } from "../consensus/dag-engine.ts";
import type { Trace } from "../consensus/engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { PeerInfo } from "../node/ports.ts";
import type { MembershipView, NodeStatus, PeerReport } from "../node/service.ts";
import { METRICS, type MetricName, type MetricSpec } from "./metric-names.ts";

/** Batches whose phases are timed at a time. */
const TIMED_BATCHES_MAX = 1_024;

/** Distinct values of one label; what comes after is counted as "other", so that no peer can make the registry grow. */
const LABEL_VALUES_MAX = 64;

/** Digits of a node id in a label: what the command line shows. */
const PEER_LABEL_DIGITS = 16;

/** What the wiring reads at every scrape. */
export interface Collected {
  readonly status: NodeStatus;
  readonly participation: number;
  readonly membership: MembershipView;
  readonly peers: readonly PeerInfo[];
  readonly reports: readonly PeerReport[];
  readonly storage: { readonly runningCompactions: number; readonly pendingWrites: number };
  readonly diskBytes: number;
}

export interface ApiMetrics {
  onRequest(route: string, status: number, seconds: number): void;
}

/** The engine that orders, and the phase with which a place begins at a replica: its first word about the content. */
interface Ordering {
  readonly algorithm: string;
  readonly begin: Trace["phase"];
}

const PBFT: Ordering = { algorithm: "pbft", begin: "pre-prepare" };
const HOTSTUFF: Ordering = { algorithm: "hotstuff", begin: "prepare" };

/**
 * The node's metrics behind the interfaces that the other layers declare. prom-client without its default metrics: those
 * walk the whole heap on every scrape (hundreds of milliseconds on Bun).
 */
export class NodeMetrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();
  readonly #labels = new Map<string, Set<string>>();
  readonly #begun = new Map<number, number>();
  readonly #ordering: Ordering;
  #executed = 0;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 10 });
  #collect: (() => Promise<Collected>) | null = null;
  #lastScrapeMs = performance.now();

  constructor(ordering: Ordering) {
    this.#ordering = ordering;
    for (const [name, spec] of Object.entries(METRICS) as [MetricName, MetricSpec][]) this.#register(name, spec);
    this.#loopDelay.enable();
  }

  readonly observer = {
    onTrace: (trace: Trace): void => this.#onTrace(trace),
    onTurn: (turn: { readonly statements: number; readonly durationMs: number }): void => {
      this.#histogram("cretoai_turn_seconds").observe(turn.durationMs / 1_000);
      if (turn.statements > 0) this.#histogram("cretoai_turn_statements").observe(turn.statements);
    },
    onProposed: (vertices: number): void => this.#counter("cretoai_vertices_proposed_total").inc(vertices),
    onFinalized: (vertices: number, _bundles: number): void => {
      this.#counter("cretoai_vertices_finalized_total").inc(vertices);
      this.#counter("cretoai_state_commit_total").inc();
    },
    // One observation for each stretch of a submission: its vertices share their times.
    onFinality: (_vertices: number, finalityMs: number): void => {
      this.#histogram("cretoai_finality_time_seconds").observe(finalityMs / 1_000);
    },
    onIgnored: (_peer: NodeId, reason: string): void =>
      this.#countBy("cretoai_messages_ignored_total", "reason", reasonClass(reason)),
    onRejected: (_peer: NodeId, reason: string): void => {
      this.#countBy("cretoai_messages_rejected_total", "reason", reasonClass(reason));
    },
    onEquivocation: (_equivocation: Equivocation): void => {
      this.#counter("cretoai_equivocations_detected").inc();
    },
  };

  readonly network = {
    onSent: (lane: string, bytes: number): void => this.#counter("cretoai_network_bytes_sent").inc({ lane }, bytes),
    onReceived: (lane: string, bytes: number): void =>
      this.#counter("cretoai_network_bytes_received").inc({ lane }, bytes),
    onDropped: (lane: string, reason: string): void =>
      this.#counter("cretoai_network_frames_dropped_total").inc({ lane, reason }),
    onConnection: (change: "opened" | "closed"): void =>
      this.#gauge("cretoai_quic_connections_active").inc(change === "opened" ? 1 : -1),
    onHandshakeFailure: (code: string): void => this.#countBy("cretoai_quic_handshake_failures_total", "code", code),
    onRoundTrip: (seconds: number): void => this.#histogram("cretoai_quic_latency_seconds").observe(seconds),
  };

  readonly storage = {
    onWrite: ({ seconds }: { readonly seconds: number }): void =>
      this.#histogram("cretoai_rocksdb_write_latency_seconds").observe(seconds),
    onCommit: (): void => undefined,
    onRead: ({ operation, seconds }: { readonly operation: string; readonly seconds: number }): void =>
      this.#histogram("cretoai_rocksdb_read_latency_seconds").observe({ operation }, seconds),
  };

  readonly api: ApiMetrics = {
    onRequest: (route, status, seconds) => {
      this.#counter("cretoai_api_requests_total").inc({ route, status: String(status) });
      this.#histogram("cretoai_api_request_seconds").observe({ route }, seconds);
    },
  };

  /** @param type one of the violation types of the specification */
  onViolation(type: string, count = 1): void {
    this.#countBy("cretoai_byzantine_violations_total", "type", type, count);
    if (type === "invalid-signature") this.#counter("cretoai_invalid_signatures_detected").inc(count);
  }

  onValidatorSetChanged(): void {
    this.#counter("cretoai_validator_set_changes_total").inc();
  }

  onCollect(collect: () => Promise<Collected>): void {
    this.#collect = collect;
  }

  /** The Prometheus text format. */
  async text(): Promise<string> {
    this.#setProcessGauges();
    if (this.#collect !== null) this.#setGauges(await this.#collect());
    return await this.#registry.metrics();
  }

  #onTrace({ phase, sequence, detail, durationMs }: Trace): void {
    this.#counter("cretoai_consensus_phases_total").inc({ phase });
    if (phase === "poll") this.#counter("cretoai_avalanche_polls_total").inc();
    if (phase === "polled") this.#histogram("cretoai_avalanche_poll_seconds").observe((durationMs ?? 0) / 1_000);
    if (phase === "resolve") {
      const step = detail.startsWith("reported") ? "reported" : "decided";
      this.#counter("cretoai_avalanche_resolutions_total").inc({ step });
    }
    if (phase === "discard" && detail.includes("now prefers")) {
      this.#counter("cretoai_avalanche_preference_changes_total").inc();
    }
    if (phase === "view-change") this.#counter("cretoai_view_changes_total").inc();
    const { begin, algorithm } = this.#ordering;
    // A block without content says the place of the one before.
    const isNew = sequence > this.#executed && !this.#begun.has(sequence);
    if (phase === begin && isNew && this.#begun.size < TIMED_BATCHES_MAX) this.#begun.set(sequence, performance.now());
    if (phase !== "execute") return;
    this.#executed = sequence;
    const begun = this.#begun.get(sequence);
    this.#begun.delete(sequence);
    if (begun === undefined) return;
    const seconds = (performance.now() - begun) / 1_000;
    this.#histogram("cretoai_consensus_latency_seconds").observe({ algorithm }, seconds);
  }

  #setGauges({ status, participation, membership, peers, reports, storage, diskBytes }: Collected): void {
    this.#setPeerGauges(reports);
    this.#setMembershipGauges(membership);
    if (status.dag !== null) this.#setDagGauges(status.dag);
    const vertices = status.lastSequence + status.pending;
    this.#gauge("cretoai_quorum_participation_ratio").set(participation);
    this.#gauge("cretoai_view").set(status.view);
    this.#gauge("cretoai_last_sequence").set(status.lastSequence);
    this.#gauge("cretoai_stable_checkpoint").set(status.stableCheckpoint);
    this.#gauge("cretoai_pending_vertices").set(status.pending);
    this.#gauge("cretoai_peers_connected").set(peers.length);
    this.#gauge("cretoai_message_queue_length").set(peers.reduce((sum, peer) => sum + peer.queuedBytes, 0));
    this.#gauge("cretoai_dag_vertices_total").set(vertices);
    this.#gauge("cretoai_dag_edges_total").set(vertices);
    this.#gauge("cretoai_rocksdb_disk_bytes").set(diskBytes);
    this.#gauge("cretoai_rocksdb_pending_writes").set(storage.pendingWrites);
    const nowMs = performance.now();
    if (storage.runningCompactions > 0) {
      this.#histogram("cretoai_rocksdb_compaction_duration").observe((nowMs - this.#lastScrapeMs) / 1_000);
    }
    this.#lastScrapeMs = nowMs;
  }

  /** Peers with the lowest scores first: those are the ones that somebody looks for. */
  #setPeerGauges(reports: readonly PeerReport[]): void {
    const scores = this.#gauge("cretoai_node_reputation_score");
    scores.reset();
    const lowest = [...reports].sort((left, right) => left.score - right.score).slice(0, LABEL_VALUES_MAX);
    for (const { nodeId, score } of lowest) scores.set({ peer: nodeId.slice(0, PEER_LABEL_DIGITS) }, score);
    this.#gauge("cretoai_banned_nodes").set(reports.filter(({ state }) => state === "banned").length);
  }

  /** The ordered state, not this node's opinion: nodes that differ here differ in the order. */
  #setMembershipGauges({ epoch, active, members }: MembershipView): void {
    this.#gauge("cretoai_epoch").set(epoch);
    this.#gauge("cretoai_validators_active").set(active);
    const reputations = this.#gauge("cretoai_validator_reputation");
    reputations.reset();
    const lowest = members
      .filter(({ standing }) => standing === "active")
      .sort((left, right) => left.reputationPpm - right.reputationPpm || left.index - right.index)
      .slice(0, LABEL_VALUES_MAX);
    for (const { nodeId, reputationPpm } of lowest) {
      reputations.set({ validator: nodeId.slice(0, PEER_LABEL_DIGITS) }, reputationPpm / 1_000_000);
    }
  }

  #setDagGauges(dag: DagStatus): void {
    this.#gauge("cretoai_avalanche_polls_under_way").set(dag.pollsUnderWay);
    this.#gauge("cretoai_avalanche_query_timeouts").set(dag.queryTimeouts);
    this.#gauge("cretoai_avalanche_query_timeout_ratio").set(dag.timeoutShare);
    this.#gauge("cretoai_avalanche_undecided_bundles").set(dag.undecidedBundles);
    this.#gauge("cretoai_avalanche_undecided_vertices").set(dag.undecidedVertices);
    this.#gauge("cretoai_avalanche_conflicts").set(dag.conflicts);
    this.#gauge("cretoai_avalanche_partitioned").set(dag.isPartitioned ? 1 : 0);
    this.#gauge("cretoai_avalanche_may_vote").set(dag.mayVote ? 1 : 0);
  }

  #setProcessGauges(): void {
    const { user, system } = process.cpuUsage();
    this.#gauge("cretoai_process_cpu_seconds_total").set((user + system) / 1e6);
    this.#gauge("cretoai_process_resident_bytes").set(process.memoryUsage.rss());
    this.#gauge("cretoai_process_loop_delay_seconds").set(this.#loopDelay.max / 1e9);
    this.#loopDelay.reset();
  }

  #countBy(name: MetricName, label: string, value: string, count = 1): void {
    const known = this.#labels.get(name) ?? new Set<string>();
    this.#labels.set(name, known);
    if (known.size < LABEL_VALUES_MAX) known.add(value);
    this.#counter(name).inc({ [label]: known.has(value) ? value : "other" }, count);
  }

  #register(name: MetricName, spec: MetricSpec): void {
    const common = { name, help: spec.help, labelNames: [...(spec.labels ?? [])], registers: [this.#registry] };
    if (spec.kind === "counter") this.#counters.set(name, new Counter(common));
    else if (spec.kind === "gauge") this.#gauges.set(name, new Gauge(common));
    else this.#histograms.set(name, new Histogram({ ...common, buckets: [...(spec.buckets ?? [])] }));
  }

  #counter(name: MetricName): Counter {
    return found(this.#counters.get(name), name);
  }

  #gauge(name: MetricName): Gauge {
    return found(this.#gauges.get(name), name);
  }

  #histogram(name: MetricName): Histogram {
    return found(this.#histograms.get(name), name);
  }
}

/** The part before a colon is the class; what follows are particulars. */
function reasonClass(reason: string): string {
  return reason.split(":")[0] ?? "other";
}

/** @param engine as the genesis names it; a leaderless network's log is PBFT's */
export function createNodeMetrics(engine = "pbft"): NodeMetrics {
  return new NodeMetrics(engine === "hotstuff" ? HOTSTUFF : PBFT);
}

function found<T>(metric: T | undefined, name: string): T {
  if (metric === undefined) throw new Error(`the metric ${name} is declared as another kind`);
  return metric;
}
