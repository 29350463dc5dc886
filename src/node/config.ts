import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import { nearest } from "../lib/edit-distance.ts";
import { CONFIG_KEYS, type KeySpec, PEER_PATTERN } from "./config-keys.ts";

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
  ["storage", "path"],
  ["crypto", "key_path"],
  ["backup", "path"],
];

/** @throws ConfigError */
export function loadConfig(file: string, environment: Readonly<Record<string, string | undefined>> = {}): NodeConfig {
  let toml: string;
  try {
    toml = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError("not-found", file, [
      `cannot be read (${String(error)}); \`cretoai-node testnet\` makes a cluster with its configuration files`,
    ]);
  }
  return parseConfig(toml, resolve(file), environment);
}

/**
 * Relative paths are relative to the file. An environment variable `CRETOAI_<SECTION>_<KEY>` goes before the file's value.
 * @throws ConfigError
 */
export function parseConfig(
  toml: string,
  file: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): NodeConfig {
  const document = parseToml(toml, file);
  const problems = unknownNames(document);
  const values: Record<string, Record<string, unknown>> = {};
  for (const [section, keys] of Object.entries(CONFIG_KEYS)) {
    const given = document[section];
    const table = isTable(given) ? given : {};
    const read: Record<string, unknown> = {};
    for (const [key, spec] of Object.entries(keys)) {
      const override = environment[`CRETOAI_${section}_${key}`.toUpperCase()];
      const value = override === undefined ? table[key] : fromEnvironment(override);
      read[key] = value === undefined ? spec.default : readKey(spec, value, `${section}.${key}`, problems);
    }
    values[section] = read;
  }
  if (problems.length === 0) problems.push(...contradictions(values as unknown as NodeConfig));
  if (problems.length > 0) throw new ConfigError("invalid", file, problems);
  resolvePaths(values, dirname(file));
  const config = { ...values, file } as unknown as NodeConfig;
  return { ...config, warnings: warningsOf(config) };
}

function readKey(spec: KeySpec<unknown>, value: unknown, path: string, problems: string[]): unknown {
  const read = spec.read(value);
  if (read === undefined) problems.push(`${path} is ${JSON.stringify(value)}, but must be ${spec.allowed}`);
  return read;
}

function unknownNames(document: Readonly<Record<string, unknown>>): string[] {
  const problems: string[] = [];
  for (const [section, table] of Object.entries(document)) {
    const keys: Readonly<Record<string, unknown>> | undefined = Reflect.get(CONFIG_KEYS, section);
    if (keys === undefined) {
      problems.push(`[${section}] is not a section${suggestion(section, Object.keys(CONFIG_KEYS))}`);
    } else if (!isTable(table)) {
      problems.push(`${section} must be a section: write [${section}]`);
    } else {
      for (const key of Object.keys(table)) {
        if (!(key in keys)) problems.push(`${section}.${key} is not a key${suggestion(key, Object.keys(keys))}`);
      }
    }
  }
  return problems;
}

function contradictions({ network, api, node }: NodeConfig): string[] {
  const problems: string[] = [];
  const port = /:(\d+)$/.exec(network.listen_addr)?.[1];
  const isDefault = network.listen_addr === CONFIG_KEYS.network.listen_addr.default;
  if (port !== undefined && !isDefault && Number(port) !== network.quic_port) {
    problems.push(`network.listen_addr has port ${port}, but quic_port is ${network.quic_port}: there is one socket`);
  }
  if (network.listen_addr.startsWith(":")) problems.push('network.listen_addr has no host: write "0.0.0.0" for all');
  if (api.cors_origins.length > 0 && !api.cors_enabled)
    problems.push("api.cors_origins is given, but cors_enabled is false");
  if (node.id.length > 128) problems.push("node.id is longer than 128 characters");
  return problems;
}

function warningsOf(config: NodeConfig): readonly string[] {
  const later: readonly (readonly [boolean, string])[] = [
    [config.network.mdns_enabled, "network.mdns_enabled: local discovery is not in this release"],
    [config.network.enable_nat_traversal, "network.enable_nat_traversal: NAT traversal is not in this release"],
    [config.backup.enabled, "backup.enabled: scheduled backups are not in this release"],
  ];
  return later.filter(([given]) => given).map(([, warning]) => `${warning}; the key is ignored`);
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

function parseToml(toml: string, file: string): Readonly<Record<string, unknown>> {
  try {
    return parse(toml);
  } catch (error) {
    const place = error instanceof TomlError ? `line ${error.line}, column ${error.column}: ` : "";
    throw new ConfigError("not-toml", file, [`${place}${error instanceof Error ? error.message : String(error)}`]);
  }
}

/** Environment variables are text: what reads as a TOML value is one, everything else stays text. */
function fromEnvironment(value: string): unknown {
  try {
    return parse(`value = ${value}`)["value"];
  } catch {
    return value;
  }
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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
