import { PAYLOAD_BYTES_MAX } from "../dag/limits.ts";

/** One key of `node.toml`: the only place that knows its type, default, range and meaning. */
export interface KeySpec<T> {
  readonly default: T;
  /** What is allowed, in words for a person. */
  readonly allowed: string;
  readonly meaning: string;
  /** The value as it is used; undefined where the given one is not allowed. */
  readonly read: (value: unknown) => T | undefined;
}

function text(fallback: string, meaning: string): KeySpec<string> {
  return {
    default: fallback,
    allowed: "a text",
    meaning,
    read: (value) => (typeof value === "string" && value.length > 0 ? value : undefined),
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

function oneOf<T extends string | number>(fallback: T, values: readonly T[], meaning: string): KeySpec<T> {
  return {
    default: fallback,
    allowed: values.map((value) => JSON.stringify(value)).join(" or "),
    meaning,
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

/** `host:port`, or the multiaddr of the specification. */
export const PEER_PATTERN =
  /^(?:\/(?:ip4|ip6|dns|dns4|dns6)\/(?<maHost>[^/]+)\/udp\/(?<maPort>\d{1,5})\/quic(?:-v1)?(?:\/p2p\/(?<id>[0-9a-f]{64}))?|(?<host>[^/:]+|\[[0-9a-f:]+\]):(?<port>\d{1,5}))$/;

/** Every section and key of `node.toml`: those of the specification's document 3, and ours (`genesis`, limits, hosts). */
export const CONFIG_KEYS = {
  node: {
    id: text("cretoai-node", "a name for people, in logs and metrics; the identity is the key's"),
    data_dir: text("./data", "folder of everything that the node keeps"),
    log_level: oneOf("info", ["debug", "info", "warn", "error"], "the least severe level that is logged"),
    genesis: text("./genesis.json", "the network's genesis file"),
  },
  consensus: {
    algorithm: oneOf(
      "pbft",
      ["pbft", "bft"],
      "the engine; must be the genesis file's. `bft` is the specification's name for `pbft`",
    ),
    quorum_threshold: oneOf(0.67, [0.67], "documentation only: the quorum is floor((n + f) / 2) + 1, never a ratio"),
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
      { min: 1, max: PAYLOAD_BYTES_MAX },
      "the largest payload that this node takes from its clients",
    ),
  },
  network: {
    listen_addr: text("0.0.0.0:9001", "the address of the QUIC socket; a port other than quic_port is refused"),
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
      /^.+:\d{1,5}$/.test(item),
    ),
  },
  storage: {
    backend: oneOf("rocksdb", ["rocksdb"], "the storage engine"),
    path: text("", "the database folder; empty: `db` in data_dir"),
    cache_size_mb: whole(
      64,
      { min: 8, max: 65_536 },
      "block cache; the specification's 512 would break its own 500 MB target",
    ),
    write_buffer_mb: whole(32, { min: 4, max: 4_096 }, "write buffers of all columns together"),
    max_open_files: whole(1_000, { min: 64, max: 1_000_000 }, "accepted; the RocksDB package offers no such setting"),
    compression: flag(false, "compression of older data; payloads are often compressed or random already"),
    enable_bloom_filters: flag(true, "bloom filters: faster answers for unknown hashes"),
  },
  crypto: {
    signature_algorithm: oneOf("ml-dsa-87", ["ml-dsa-87"], "post-quantum signatures; there is no classical-only mode"),
    kem_algorithm: oneOf(
      "ml-kem-768",
      ["ml-kem-768"],
      "the post-quantum half of the key exchange X25519MLKEM768; nothing else is negotiated",
    ),
    hash_algorithm: oneOf("blake3", ["blake3"], "hashes of vertices and statements"),
    hybrid_mode: flag(true, "Ed25519 beside ML-DSA-87, both must verify; must be the genesis file's"),
    key_path: text("./keys", "the key file, or the folder with `node.key.json`"),
    passphrase_env: text(
      "CRETOAI_PASSPHRASE",
      "the environment variable with the key file's passphrase, if it has one",
    ),
  },
  metrics: {
    enabled: flag(true, "Prometheus metrics over HTTP"),
    host: text("127.0.0.1", "the address of the metrics server"),
    port: whole(9090, PORT, "its port; 0 takes a free one"),
    endpoint: text("/metrics", "its path"),
  },
  api: {
    http_enabled: flag(true, "the HTTP and WebSocket API"),
    http_host: text("127.0.0.1", "its address; on another than loopback put authentication in front"),
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
    storage_type: oneOf("local", ["local"], "where backups go"),
    path: text("", "the backup folder; empty: `backups` in data_dir"),
  },
} as const;
