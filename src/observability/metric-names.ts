/** A metric as it is declared: the one place that knows its name, kind, help, labels and buckets. */
export interface MetricSpec {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels?: readonly string[];
  readonly buckets?: readonly number[];
}

/** From half a millisecond to half a minute: finality, phases and requests all lie within. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Every metric of a node. The names are those of the specification's documents 3 and 5; those without one there are ours. */
export const METRICS = {
  cretoai_vertices_proposed_total: { kind: "counter", help: "Vertices of this node's clients that became durable" },
  cretoai_vertices_finalized_total: { kind: "counter", help: "Vertices that took their place in the total order" },
  cretoai_finality_time_seconds: {
    kind: "histogram",
    help: "From acceptance at this node to finality, per vertex of this node's clients",
    buckets: SECONDS,
  },
  cretoai_quorum_participation_ratio: { kind: "gauge", help: "Validators that committed to the newest batch, over n" },
  cretoai_view_changes_total: { kind: "counter", help: "Views that this node asked for" },
  cretoai_byzantine_violations_total: {
    kind: "counter",
    help: "What no correct peer does, by the types of document 3",
    labels: ["type"],
  },
  cretoai_messages_rejected_total: {
    kind: "counter",
    help: "Messages that were refused, by reason; a violation where the reason is one",
    labels: ["reason"],
  },
  cretoai_view: { kind: "gauge", help: "The present view" },
  cretoai_last_sequence: { kind: "gauge", help: "The last finalized vertex's place in the total order" },
  cretoai_stable_checkpoint: { kind: "gauge", help: "PBFT sequence number of the last stable checkpoint" },
  cretoai_pending_vertices: { kind: "gauge", help: "Vertices that wait for finality" },
  cretoai_consensus_phases_total: {
    kind: "counter",
    help: "Consensus phases that this node went through",
    labels: ["phase"],
  },
  cretoai_consensus_latency_seconds: {
    kind: "histogram",
    help: "From a batch's pre-prepare to its execution",
    labels: ["algorithm"],
    buckets: SECONDS,
  },
  cretoai_avalanche_polls_total: { kind: "counter", help: "Polls that this node began, in a leaderless network" },
  cretoai_avalanche_poll_seconds: {
    kind: "histogram",
    help: "From the begin of a poll until nobody's answer could change its outcome, or its time was over",
    buckets: SECONDS,
  },
  cretoai_avalanche_query_timeouts: {
    kind: "gauge",
    help: "Queries that were not answered in time, since the validator set last changed or the node started",
  },
  cretoai_avalanche_preference_changes_total: {
    kind: "counter",
    help: "Conflict sets of which this node came to prefer another member",
  },
  cretoai_avalanche_resolutions_total: {
    kind: "counter",
    help: "Open conflicts that this node reported to the ordered log, and that the log decided",
    labels: ["step"],
  },
  cretoai_avalanche_polls_under_way: { kind: "gauge", help: "Polls that wait for answers" },
  cretoai_avalanche_query_timeout_ratio: {
    kind: "gauge",
    help: "The share of the recent queries that nobody answered in time, from 0 to 1; above 0.5 consensus pauses",
  },
  cretoai_avalanche_undecided_bundles: { kind: "gauge", help: "Bundles of which something is open" },
  cretoai_avalanche_undecided_vertices: { kind: "gauge", help: "Vertices that are neither accepted nor rejected" },
  cretoai_avalanche_conflicts: { kind: "gauge", help: "Open conflict sets with two members or more" },
  cretoai_avalanche_partitioned: {
    kind: "gauge",
    help: "1 while consensus pauses because the network seems partitioned",
  },
  cretoai_avalanche_may_vote: {
    kind: "gauge",
    help: "1 where this node may cast binding votes: it knows what the epoch before certified",
  },
  cretoai_state_commit_total: { kind: "counter", help: "Batches executed; its rate is the state commit rate" },
  cretoai_turn_seconds: {
    kind: "histogram",
    help: "Signing and writing of one turn, fsync included",
    buckets: SECONDS,
  },
  cretoai_turn_statements: {
    kind: "histogram",
    help: "Statements that share one signature",
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  },
  cretoai_peers_connected: { kind: "gauge", help: "Authenticated peers" },
  cretoai_quic_connections_active: { kind: "gauge", help: "Open QUIC connections of authenticated peers" },
  cretoai_network_bytes_sent: { kind: "counter", help: "Payload bytes handed to the transport", labels: ["lane"] },
  cretoai_network_bytes_received: { kind: "counter", help: "Payload bytes received", labels: ["lane"] },
  cretoai_network_frames_dropped_total: {
    kind: "counter",
    help: "Frames that were not sent",
    labels: ["lane", "reason"],
  },
  cretoai_quic_handshake_failures_total: {
    kind: "counter",
    help: "Connections that were not authenticated",
    labels: ["code"],
  },
  cretoai_quic_latency_seconds: {
    kind: "histogram",
    help: "Smoothed round trip, sampled every second for each peer",
    buckets: SECONDS,
  },
  cretoai_message_queue_length: { kind: "gauge", help: "Bytes that wait to be sent, over all peers" },
  cretoai_messages_ignored_total: {
    kind: "counter",
    help: "Late, early and repeated messages, by reason",
    labels: ["reason"],
  },
  cretoai_dag_vertices_total: { kind: "gauge", help: "Vertices in the DAG: finalized and waiting" },
  cretoai_dag_edges_total: { kind: "gauge", help: "Edges in the DAG: one to the parent for each vertex" },
  cretoai_rocksdb_disk_bytes: { kind: "gauge", help: "Bytes of the database folder" },
  cretoai_rocksdb_read_latency_seconds: { kind: "histogram", help: "Reads", labels: ["operation"], buckets: SECONDS },
  cretoai_rocksdb_write_latency_seconds: {
    kind: "histogram",
    help: "From a write's call to its durability",
    buckets: SECONDS,
  },
  cretoai_rocksdb_compaction_duration: {
    kind: "histogram",
    help: "Seconds in which compactions were seen running, as sampled at scrapes",
    buckets: SECONDS,
  },
  cretoai_rocksdb_pending_writes: { kind: "gauge", help: "Batches that wait for the disk" },
  cretoai_equivocations_detected: { kind: "counter", help: "Pairs of contradictory signed statements" },
  cretoai_invalid_signatures_detected: {
    kind: "counter",
    help: "Frames, certificates and bundles whose signature did not verify",
  },
  cretoai_node_reputation_score: {
    kind: "gauge",
    help: "This node's score of a peer, from 0 to 1, by the first 16 digits of its id; the lowest 64 scores",
    labels: ["peer"],
  },
  cretoai_epoch: { kind: "gauge", help: "The epoch that goes on; each change of the validator set begins another" },
  cretoai_validators_active: { kind: "gauge", help: "Validators that vote in this epoch" },
  cretoai_validator_reputation: {
    kind: "gauge",
    help: "What a quorum holds of an active validator, from 0 to 1, by the first 16 digits of its id; the lowest 64, the same at every node",
    labels: ["validator"],
  },
  cretoai_validator_set_changes_total: { kind: "counter", help: "Epochs that began since this process started" },
  cretoai_banned_nodes: { kind: "gauge", help: "Peers that are banned here" },
  cretoai_api_requests_total: { kind: "counter", help: "API requests", labels: ["route", "status"] },
  cretoai_api_request_seconds: {
    kind: "histogram",
    help: "API requests without waiting for finality",
    labels: ["route"],
    buckets: SECONDS,
  },
  cretoai_process_cpu_seconds_total: { kind: "gauge", help: "CPU time of the process, all threads" },
  cretoai_process_resident_bytes: { kind: "gauge", help: "Resident memory of the process" },
  cretoai_process_loop_delay_seconds: {
    kind: "gauge",
    help: "The longest delay of the event loop since the last scrape",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof METRICS;

/** The documentation of every metric, as a Markdown table. */
export function metricsTable(): string {
  const rows = Object.entries(METRICS).map(([name, spec]: [string, MetricSpec]) => {
    return `| \`${name}\` | ${spec.kind} | ${(spec.labels ?? []).join(", ")} | ${spec.help} |`;
  });
  return ["| name | kind | labels | meaning |", "|---|---|---|---|", ...rows].join("\n");
}
