import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import { nearest } from "../lib/edit-distance.ts";
import { CONFIG_KEYS, type KeySpec, PEER_PATTERN } from "./config-keys.ts";
import { linesOfKeys } from "./config-lines.ts";

type Table = Readonly<Record<string, unknown>>;

type Sections = typeof CONFIG_KEYS;

type SectionValues<S> = { readonly [K in keyof S]: S[K] extends KeySpec<infer T> ? T : never };

/** `node.toml` with every key present; paths are absolute. */
export type NodeConfig = { readonly [S in keyof Sections]: SectionValues<Sections[S]> } & {
  /** The file it came from. */
  readonly file: string;
  /** Keys that are accepted and do nothing in this release. */
  readonly warnings: readonly string[];
};

export type ConfigErrorCode = "not-found" | "not-toml" | "invalid";

/** A configuration that cannot be used. All problems are told at once, each with its place and what belongs there. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code: ConfigErrorCode;
  readonly problems: readonly string[];

  constructor(code: ConfigErrorCode, file: string, problems: readonly string[]) {
    super(`${file}:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`);
    this.code = code;
    this.problems = problems;
  }
}

const PATH_KEYS: readonly (readonly [section: keyof Sections, key: string])[] = [
  ["node", "data_dir"],
  ["node", "genesis"],
  ["node", "application"],
  ["storage", "path"],
  ["crypto", "key_path"],
  ["backup", "path"],
];

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws ConfigError */
export function loadConfig(file: string, environment: Environment = {}): NodeConfig {
  let toml: string;
  try {
    toml = readFileSync(file, "utf8");
  } catch (error) {
    const isFolder = error instanceof Error && Reflect.get(error, "code") === "EISDIR";
    const what = isFolder ? "is a folder: name the file in it, such as node.toml" : `cannot be read (${String(error)})`;
    throw new ConfigError("not-found", file, [
      `${what}; \`cretoai-node testnet\` makes a cluster with its configuration files`,
    ]);
  }
  return parseConfig(toml, resolve(file), environment);
}

/**
 * Relative paths are relative to the file. An environment variable `CRETOAI_<SECTION>_<KEY>` goes before the file's value,
 * unless it is empty.
 * @throws ConfigError
 */
export function parseConfig(toml: string, file: string, environment: Environment = {}): NodeConfig {
  const document = parseToml(toml, file);
  const lines = linesOfKeys(toml);
  const problems = unknownNames(document, lines);
  const values: Record<string, Record<string, unknown>> = {};
  for (const [section, keys] of Object.entries(CONFIG_KEYS)) {
    const table = tableOf(document, section);
    const read: Record<string, unknown> = {};
    for (const [key, spec] of Object.entries<KeySpec<unknown>>(keys)) {
      const path = `${section}.${key}`;
      const override = environment[variableOf(section, key)];
      const given = Object.hasOwn(table, key) ? table[key] : undefined;
      if (override !== undefined && override !== "")
        read[key] = readVariable(spec, override, variableOf(section, key), problems);
      else if (given === undefined) read[key] = spec.default;
      else read[key] = readValue(spec, given, `${placeOf(lines, path)}${path}`, problems);
    }
    values[section] = read;
  }
  if (problems.length === 0) problems.push(...contradictions(values as unknown as NodeConfig));
  if (problems.length > 0) throw new ConfigError("invalid", file, problems);
  resolvePaths(values, dirname(file));
  const config = { ...values, file } as unknown as NodeConfig;
  return { ...config, warnings: [...warningsOf(config), ...unknownVariables(config, environment)] };
}

/** The environment variable that goes before a key. */
export function variableOf(section: string, key: string): string {
  return `CRETOAI_${section}_${key}`.toUpperCase();
}

function readValue(spec: KeySpec<unknown>, value: unknown, at: string, problems: string[]): unknown {
  const read = spec.read(value);
  if (read === undefined) {
    const advice = spec.advice === undefined ? "" : ` (${spec.advice})`;
    problems.push(`${at} is ${shown(value)}, but must be ${spec.allowed}${advice}`);
  }
  return read;
}

/** Variables are text: what the key takes of it as a TOML value, as it stands, or as a list with commas between. */
function readVariable(spec: KeySpec<unknown>, text: string, variable: string, problems: string[]): unknown {
  const items = text.split(",").map((item) => item.trim());
  const readings = [tomlValue(text), text, items].map((reading) => spec.read(reading));
  return readings.find((reading) => reading !== undefined) ?? readValue(spec, text, variable, problems);
}

function tomlValue(text: string): unknown {
  try {
    return parse(`value = ${text}`)["value"];
  } catch {
    return undefined;
  }
}

function shown(value: unknown): string {
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

function placeOf(lines: ReadonlyMap<string, number>, path: string): string {
  const line = lines.get(path);
  return line === undefined ? "" : `line ${line}: `;
}

function unknownNames(document: Table, lines: ReadonlyMap<string, number>): string[] {
  const problems: string[] = [];
  for (const [section, table] of Object.entries(document)) {
    const place = placeOf(lines, section);
    if (!isSection(section)) {
      const what = isTable(table) ? `[${section}] is not a section` : `${section} stands in no section`;
      problems.push(`${place}${what}${suggestion(section, Object.keys(CONFIG_KEYS))}${homes(section)}`);
    } else if (isTable(table)) {
      const known = Object.keys(CONFIG_KEYS[section]);
      for (const key of Object.keys(table).filter((name) => !known.includes(name))) {
        const path = `${section}.${key}`;
        problems.push(`${placeOf(lines, path)}${path} is not a key${suggestion(key, known)}${homes(key)}`);
      }
    } else {
      problems.push(`${place}${section} must be a section: write [${section}]`);
    }
  }
  return problems;
}

function isSection(name: string): name is keyof Sections {
  return Object.hasOwn(CONFIG_KEYS, name);
}

/** Where a key of that name would be right: half of all misplaced keys only stand under the wrong header. */
function homes(key: string): string {
  const sections = Object.entries(CONFIG_KEYS).filter(([, keys]) => Object.hasOwn(keys, key));
  return sections.length === 0 ? "" : ` (there is ${sections.map(([section]) => `${section}.${key}`).join(", ")})`;
}

/** Keys that say something of the Avalanche engine only. */
const AVALANCHE_KEYS = [
  "sample_size",
  "alpha_threshold",
  "alpha_preference",
  "beta_threshold",
  "early_beta_threshold",
  "finalization_threshold",
  "max_rounds",
  "min_network_size",
  "concurrent_polls",
  "query_timeout_ms",
  "patience_ms",
  "resolve_after_ms",
] as const;

function contradictions({ consensus, network, api, metrics }: NodeConfig): string[] {
  const problems: string[] = [];
  const given = AVALANCHE_KEYS.filter((key) => consensus[key] !== null);
  if (given.length > 0 && consensus.algorithm !== null && consensus.algorithm !== "avalanche")
    problems.push(`consensus.${given.join(", ")} belongs to avalanche, but algorithm is "${consensus.algorithm}"`);
  if (api.cors_origins.length > 0 && !api.cors_enabled)
    problems.push("api.cors_origins is given, but cors_enabled is false");
  if (api.http_enabled && metrics.enabled && api.http_port === metrics.port && api.http_port !== 0)
    problems.push(`api.http_port and metrics.port are both ${api.http_port}: each is a TCP socket of its own`);
  const names = network.bootstrap_peers.flatMap((peer) => parsePeer(peer).nodeId ?? []);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) problems.push(`network.bootstrap_peers names ${twice} twice`);
  return problems;
}

function warningsOf({ network, backup }: NodeConfig): readonly string[] {
  const port = /:(\d+)$/.exec(network.listen_addr)?.[1];
  const isDefault = network.listen_addr === CONFIG_KEYS.network.listen_addr.default;
  const later: readonly (readonly [boolean, string])[] = [
    [network.mdns_enabled, "network.mdns_enabled: local discovery is not in this release; the key is ignored"],
    [
      network.enable_nat_traversal,
      "network.enable_nat_traversal: NAT traversal is not in this release; the key is ignored",
    ],
    [
      network.stun_servers.length > 0,
      "network.stun_servers: NAT traversal is not in this release; no STUN server is contacted",
    ],
    [backup.enabled, "backup.enabled: scheduled backups are not in this release; the key is ignored"],
    [
      port !== undefined && !isDefault && Number(port) !== network.quic_port,
      `network.listen_addr has port ${port}, but quic_port is ${network.quic_port}: the node listens on ${network.quic_port}`,
    ],
  ];
  return later.filter(([given]) => given).map(([, warning]) => warning);
}

/**
 * Variables that look like overrides and are none. A warning, not a refusal: Kubernetes sets such names by itself for a
 * service called `cretoai-node`.
 */
function unknownVariables({ crypto }: NodeConfig, environment: Environment): readonly string[] {
  const known = Object.entries(CONFIG_KEYS).flatMap(([section, keys]) =>
    Object.keys(keys).map((key) => variableOf(section, key)),
  );
  const prefixes = Object.keys(CONFIG_KEYS).map((section) => variableOf(section, ""));
  return Object.keys(environment)
    .filter((name) => prefixes.some((prefix) => name.startsWith(prefix)))
    .filter((name) => !known.includes(name) && name !== crypto.passphrase_env)
    .map((name) => `${name} overrides no key${suggestion(name, known)}`);
}

function resolvePaths(values: Record<string, Record<string, unknown>>, folder: string): void {
  for (const [section, key] of PATH_KEYS) {
    const table = values[section];
    const value = table?.[key];
    if (table !== undefined && typeof value === "string" && value !== "") table[key] = resolve(folder, value);
  }
  const dataDir = String(values["node"]?.["data_dir"]);
  for (const [section, name] of [
    ["storage", "db"],
    ["backup", "backups"],
  ] as const) {
    const table = values[section];
    if (table !== undefined && table["path"] === "") table["path"] = join(dataDir, name);
  }
}

function parseToml(toml: string, file: string): Table {
  try {
    return parse(toml);
  } catch (error) {
    const place = error instanceof TomlError ? `line ${error.line}, column ${error.column}: ` : "";
    throw new ConfigError("not-toml", file, [`${place}${error instanceof Error ? error.message : String(error)}`]);
  }
}

function tableOf(document: Table, section: string): Table {
  const table = document[section];
  return isTable(table) ? table : {};
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function suggestion(name: string, known: readonly string[]): string {
  return `; did you mean ${JSON.stringify(nearest(name, known))}?`;
}

/** Host, port and node id (if named) of a `bootstrap_peers` entry. */
export function parsePeer(text: string): {
  readonly host: string;
  readonly port: number;
  readonly nodeId: string | null;
} {
  const groups = PEER_PATTERN.exec(text)?.groups ?? {};
  const host = (groups["maHost"] ?? groups["host"] ?? "").replaceAll(/[[\]]/g, "");
  return { host, port: Number(groups["maPort"] ?? groups["port"]), nodeId: groups["id"] ?? null };
}
