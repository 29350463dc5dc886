import { Command, CommanderError } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { CommandFailed, EXIT, EXIT_HELP } from "./exit-codes.ts";

const program = new Command("cretoai-node")
  .description("A Byzantine fault tolerant, post-quantum consensus node")
  .version(packageJson.version)
  .exitOverride()
  .configureHelp({ sortSubcommands: false })
  .addHelpText(
    "after",
    `
First steps:
  cretoai-node cluster                                 four validators on this machine, fed and shown
  cretoai-node testnet --validators 4 --output ./net   the same as files, to start each yourself
  cretoai-node start --config ./net/node-1/node.toml
  echo 'hello' | cretoai-node submit --config ./net/node-1/node.toml
${EXIT_HELP}`,
  );

// Modules are loaded by the command that needs them: `--help` and small commands stay quick.
program
  .command("start")
  .description("run one node until SIGINT or SIGTERM; logs go to standard output")
  .requiredOption("-c, --config <file>", "the node's configuration (docs/configuration.md)")
  .option("--pretty", "short log lines for people instead of JSON (the default on a terminal)")
  .action(async (options) => (await import("./start.ts")).start(options));

program
  .command("cluster")
  .description("run a whole cluster on this machine, feed it and show what it finalizes; `npm start` runs this")
  .option("-n, --validators <count>", "validators of a new cluster", "4")
  .option("-d, --data <folder>", "where keys, configuration and ledgers are; resumed where it exists", "./cretoai-data")
  .option("-p, --base-port <port>", "first port of a new cluster; 0 takes free ones", "9000")
  .option("-i, --input <file>", "transactions to submit first, one a line, instead of the sample")
  .option("--no-sample", "submit no sample transactions")
  .option("--exit-when-done", "stop when the input is final instead of at Ctrl-C")
  .addHelpText(
    "after",
    "\nWhat is piped in is submitted too, one line a transaction:\n  seq 1 10000 | cretoai-node cluster",
  )
  .action(async (options) => (await import("./cluster.ts")).cluster(options));

program
  .command("testnet")
  .description("make keys, configuration files and a genesis for a new network of n validators")
  .requiredOption("-n, --validators <count>", "how many; 4 tolerate one that lies, 7 two", Number)
  .requiredOption("-o, --output <folder>", "a new or empty folder")
  .option("-e, --engine <name>", "the consensus engine", "pbft")
  .option(
    "-p, --base-port <port>",
    "node i gets this + 10 (i - 1) for QUIC, then API and metrics; 0 takes free ones",
    Number,
    9000,
  )
  .option("--host <address>", "the validators' address", "127.0.0.1")
  .option("--no-hybrid", "ML-DSA-87 alone, without Ed25519 beside it")
  .option("--json", "print JSON")
  .action(async (options) => (await import("./testnet.ts")).testnet(options));

program
  .command("keygen")
  .description("make a node's key file (ML-DSA-87 and Ed25519)")
  .requiredOption("-o, --output <folder>", "where to put node.key.json")
  .option("--passphrase-env <variable>", "encrypt it with the passphrase in this environment variable")
  .option("--no-hybrid", "ML-DSA-87 alone, for a network without the hybrid mode")
  .option("--force", "overwrite a key file: the old identity is lost")
  .option("--json", "print JSON")
  .action(async (options) => (await import("./keygen.ts")).keygen(options));

withTarget(program.command("submit").argument("[text]", "one transaction; without it, --file or standard input"))
  .description("submit transactions to a node and wait until they are final")
  .option("-f, --file <file>", "a file with one transaction a line")
  .option("--raw", "the whole file or input is one transaction")
  .option("--no-wait", "return when they are durable at the node, before they are final")
  .option("-b, --batch <count>", "transactions of one request", "500")
  .action(async (text, options) => (await import("./submit.ts")).submit(text, options));

withTarget(program.command("status").description("where a node stands")).action(async (options) =>
  (await import("./inspect.ts")).inspect("status", options),
);
withTarget(
  program.command("health").description("whether a node lives and can finalize (exit status 4 if not)"),
).action(async (options) => (await import("./inspect.ts")).health(options));
withTarget(program.command("peers").description("a node's authenticated peers")).action(async (options) =>
  (await import("./inspect.ts")).inspect("peers", options),
);
withTarget(program.command("validators").description("the validator set")).action(async (options) =>
  (await import("./inspect.ts")).inspect("validators", options),
);

function withTarget(command: Command): Command {
  return command
    .option("-u, --url <url>", "the node's API (default: http://127.0.0.1:8080)")
    .option("-c, --config <file>", "the node's configuration file, instead of --url")
    .option("--json", "print JSON");
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
// Open handles of libraries must not keep a command alive that is done.
process.exit(process.exitCode ?? EXIT.ok);

/** Says what went wrong in words, and answers the exit status. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const message = error instanceof Error ? error.message : String(error);
  if (message !== "") console.error(`cretoai-node: ${message}`);
  if (process.env["CRETOAI_DEBUG"] !== undefined && error instanceof Error) console.error(error.stack);
  return error instanceof CommandFailed ? error.exitCode : EXIT.failed;
}
