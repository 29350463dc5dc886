import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CONFIG_KEYS } from "./config-keys.ts";
import { configReference } from "./config-reference.ts";
import { ConfigError, loadConfig, type NodeConfig, parseConfig, parsePeer, variableOf } from "./config.ts";

const FILE = "/etc/cretoai/node.toml";

/** `node.toml` of the specification's document 3, as it stands there. */
const SPECIFIED = `
[node]
id = "cretoai-node-1"                # Unique node identifier
data_dir = "/data"                   # Data directory path
log_level = "info"                   # Logging level (debug|info|warn|error)

[consensus]
algorithm = "bft"                    # Consensus algorithm (bft only)
quorum_threshold = 0.67              # 2f+1 quorum (67%)
finality_timeout_ms = 500            # Max time to finality
max_pending_vertices = 10000         # Pending vertex buffer size
view_change_timeout_ms = 5000        # Trigger view change after timeout

[network]
listen_addr = "0.0.0.0:9000"         # P2P listening address
quic_port = 9001                     # QUIC UDP port
bootstrap_peers = [                  # Initial peer list
    "/ip4/172.21.0.11/udp/9001/quic",
    "/ip4/172.21.0.12/udp/9001/quic"
]
max_peers = 50                       # Maximum peer connections
mdns_enabled = true                  # Enable local network discovery
enable_nat_traversal = true          # Enable STUN/TURN
stun_servers = [                     # STUN server list
    "stun.l.google.com:19302"
]

[storage]
backend = "rocksdb"                  # Storage backend (rocksdb|sled)
path = "/data/db"                    # Database file path
cache_size_mb = 512                  # Block cache size
write_buffer_mb = 128                # Write buffer size
max_open_files = 1000                # Max open file descriptors
compression = true                   # Enable Snappy compression
enable_bloom_filters = true          # Enable bloom filters

[crypto]
signature_algorithm = "ml-dsa-87"    # Post-quantum signature
kem_algorithm = "ml-kem-768"         # Post-quantum KEM
hash_algorithm = "blake3"            # Hash function
hybrid_mode = true                   # Enable classical+quantum hybrid
key_path = "/data/keys"              # Keypair storage path

[metrics]
enabled = true                       # Enable Prometheus metrics
port = 9090                          # Metrics HTTP port
endpoint = "/metrics"                # Metrics HTTP path

[api]
http_enabled = true                  # Enable HTTP API
http_host = "0.0.0.0"               # API listening address
http_port = 8080                     # API port
cors_enabled = true                  # Enable CORS
cors_origins = ["*"]                # Allowed CORS origins

[backup]
enabled = true                       # Enable automated backups
interval_hours = 24                  # Backup frequency
retention_days = 30                  # Backup retention period
storage_type = "local"               # Backup storage (local|s3|gcs)
path = "/data/backups"              # Local backup path
`;

type Value = string | number | boolean | readonly string[];

/** For every key: values that are taken, and values that are not. */
const CASES: { readonly [S in keyof typeof CONFIG_KEYS]: { readonly [K in keyof (typeof CONFIG_KEYS)[S]]: Row } } = {
  node: {
    id: row(["a", "Bank of Nørre 7", "x".repeat(128)], ["", 7, "x".repeat(129), "two\nlines"]),
    data_dir: row(["/data", "../data"], ["", 1, false]),
    log_level: row(["debug", "info", "warn", "error"], ["trace", "INFO", "", 1]),
    genesis: row(["/g.json", "g.json"], ["", true]),
    application: row(["", "/app.ts", "app.ts"], [true, 1]),
  },
  consensus: {
    algorithm: row(["pbft", "bft", "hotstuff", "avalanche"], ["hot-stuff", "PBFT", ""]),
    quorum_threshold: row([0.67], [0.5, 0.66, 1, "0.67"]),
    finality_timeout_ms: row([50, 500, 60_000], [49, 60_001, 1.5, "500"]),
    max_pending_vertices: row([1, 10_000, 60_000], [0, -1, 60_001]),
    view_change_timeout_ms: row([200, 600_000], [199, 600_001]),
    view_change_timeout_max_ms: row([1_000, 3_600_000], [999, 3_600_001]),
    max_payload_bytes: row([1, 131_072], [0, 131_073]),
    sample_size: row([1, 1_024], [0, 1_025, 2.5, "30"]),
    alpha_threshold: row([1, 24], [0, 1_025]),
    alpha_preference: row([1, 16], [0, 1_025]),
    beta_threshold: row([1, 1_000], [0, 1_001]),
    early_beta_threshold: row([1, 1_000], [0, 1_001]),
    finalization_threshold: row([0.5, 0.95, 0.999_999], [0.49, 1, 95, "0.95"]),
    max_rounds: row([1, 1_000_000], [0, 1_000_001]),
    min_network_size: row([1, 100], [0, 1_025]),
    concurrent_polls: row([1, 8], [0, 9]),
    query_timeout_ms: row([10, 60_000], [9, 60_001]),
    patience_ms: row([10, 600_000], [9, 600_001]),
    resolve_after_ms: row([11, 3_600_000], [10, 3_600_001]),
  },
  network: {
    listen_addr: row(
      ["0.0.0.0:9001", "0.0.0.0", "[::]:9001", "[::1]", "node-1.example.org:1"],
      [":9001", "a b", "::1", "h:65536", 9001],
    ),
    quic_port: row([0, 1, 65_535], [-1, 65_536, "9001"]),
    bootstrap_peers: row(
      [
        [],
        ["/ip4/10.0.0.1/udp/9001/quic", "/ip6/::1/udp/9001/quic-v1", "/dns/a.example/udp/1/quic"],
        [`/ip4/10.0.0.1/udp/9001/quic-v1/p2p/${"a".repeat(64)}`],
        ["node-2:9001", "10.0.0.1:65535", "[::1]:9001"],
      ],
      [
        "node-2:9001",
        ["node-2"],
        ["/ip4/10.0.0.1/tcp/9001"],
        ["a:65536"],
        ["/ip4/h/udp/70000/quic"],
        ["::1:9001"],
        ["/ip4/h/udp/1/quic/p2p/abc"],
      ],
    ),
    max_peers: row([1, 50, 1_000], [0, 1_001]),
    accept_observers: row([true, false], ["yes", 1]),
    mdns_enabled: row([true, false], ["true"]),
    enable_nat_traversal: row([true, false], [0]),
    stun_servers: row([[], ["stun.example.org:3478"]], [["stun.example.org"], "stun.example.org:3478"]),
  },
  storage: {
    backend: row(["rocksdb"], ["sled", ""]),
    path: row(["/db", "db", ""], [1]),
    cache_size_mb: row([8, 512, 65_536], [7, 65_537]),
    write_buffer_mb: row([4, 128, 4_096], [3, 4_097]),
    max_open_files: row([64, 1_000_000], [63, 1_000_001]),
    compression: row([true, false], ["snappy"]),
    snapshot_interval: row([1, 10_000, 1_000_000_000], [0, -1, 1_000_000_001]),
    snapshots_kept: row([1, 3, 100], [0, 101]),
    join_gap: row([0, 1_000, 1_000_000_000], [-1, 1_000_000_001]),
    retention_vertices: row([0, 1_000_000, 1_000_000_000_000], [-1, 1_000_000_000_001]),
    enable_bloom_filters: row([true, false], [1]),
  },
  crypto: {
    signature_algorithm: row(["ml-dsa-87"], ["ml-dsa-65", "ed25519", "none"]),
    kem_algorithm: row(["ml-kem-768"], ["x25519", "ml-kem-512"]),
    hash_algorithm: row(["blake3"], ["sha256"]),
    hybrid_mode: row([true, false], ["classical"]),
    key_path: row(["/keys", "keys/node.key.json"], [""]),
    passphrase_env: row(["CRETOAI_PASSPHRASE", "_x1"], ["", "my secret", "1X"]),
  },
  metrics: {
    enabled: row([true, false], [1]),
    host: row(["127.0.0.1", "::1", "localhost"], ["", "http://x", "a b"]),
    port: row([0, 9090], [65_536]),
    endpoint: row(["/metrics", "/a/b"], ["metrics", "", "/a?b"]),
  },
  api: {
    http_enabled: row([true, false], ["on"]),
    http_host: row(["127.0.0.1", "0.0.0.0", "::"], ["", "127.0.0.1:80"]),
    http_port: row([0, 8080], [-1, 8_080.5]),
    cors_enabled: row([true, false], [1]),
    cors_origins: row([[]], ["*", ["example.org"], ["https://a/b"]]),
  },
  backup: {
    enabled: row([true, false], ["daily"]),
    interval_hours: row([1, 8_760], [0, 8_761]),
    retention_days: row([1, 36_500], [0, 36_501]),
    storage_type: row(["local"], ["s3", "gcs"]),
    path: row(["", "/b"], [2]),
  },
};

interface Row {
  readonly valid: readonly Value[];
  readonly invalid: readonly Value[];
}

function row(valid: readonly Value[], invalid: readonly Value[]): Row {
  return { valid, invalid };
}

function keys(): readonly {
  readonly name: string;
  readonly section: string;
  readonly key: string;
  readonly row: Row;
}[] {
  return Object.entries(CASES).flatMap(([section, rows]) =>
    Object.entries<Row>(rows).map(([key, values]) => ({ name: `${section}.${key}`, section, key, row: values })),
  );
}

function valueAt(config: NodeConfig, section: string, key: string): unknown {
  return Reflect.get(Reflect.get(config, section), key);
}

function problemsOf(toml: string, environment: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    parseConfig(toml, FILE, environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe("node.toml", () => {
  test("an empty file is a valid one, with safe defaults", () => {
    const config = parseConfig("", FILE);
    expect(config.api).toMatchObject({ http_host: "127.0.0.1", cors_enabled: false, cors_origins: [] });
    expect(config.metrics.host).toBe("127.0.0.1");
    expect(config.network).toMatchObject({ stun_servers: [], mdns_enabled: false, accept_observers: false });
    expect(config.crypto.hybrid_mode).toBe(true);
    expect(config.warnings).toEqual([]);
  });

  test("the specification's own example is valid; what is not in this release is warned about", () => {
    const config = parseConfig(SPECIFIED, FILE);
    expect(config.storage.cache_size_mb).toBe(512);
    expect(config.network.quic_port).toBe(9001);
    expect(config.warnings.map((warning) => warning.split(/[: ]/)[0])).toEqual([
      "network.mdns_enabled",
      "network.enable_nat_traversal",
      "network.stun_servers",
      "backup.enabled",
      "network.listen_addr",
    ]);
  });

  test.each(keys())("$name takes what is allowed and nothing else", ({ section, key, row: { valid, invalid } }) => {
    for (const value of valid) {
      const config = parseConfig(`[${section}]\n${key} = ${JSON.stringify(value)}`, "/node.toml");
      const isPath = key.endsWith("path") || ["data_dir", "genesis", "application"].includes(key);
      if (!isPath) expect(valueAt(config, section, key)).toEqual(value);
    }
    for (const value of invalid) {
      const [problem] = problemsOf(`[${section}]\n\n${key} = ${JSON.stringify(value)}`);
      expect(problem).toStartWith(`line 3: ${section}.${key} is `);
      expect(problem).toContain("but must be");
    }
  });

  test("all problems are told at once, each with its line, the value and what is allowed", () => {
    const toml = '[node]\nid = ""\n\n[consensus]\nalgorithm = "raft"\n[api]\nhttp_prot = 1\n[netwrok]\nquic_port = 1\n';
    expect(problemsOf(toml)).toEqual([
      'line 7: api.http_prot is not a key; did you mean "http_port"?',
      'line 8: [netwrok] is not a section; did you mean "network"?',
      'line 2: node.id is "", but must be a text of 1 to 128 characters',
      'line 5: consensus.algorithm is "raft", but must be "pbft" or "bft" or "hotstuff" or "avalanche"',
    ]);
    expect(() => parseConfig(toml, FILE)).toThrow(FILE);
  });

  test("a key under the wrong header, or under none, is told where it belongs", () => {
    expect(problemsOf("[node]\nquic_port = 1")[0]).toContain("there is network.quic_port");
    expect(problemsOf("quic_port = 1")).toEqual([
      'line 1: quic_port stands in no section; did you mean "network"? (there is network.quic_port)',
    ]);
    expect(problemsOf("node = 3")).toEqual(["line 1: node must be a section: write [node]"]);
  });

  test("names that every JavaScript object has are no keys and no sections", () => {
    expect(problemsOf("[toString]\nx = 1")[0]).toContain("[toString] is not a section");
    expect(problemsOf("[node]\nconstructor = 1")[0]).toContain("node.constructor is not a key");
  });

  test("the lines are right behind texts and lists of several lines", () => {
    const toml =
      '[network]\nbootstrap_peers = [\n  "a:1",\n]\n[node]\nid = """\nquic_port = 1\n"""\nlog_level = "loud"';
    expect(problemsOf(toml)).toContainEqual(expect.stringContaining("line 9: node.log_level"));
    expect(problemsOf('node.log_level = "loud"')[0]).toStartWith("line 1: node.log_level");
  });

  test("a file that is not TOML is refused with the place", () => {
    expect(problemsOf("[node]\nid = \n")[0]).toStartWith("line 2, column ");
    expect(problemsOf("[node]\nid = 'a'\nid = 'b'")[0]).toStartWith("line 3, ");
  });

  test("keys that contradict each other are refused", () => {
    expect(problemsOf('[api]\ncors_origins = ["*"]')).toEqual(["api.cors_origins is given, but cors_enabled is false"]);
    expect(problemsOf("[api]\nhttp_port = 9000\n[metrics]\nport = 9000")).toHaveLength(1);
    expect(problemsOf("[api]\nhttp_port = 9000\nhttp_enabled = false\n[metrics]\nport = 9000")).toEqual([]);
    const peer = `/udp/1/quic/p2p/${"a".repeat(64)}`;
    expect(problemsOf(`[network]\nbootstrap_peers = ["/ip4/1.1.1.1${peer}", "/ip4/2.2.2.2${peer}"]`)).toHaveLength(1);
  });

  test("keys of Avalanche beside another algorithm are refused, and without one they wait for the genesis", () => {
    expect(problemsOf('[consensus]\nalgorithm = "bft"\nsample_size = 3')).toEqual([
      'consensus.sample_size belongs to avalanche, but algorithm is "bft"',
    ]);
    const { consensus } = parseConfig("[consensus]\nsample_size = 3", FILE);
    expect([consensus.algorithm, consensus.sample_size, consensus.beta_threshold]).toEqual([null, 3, null]);
  });

  test("relative paths are relative to the file, and empty ones lie in data_dir", () => {
    const { node, storage, backup, crypto } = parseConfig('[node]\ndata_dir = "state"', FILE);
    expect(node).toMatchObject({ data_dir: "/etc/cretoai/state", genesis: "/etc/cretoai/genesis.json" });
    expect(storage.path).toBe("/etc/cretoai/state/db");
    expect(backup.path).toBe("/etc/cretoai/state/backups");
    expect(crypto.key_path).toBe("/etc/cretoai/keys");
  });
});

describe("environment variables", () => {
  test("go before the file, and the file before the default", () => {
    const toml = "[api]\nhttp_port = 1111\n[metrics]\nport = 2222";
    const config = parseConfig(toml, FILE, { CRETOAI_API_HTTP_PORT: "3333" });
    expect([config.api.http_port, config.metrics.port, config.network.quic_port]).toEqual([3333, 2222, 9001]);
  });

  test.each(keys())("exist for $name", ({ section, key, row: { valid } }) => {
    const variable = variableOf(section, key);
    const value = valid.find((candidate) => candidate !== "" && `${candidate}` !== "") ?? [];
    const config = parseConfig("", "/node.toml", {
      [variable]: typeof value === "string" ? value : JSON.stringify(value),
    });
    expect(String(valueAt(config, section, key))).toEndWith(String(value));
    expect(config.warnings.filter((warning) => warning.startsWith("CRETOAI"))).toEqual([]);
  });

  test("are named where their value is wrong, and count for nothing where they are empty", () => {
    expect(problemsOf("", { CRETOAI_API_HTTP_PORT: "http", CRETOAI_CRYPTO_HASH_ALGORITHM: "sha256" })).toEqual([
      'CRETOAI_CRYPTO_HASH_ALGORITHM is "sha256", but must be "blake3" (another choice would be a downgrade)',
      'CRETOAI_API_HTTP_PORT is "http", but must be a whole number from 0 to 65535',
    ]);
    expect(parseConfig("[api]\nhttp_port = 1", FILE, { CRETOAI_API_HTTP_PORT: "" }).api.http_port).toBe(1);
  });

  test("may hold lists with commas between, and texts that look like numbers", () => {
    const environment = { CRETOAI_NETWORK_BOOTSTRAP_PEERS: "a:1, b:2", CRETOAI_NODE_ID: "42" };
    const config = parseConfig("", FILE, environment);
    expect(config.network.bootstrap_peers).toEqual(["a:1", "b:2"]);
    expect(config.node.id).toBe("42");
  });

  test("that override nothing are warned about, except the passphrase's", () => {
    const environment = { CRETOAI_NODE_LOGLEVEL: "debug", CRETOAI_CRYPTO_SECRET: "x", CRETOAI_DEBUG: "1", HOME: "/" };
    const { warnings } = parseConfig('[crypto]\npassphrase_env = "CRETOAI_CRYPTO_SECRET"', FILE, environment);
    expect(warnings).toEqual(['CRETOAI_NODE_LOGLEVEL overrides no key; did you mean "CRETOAI_NODE_LOG_LEVEL"?']);
  });
});

describe("a configuration file", () => {
  test("is read from the disk, and one that is missing is said so", () => {
    const folder = mkdtempSync(join(tmpdir(), "cretoai-config-"));
    try {
      const file = join(folder, "node.toml");
      expect(() => loadConfig(file)).toThrow("cannot be read");
      expect(() => loadConfig(folder)).toThrow("is a folder: name the file in it");
      writeFileSync(file, '[node]\nid = "n1"');
      expect(loadConfig(file)).toMatchObject({ file, node: { id: "n1", data_dir: join(folder, "data") } });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("is documented: docs/configuration.md is what the declaration says", () => {
    const page = readFileSync(join(import.meta.dirname, "../../docs/configuration.md"), "utf8");
    expect(page).toBe(configReference());
    for (const { section, key } of keys()) expect(page.split(`## [${section}]`)[1]).toContain(`| \`${key}\` |`);
  });
});

describe("a bootstrap peer", () => {
  test("is read in each of its forms", () => {
    expect(parsePeer("h:9001")).toEqual({ host: "h", port: 9001, nodeId: null });
    expect(parsePeer("[::1]:9001")).toEqual({ host: "::1", port: 9001, nodeId: null });
    const id = "b".repeat(64);
    expect(parsePeer(`/ip6/::1/udp/9001/quic-v1/p2p/${id}`)).toEqual({ host: "::1", port: 9001, nodeId: id });
  });
});
