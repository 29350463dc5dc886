import { CONFIG_KEYS, type KeySpec } from "./config-keys.ts";
import { variableOf } from "./config.ts";

const HEAD = `# Configuration

A node reads one TOML file: \`cretoai-node start --config node.toml\`. Every key has a default, so an empty file is a valid
one. \`cretoai-node testnet\` writes the files of a whole network.

- A section or key that does not exist is an error, with its line and the nearest name that does. All problems of a file
  are told at once.
- Relative paths are relative to the folder of the file.
- An environment variable goes before the file, and the file before the default. Its name is \`CRETOAI_\`, the section, \`_\`
  and the key, in capitals: \`${variableOf("api", "http_port")}=8081\`. Lists may be
  written as in TOML or with commas between; an empty variable counts as none.
- Keys whose meaning says "not in this release" are accepted and checked, so that files stay valid; \`true\` is warned about
  at the start.
- The passphrase of the key file never stands in a file: \`crypto.passphrase_env\` names the variable that has it.

This page is generated from \`src/node/config-keys.ts\` by \`node scripts/bun.cjs scripts/write-configuration.mjs\`.
`;

const ABOUT: Readonly<Record<keyof typeof CONFIG_KEYS, string>> = {
  node: "Who the node is and where it keeps things.",
  consensus: "How the node agrees with the others. Who may vote is the genesis file's matter, never this file's.",
  network: "The QUIC socket and the other nodes.",
  storage: "The database. The defaults keep a node below 500 MB of memory.",
  crypto: "The node's keys. The algorithms stand here for the record; none can be weakened.",
  metrics: "Prometheus metrics, on a port of their own.",
  api: "The HTTP and WebSocket API. It has no authentication: keep it on loopback, or put a proxy in front.",
  backup: "Scheduled backups; none of this is in this release.",
};

/** `docs/configuration.md`: every section and key, from their declaration. */
export function configReference(): string {
  const sections = Object.entries(CONFIG_KEYS).map(([name, keys]) => {
    const about = ABOUT[name as keyof typeof ABOUT];
    const rows = Object.entries<KeySpec<unknown>>(keys).map(([key, spec]) => row(key, spec));
    return `## [${name}]\n\n${about}\n\n| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `${HEAD}\n${sections.join("\n")}`;
}

function row(key: string, spec: KeySpec<unknown>): string {
  const meaning = `${sentence(spec.meaning)}${spec.advice === undefined ? "" : ` ${sentence(spec.advice)}`}`;
  const fallback = spec.otherwise ?? `\`${JSON.stringify(spec.default)}\``;
  const cells = [`\`${key}\``, typeName(spec), fallback, spec.allowed, meaning];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`;
}

function typeName({ default: value, allowed }: KeySpec<unknown>): string {
  if (value === null) return /number/.test(allowed) ? "number" : "text";
  if (Array.isArray(value)) return "list of text";
  return { string: "text", number: "number", boolean: "switch" }[typeof value as "string" | "number" | "boolean"];
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
