import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { generateKeyPair, type NodeKeyPair } from "../crypto/key-pair.ts";
import { writeKeyFile } from "../crypto/key-file.ts";
import { faultTolerance, quorumSize } from "../membership/quorum.ts";
import { defaultPolicy, formatGenesis, type Genesis } from "../node/genesis.ts";
import {
  applicationFault,
  APPLICATIONS,
  ENGINES,
  type ApplicationName,
  type EngineName,
} from "../node/genesis-application.ts";
import { type GenesisHotStuff, HOTSTUFF_OF_NEW_NETWORKS, hotStuffChoice } from "../node/genesis-hotstuff.ts";
import { KEY_FILE_NAME } from "../node/key-location.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { freePorts } from "./ports.ts";

export interface TestnetOptions {
  readonly validators: number;
  readonly engine: string;
  /** Undefined: `log`. */
  readonly application?: string;
  /** Of HotStuff; undefined: as a genesis that says nothing. */
  readonly phases?: number;
  readonly voteRoute?: string;
  readonly leaders?: string;
  readonly output: string;
  readonly basePort: number;
  readonly host: string;
  readonly hybrid: boolean;
  readonly json?: boolean;
}

interface Ports {
  readonly quic: number;
  readonly http: number;
  readonly metrics: number;
}

/** What one node of the testnet is and where. */
export interface TestnetNode {
  readonly name: string;
  readonly nodeId: string;
  readonly config: string;
  readonly quicPort: number;
  readonly httpPort: number;
  readonly metricsPort: number;
}

/** More than this on one machine is a simulation, not a test. */
const VALIDATORS_MAX = 64;

/** Node i has the base port + 10 (i - 1), and the two above it. */
const PORTS_PER_NODE = 10;

/** What the account "main" of each validator of a testnet's ledger begins with. */
const OPENING_BALANCE = 1_000_000n;

/** A genesis, keys and a `node.toml` for each of n validators, ready to be started. */
export async function testnet(options: TestnetOptions): Promise<void> {
  const nodes = await createTestnet(options);
  const { validators, output } = options;
  const f = faultTolerance(validators);
  if (options.json === true) {
    console.log(
      JSON.stringify({ output: resolve(output), validators, faultTolerance: f, quorum: quorumSize(validators), nodes }),
    );
    return;
  }
  console.log(
    `${validators} validators in ${resolve(output)}: quorum ${quorumSize(validators)}, up to ${f} of them may lie`,
  );
  if (options.application === "ledger")
    console.log(`A ledger: account node-i/main of each validator holds ${OPENING_BALANCE} units`);
  if (f === 0) console.log("With fewer than 4 validators no lie is tolerated (n >= 3f + 1).");
  for (const { name, config, quicPort, httpPort, metricsPort } of nodes) {
    console.log(`  ${name}  QUIC ${quicPort}  API ${httpPort}  metrics ${metricsPort}  ${config}`);
  }
  const app = options.application === "custom" ? " --app <your file>" : "";
  console.log(`Start each with: cretoai-node start --config ${nodes[0]?.config ?? ""}${app}`);
}

export async function createTestnet(options: TestnetOptions): Promise<readonly TestnetNode[]> {
  const { validators: count, output, host, hybrid } = options;
  const choice = check(options);
  const keys = Array.from({ length: count }, () => generateKeyPair({ hybrid }));
  const ports = await portsFor(count, options);
  const genesis: Genesis = {
    network: `testnet-${keys[0]?.nodeId.slice(0, 8)}`,
    createdAt: new Date().toISOString(),
    engine: choice.engine,
    hybrid,
    policy: defaultPolicy(count),
    ...choice.hotstuff,
    ...applicationOf(choice.application, count),
    validators: keys.map(({ nodeId, publicKeys }, index) => ({
      name: `node-${index + 1}`,
      nodeId,
      publicKeys,
      address: authority(host, ports[index]?.quic ?? 0),
    })),
  };
  mkdirSync(output, { recursive: true });
  const nodes: TestnetNode[] = [];
  for (const [index, pair] of keys.entries()) {
    const own = ports[index];
    if (own !== undefined) nodes.push(await writeNode(options, genesis, { index, pair, ports: own }));
  }
  writeFileSync(join(output, "genesis.json"), formatGenesis(genesis));
  return nodes;
}

async function writeNode(
  { output, host, hybrid }: TestnetOptions,
  genesis: Genesis,
  { index, pair, ports }: { readonly index: number; readonly pair: NodeKeyPair; readonly ports: Ports },
): Promise<TestnetNode> {
  const name = `node-${index + 1}`;
  const folder = join(output, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  await writeKeyFile(join(folder, "keys", KEY_FILE_NAME), pair, {});
  writeFileSync(join(folder, "genesis.json"), formatGenesis(genesis));
  const config = join(folder, "node.toml");
  const peers = genesis.validators
    .filter(({ nodeId }) => nodeId !== pair.nodeId)
    .map(({ nodeId, address }) => `    "${multiaddr(address)}/p2p/${nodeId}",`);
  const toml = `# Node ${index + 1} of a testnet; docs/configuration.md explains every key.
[node]
id = "${name}"
data_dir = "./data"
genesis = "./genesis.json"

[consensus]
algorithm = "${genesis.engine}"

[network]
listen_addr = "${authority(host, ports.quic)}"
quic_port = ${ports.quic}
bootstrap_peers = [
${peers.join("\n")}
]

[crypto]
hybrid_mode = ${hybrid}
key_path = "./keys"

[metrics]
port = ${ports.metrics}

[api]
http_port = ${ports.http}
`;
  writeFileSync(config, toml);
  return {
    name,
    nodeId: pair.nodeId,
    config: resolve(config),
    quicPort: ports.quic,
    httpPort: ports.http,
    metricsPort: ports.metrics,
  };
}

function authority(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function multiaddr(address: string): string {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replaceAll(/[[\]]/g, "");
  const version = isIP(host);
  return `/${version === 0 ? "dns" : `ip${version}`}/${host}/udp/${address.slice(colon + 1)}/quic`;
}

interface Choice {
  readonly hotstuff: GenesisHotStuff;
  readonly engine: EngineName;
  readonly application: ApplicationName;
}

/** A log is left unsaid: so does every genesis of before. */
function applicationOf(application: ApplicationName, count: number): Pick<Genesis, "application" | "accounts"> {
  if (application === "log") return {};
  if (application !== "ledger") return { application };
  const names = Array.from({ length: count }, (_, index) => `node-${index + 1}/main`);
  return { application, accounts: new Map(names.map((name) => [name, OPENING_BALANCE])) };
}

function choiceOf(options: TestnetOptions): Choice {
  const { engine: wanted, application: named = "log" } = options;
  const engine = ENGINES.find((name) => name === wanted);
  if (engine === undefined)
    throw new CommandFailed(`--engine ${wanted} is not in this release; there is ${ENGINES.join(", ")}`, EXIT.usage);
  const application = APPLICATIONS.find((name) => name === named);
  if (application === undefined)
    throw new CommandFailed(`--application ${named} is none; there is ${APPLICATIONS.join(", ")}`, EXIT.usage);
  const fault = applicationFault(engine, application);
  if (fault !== null) throw new CommandFailed(fault, EXIT.usage);
  return { engine, application, hotstuff: hotStuffOf(engine, options) };
}

/** What a genesis means that says nothing is left unsaid. */
function hotStuffOf(engine: EngineName, { phases, voteRoute, leaders }: TestnetOptions): GenesisHotStuff {
  if (engine !== "hotstuff") {
    if (phases === undefined && voteRoute === undefined && leaders === undefined) return {};
    const what = "--phases, --vote-route and --leaders belong to --engine hotstuff";
    throw new CommandFailed(`${what}, not ${engine}`, EXIT.usage);
  }
  const choice = hotStuffChoice({ phases, voteRoute, leaders }, HOTSTUFF_OF_NEW_NETWORKS);
  if ("fault" in choice) throw new CommandFailed(`--${choice.fault.replace("_", "-")}`, EXIT.usage);
  return { hotstuff: choice };
}

function check(options: TestnetOptions): Choice {
  const { validators, output, basePort, host } = options;
  if (!Number.isInteger(validators) || validators < 1 || validators > VALIDATORS_MAX) {
    throw new CommandFailed(`--validators must be a whole number from 1 to ${VALIDATORS_MAX}`, EXIT.usage);
  }
  const choice = choiceOf(options);
  const highest = 65_535 - PORTS_PER_NODE * validators;
  if (!Number.isInteger(basePort) || basePort < 0 || basePort > highest)
    throw new CommandFailed(
      `--base-port must be 0, or a port up to ${highest} for ${validators} validators`,
      EXIT.usage,
    );
  if (!/^[\w.-]+$/.test(host) && isIP(host) !== 6)
    throw new CommandFailed(`--host must be an IP address or a host name, not ${JSON.stringify(host)}`, EXIT.usage);
  if (host === "0.0.0.0" || host === "::")
    throw new CommandFailed(`--host is where the validators reach each other: ${host} is no such address`, EXIT.usage);
  if (existsSync(output) && !statSync(output).isDirectory())
    throw new CommandFailed(`${resolve(output)} is a file: name a new or empty folder`);
  if (existsSync(output) && readdirSync(output).length > 0) {
    throw new CommandFailed(
      `${resolve(output)} is not empty: name a new folder, so that no key or ledger is overwritten`,
    );
  }
  return choice;
}

async function portsFor(count: number, { basePort, host }: TestnetOptions): Promise<readonly Ports[]> {
  if (basePort === 0) {
    const free = await freePorts(3 * count, host === "localhost" || isIP(host) !== 0 ? host : "127.0.0.1");
    return Array.from({ length: count }, (_, index) => ({
      quic: free[3 * index] ?? 0,
      http: free[3 * index + 1] ?? 0,
      metrics: free[3 * index + 2] ?? 0,
    }));
  }
  return Array.from({ length: count }, (_, index) => {
    const quic = basePort + PORTS_PER_NODE * index;
    return { quic, http: quic + 1, metrics: quic + 2 };
  });
}
