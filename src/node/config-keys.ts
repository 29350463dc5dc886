import { PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";

/** One key of `node.toml`: the only place that knows its type, default, range and meaning. */
export interface KeySpec<T> {
  readonly default: T;
  /** What is allowed, in words for a person. */
  readonly allowed: string;
  readonly meaning: string;
  /** What is said beside `allowed` to who wrote something else: why it is so, what there is instead. */
  readonly advice?: string;
  /** Where the default is null: what holds without the key, in words. */
  readonly otherwise?: string;
  /** The value as it is used; undefined where the given one is not allowed. */
  readonly read: (value: unknown) => T | undefined;
}

/** The most that `consensus.max_payload_bytes` may say: no node takes a larger payload. */
export const PAYLOAD_BYTES_LIMIT: number = PAYLOAD_BYTES_MAX;

/** 0 to 65535. */
const PORT_PATTERN = "(?:6553[0-5]|655[0-2]\\d|65[0-4]\\d\\d|6[0-4]\\d{3}|[1-5]\\d{4}|\\d{1,4})";

interface TextRule {
  readonly allowed: string;
  readonly pattern: RegExp;
}

/** Labels of logs and metrics stay short. */
const NAME: TextRule = { allowed: "a text of 1 to 128 characters", pattern: /^.{1,128}$/u };
const PATH: TextRule = { allowed: "a path; relative to the folder of this file", pattern: /^[^\0]+$/ };
const PATH_OR_EMPTY: TextRule = { allowed: `${PATH.allowed}; or empty`, pattern: /^[^\0]*$/ };
const HOST: TextRule = {
  allowed: "an IP address or a host name",
  pattern: /^(?:[\w.-]+|[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*)$/,
};
const LISTEN: TextRule = {
  allowed: 'a host, or host and port: "0.0.0.0", "0.0.0.0:9001", "[::]:9001"',
  pattern: new RegExp(String.raw`^(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::${PORT_PATTERN})?$`),
};
const URL_PATH: TextRule = { allowed: 'a path such as "/metrics"', pattern: /^\/[\w./-]*$/ };
const VARIABLE: TextRule = { allowed: "the name of an environment variable", pattern: /^[A-Za-z_]\w*$/ };

function text(fallback: string, { allowed, pattern }: TextRule, meaning: string): KeySpec<string> {
  return {
    default: fallback,
    allowed,
    meaning,
    read: (value) => (typeof value === "string" && pattern.test(value) ? value : undefined),
  };
}

function flag(fallback: boolean, meaning: string): KeySpec<boolean> {
  return {
    default: fallback,
    allowed: "true or false",
    meaning,
    read: (value) => (typeof value === "boolean" ? value : undefined),
  };
}

function whole(fallback: number, range: { min: number; max: number }, meaning: string): KeySpec<number> {
  const { min, max } = range;
  return {
    default: fallback,
    allowed: `a whole number from ${min} to ${max}`,
    meaning,
    read: (value) =>
      typeof value === "number" && Number.isInteger(value) && value >= min && value <= max ? value : undefined,
  };
}

/** Above 0 and below 1, as a fraction; used in parts per million, because nothing that is decided is a float. */
function share(range: { min: number; max: number }, meaning: string): KeySpec<number> {
  const { min, max } = range;
  return {
    default: max,
    allowed: `a number from ${min} to ${max}`,
    meaning,
    read: (value) => (typeof value === "number" && value >= min && value <= max ? value : undefined),
  };
}

/** A key without which the node finds the value by itself: then it is null. */
function derived<T>(spec: KeySpec<T>, otherwise: string): KeySpec<T | null> {
  return { ...spec, default: null, otherwise };
}

function oneOf<T extends string | number>(
  fallback: T,
  values: readonly T[],
  meaning: string,
  advice?: string,
): KeySpec<T> {
  return {
    default: fallback,
    allowed: values.map((value) => JSON.stringify(value)).join(" or "),
    meaning,
    ...(advice === undefined ? {} : { advice }),
    read: (value) => values.find((allowed) => allowed === value),
  };
}

function list(meaning: string, allowed: string, isItem: (item: string) => boolean): KeySpec<readonly string[]> {
  return {
    default: [],
    allowed,
    meaning,
    read: (value) => {
      if (!Array.isArray(value)) return undefined;
      const items = value.filter((item): item is string => typeof item === "string" && isItem(item));
      return items.length === value.length ? items : undefined;
    },
  };
}

const PORT = { min: 0, max: 65_535 };

const ADDRESS = String.raw`(?<host>[^/:\s[\]]+|\[[0-9a-fA-F:.]+\]):(?<port>${PORT_PATTERN})`;

/** `host:port`; an IPv6 address stands in brackets. */
export const ADDRESS_PATTERN: RegExp = new RegExp(`^${ADDRESS}$`);

/** `host:port`, or the multiaddr of the specification. */
export const PEER_PATTERN: RegExp = new RegExp(
  String.raw`^(?:/(?:ip4|ip6|dns|dns4|dns6)/(?<maHost>[^/\s]+)/udp/(?<maPort>${PORT_PATTERN})/quic(?:-v1)?(?:/p2p/(?<id>[0-9a-f]{64}))?|${ADDRESS})$`,
);

const NO_FALLBACK = "another choice would be a downgrade";

/** Every section and key of `node.toml`: those of the specification's document 3, and ours (`genesis`, limits, hosts). */
export const CONFIG_KEYS = {
  node: {
    id: text("cretoai-node", NAME, "a name for people, in logs and metrics; the identity is the key's"),
    data_dir: text("./data", PATH, "folder of everything that the node keeps"),
    log_level: oneOf("info", ["debug", "info", "warn", "error"], "the least severe level that is logged"),
    genesis: text("./genesis.json", PATH, "the network's genesis file"),
    application: text(
      "",
      PATH_OR_EMPTY,
      "the file of your application, in a network made with `--application custom`; `start --app` goes before it",
    ),
  },
  consensus: {
    algorithm: derived(
      oneOf(
        "pbft",
        ["pbft", "bft", "hotstuff", "avalanche"],
        "the engine; must be the genesis file's, which decides. `bft` is the specification's name for `pbft`",
      ),
      "the genesis file's",
    ),
    quorum_threshold: oneOf(
      0.67,
      [0.67],
      "documentation only: the quorum is computed, floor((n + f) / 2) + 1 with f = floor((n - 1) / 3), never a ratio",
      "another ratio would either be ignored or be unsafe",
    ),
    finality_timeout_ms: whole(
      500,
      { min: 50, max: 60_000 },
      "the expected time to finality; four times this is the least patience with a leader",
    ),
    max_pending_vertices: whole(
      20_000,
      { min: 1, max: 60_000 },
      "vertices of this node's clients that may wait for finality; more are refused with 429",
    ),
    view_change_timeout_ms: whole(
      5_000,
      { min: 200, max: 600_000 },
      "the patience with a leader before finality was measured, and the most before the first failed view",
    ),
    view_change_timeout_max_ms: whole(
      30_000,
      { min: 1_000, max: 3_600_000 },
      "the most patience, however many views failed",
    ),
    max_payload_bytes: whole(
      65_536,
      { min: 1, max: PAYLOAD_BYTES_LIMIT },
      "the largest payload that this node takes from its clients",
    ),
    sample_size: derived(
      whole(
        VALIDATORS_MAX,
        { min: 1, max: VALIDATORS_MAX },
        "Avalanche: validators asked by one poll (k), at most all",
      ),
      "all below 20 validators, 30 up to 100, then 40",
    ),
    alpha_threshold: derived(
      whole(
        VALIDATORS_MAX,
        { min: 1, max: VALIDATORS_MAX },
        "Avalanche: answers that make a poll a success; above half of sample_size, at most all of it",
      ),
      "four fifths of sample_size; the quorum where all are asked",
    ),
    alpha_preference: derived(
      whole(
        VALIDATORS_MAX,
        { min: 1, max: VALIDATORS_MAX },
        "Avalanche: answers that move the preference; above half of sample_size, at most alpha_threshold",
      ),
      "the majority of sample_size; the quorum where all are asked",
    ),
    beta_threshold: derived(
      whole(1_000, { min: 1, max: 1_000 }, "Avalanche: successes in a row that end sampling; at most max_rounds"),
      "20",
    ),
    early_beta_threshold: derived(
      whole(
        1_000,
        { min: 1, max: 1_000 },
        "Avalanche: successes in a row that end sampling where no rival is known; at most beta_threshold",
      ),
      "5, or beta_threshold where that is less",
    ),
    finalization_threshold: derived(
      share({ min: 0.5, max: 0.999_999 }, "Avalanche: the moving average of confidence that ends sampling"),
      "0.95",
    ),
    max_rounds: derived(
      whole(
        1_000_000,
        { min: 1, max: 1_000_000 },
        "Avalanche: polls of one conflict, after which sampling gives it up",
      ),
      "1000",
    ),
    min_network_size: derived(
      whole(
        VALIDATORS_MAX,
        { min: 1, max: VALIDATORS_MAX },
        "Avalanche: with fewer validators the node does not start",
      ),
      "1",
    ),
    concurrent_polls: derived(
      whole(8, { min: 1, max: 8 }, "Avalanche: polls of this node that wait for answers at a time"),
      "4, above 50 validators 8",
    ),
    query_timeout_ms: derived(
      whole(60_000, { min: 10, max: 60_000 }, "Avalanche: an answer that takes longer is none"),
      "1000",
    ),
    patience_ms: derived(
      whole(
        600_000,
        { min: 10, max: 600_000 },
        "Avalanche: what is undecided for so long gets this node's vote for its preference of the moment",
      ),
      "2000",
    ),
    resolve_after_ms: derived(
      whole(
        3_600_000,
        { min: 11, max: 3_600_000 },
        "Avalanche: a conflict that is open for so long goes to the ordered log; more than patience_ms",
      ),
      "6000",
    ),
  },
  network: {
    listen_addr: text(
      "0.0.0.0:9001",
      LISTEN,
      "the address of the QUIC socket. Its port is quic_port: another one here is only warned about",
    ),
    quic_port: whole(9001, PORT, "the UDP port of the QUIC socket; 0 takes a free one"),
    bootstrap_peers: list(
      "where other validators are, in place of the genesis file's addresses: `host:port` finds a validator of that address, `/p2p/<node id>` names one",
      'a list of "/ip4/<host>/udp/<port>/quic[/p2p/<node id>]" or "host:port"',
      (item) => PEER_PATTERN.test(item),
    ),
    max_peers: whole(50, { min: 1, max: 1_000 }, "connections at a time"),
    accept_observers: flag(false, "whether nodes outside the validator set may connect and follow"),
    mdns_enabled: flag(false, "local discovery; not in this release, true is only warned about"),
    enable_nat_traversal: flag(false, "STUN and relays; not in this release, true is only warned about"),
    stun_servers: list("STUN servers; none is contacted unless it stands here", 'a list of "host:port"', (item) =>
      ADDRESS_PATTERN.test(item),
    ),
  },
  storage: {
    backend: oneOf("rocksdb", ["rocksdb"], "the storage engine", "`sled` is not in this release"),
    path: text("", PATH_OR_EMPTY, "the database folder; empty: `db` in data_dir"),
    cache_size_mb: whole(
      64,
      { min: 8, max: 65_536 },
      "block cache; the specification's 512 would break its own 500 MB target",
    ),
    write_buffer_mb: whole(32, { min: 4, max: 4_096 }, "write buffers of all columns together"),
    max_open_files: whole(1_000, { min: 64, max: 1_000_000 }, "accepted; the RocksDB package offers no such setting"),
    compression: flag(false, "compression of older data; payloads are often compressed or random already"),
    snapshot_interval: whole(
      10_000,
      { min: 1, max: 1_000_000_000 },
      "a replicated application's state is kept after so many vertices; a start replays what came later",
    ),
    snapshots_kept: whole(3, { min: 1, max: 100 }, "so many of these snapshots stay"),
    join_gap: whole(
      1_000,
      { min: 0, max: 1_000_000_000 },
      "a node that is so many batches behind takes a certified snapshot from its peers, and not the log; 0: the log, as long as a peer has it",
    ),
    retention_vertices: whole(
      0,
      { min: 0, max: 1_000_000_000_000 },
      "so many of the newest vertices stay on the disk at least; older ones are deleted when a snapshot covers them; 0: nothing is ever deleted",
    ),
    enable_bloom_filters: flag(true, "bloom filters: faster answers for unknown hashes"),
  },
  crypto: {
    signature_algorithm: oneOf(
      "ml-dsa-87",
      ["ml-dsa-87"],
      "post-quantum signatures; there is no classical-only mode",
      NO_FALLBACK,
    ),
    kem_algorithm: oneOf(
      "ml-kem-768",
      ["ml-kem-768"],
      "the post-quantum half of the key exchange X25519MLKEM768; nothing else is negotiated",
      NO_FALLBACK,
    ),
    hash_algorithm: oneOf("blake3", ["blake3"], "hashes of vertices and statements", NO_FALLBACK),
    hybrid_mode: flag(true, "Ed25519 beside ML-DSA-87, both must verify; must be the genesis file's"),
    key_path: text("./keys", PATH, "the key file, or the folder with `node.key.json`"),
    passphrase_env: text(
      "CRETOAI_PASSPHRASE",
      VARIABLE,
      "the environment variable with the key file's passphrase, if it has one",
    ),
  },
  metrics: {
    enabled: flag(true, "Prometheus metrics over HTTP"),
    host: text("127.0.0.1", HOST, "the address of the metrics server"),
    port: whole(9090, PORT, "its port; 0 takes a free one"),
    endpoint: text("/metrics", URL_PATH, "its path"),
  },
  api: {
    http_enabled: flag(true, "the HTTP and WebSocket API"),
    http_host: text("127.0.0.1", HOST, "its address; on another than loopback put authentication in front"),
    http_port: whole(8080, PORT, "its port; 0 takes a free one"),
    cors_enabled: flag(false, "whether browsers of other origins may use it"),
    cors_origins: list(
      "those origins",
      'a list of origins such as "https://example.org", or "*"',
      (item) => item === "*" || /^https?:\/\/[^/]+$/.test(item),
    ),
  },
  backup: {
    enabled: flag(false, "scheduled backups; not in this release, true is only warned about"),
    interval_hours: whole(24, { min: 1, max: 8_760 }, "hours between backups"),
    retention_days: whole(30, { min: 1, max: 36_500 }, "days for which backups are kept"),
    storage_type: oneOf("local", ["local"], "where backups go", "`s3` and `gcs` are not in this release"),
    path: text("", PATH_OR_EMPTY, "the backup folder; empty: `backups` in data_dir"),
  },
} as const;
