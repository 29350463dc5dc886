import { Command, CommanderError, Option } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { CommandFailed, EXIT, EXIT_HELP } from "./exit-codes.ts";
import { addKvCommands } from "./kv-commands.ts";
import { addLedgerCommands } from "./ledger-commands.ts";
import { wholeNumber } from "./whole-number.ts";
import { addWorkflowCommands } from "./workflow-commands.ts";

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
${EXIT_HELP}
CRETOAI_DEBUG=1 adds the place in the code to a failure.`,
  );

// Modules are loaded by the command that needs them: `--help` and small commands stay quick.
command("start", "run one node until SIGINT or SIGTERM; logs go to standard output", [
  "start --config ./net/node-1/node.toml",
  "CRETOAI_NODE_LOG_LEVEL=debug cretoai-node start --config ./net/node-1/node.toml --pretty",
])
  .requiredOption("-c, --config <file>", "the node's configuration (docs/configuration.md)")
  .option("--app <file>", "the application of a network that was made with --application custom (docs/applications.md)")
  .option("--pretty", "short log lines for people instead of JSON (the default on a terminal)")
  .addOption(new Option("--until-input-ends", "stop when standard input ends").hideHelp())
  .action(async (options) => (await import("./start.ts")).start(options));

command("cluster", "run a whole cluster on this machine, feed it and show what it finalizes; `npm start` runs this", [
  "cluster",
  "seq 1 10000 | cretoai-node cluster --no-input",
  "cluster --validators 7 --data ./seven --base-port 9100",
  "cluster --engine avalanche --application ledger --data ./money",
])
  .option("-n, --validators <count>", "validators of a new cluster (default: 4)", wholeNumber)
  .option("-e, --engine <name>", "pbft, hotstuff or avalanche, of a new cluster (default: pbft)")
  .option("-a, --application <name>", "log, ledger, key-value or workflow, of a new cluster (default: log)")
  .option("--phases <count>", "of hotstuff: 3, or 2, which is faster to commit (default: 3)", wholeNumber)
  .option("--vote-route <name>", "of hotstuff: votes go to the next leader, or to all (default: leader)")
  .option("--leaders <name>", "of hotstuff: reputation leaves out who failed, or round-robin (default: reputation)")
  .option("-d, --data <folder>", "where keys, configuration and ledgers are; resumed where it exists", "./cretoai-data")
  .option("-p, --base-port <port>", "first port of a new cluster; 0 takes free ones (default: 9000)", wholeNumber)
  .option("-i, --input <file>", "transactions to submit first, one a line, instead of the sample")
  .option("--no-input", "submit no file, only what is piped in")
  .option("--exit-when-done", "stop when the input is final instead of at Ctrl-C")
  .addOption(new Option("--no-sample").hideHelp())
  .action(async (options) => (await import("./cluster.ts")).cluster(options));

command("testnet", "make keys, configuration files and a genesis for a new network of n validators", [
  "testnet --validators 4 --output ./net",
  "testnet --validators 7 --engine avalanche --application ledger --output ./net --base-port 9100 --json",
])
  .option("-n, --validators <count>", "how many; 4 tolerate one that lies, 7 two", wholeNumber, 4)
  .requiredOption("-o, --output <folder>", "a new or empty folder")
  .option("-e, --engine <name>", "pbft and hotstuff order everything; avalanche orders only what conflicts", "pbft")
  .option(
    "-a, --application <name>",
    "log: opaque payloads; ledger: transfers; key-value: the store; workflow: runs of steps; custom: your own file",
    "log",
  )
  .option("--phases <count>", "of hotstuff: 3, or 2, which is faster to commit (default: 3)", wholeNumber)
  .option("--vote-route <name>", "of hotstuff: votes go to the next leader, or to all (default: leader)")
  .option("--leaders <name>", "of hotstuff: reputation leaves out who failed, or round-robin (default: reputation)")
  .option(
    "-p, --base-port <port>",
    "node i gets this + 10 (i - 1) for QUIC, then API and metrics; 0 takes free ones",
    wholeNumber,
    9000,
  )
  .option("--host <address>", "the validators' address", "127.0.0.1")
  .option("--no-hybrid", "ML-DSA-87 alone, without Ed25519 beside it")
  .option("--json", "print JSON")
  .action(async (options) => (await import("./testnet.ts")).testnet(options));

command("keygen", "make a node's key file (ML-DSA-87 and Ed25519)", [
  "keygen --output ./keys",
  "PASSPHRASE='...' cretoai-node keygen --output ./keys --passphrase-env PASSPHRASE --json",
])
  .requiredOption("-o, --output <folder>", "where to put node.key.json")
  .option("--public-out <file>", "write its public half there: what others admit it with")
  .option("--passphrase-env <variable>", "encrypt it with the passphrase in this environment variable")
  .option("--no-hybrid", "ML-DSA-87 alone, for a network without the hybrid mode")
  .option("--force", "overwrite a key file: the old identity is lost")
  .option("--json", "print JSON")
  .action(async (options) => (await import("./keygen.ts")).keygen(options));

withTarget("submit", "submit transactions to a node and wait until they are final", [
  "submit 'hello world'",
  "submit --file examples/transactions.txt --config ./net/node-1/node.toml",
  "seq 1 100000 | cretoai-node submit --batch 1000 --no-wait",
  "submit --raw --file document.pdf --json",
  "submit 'seat 14A is mine' --conflict-key flight-77/14A",
])
  .argument("[text]", "one transaction; without it, --file or standard input")
  .option("-f, --file <file>", "a file with one transaction a line")
  .option("--raw", "the whole file or input is one transaction")
  .option(
    "-k, --conflict-key <text>",
    "on avalanche: of all transactions with this key at most one is accepted; may be given again",
    (key: string, before: readonly string[] = []) => [...before, key],
  )
  .option("--wait", "return when they are final", true)
  .option("--no-wait", "return when they are durable at the node, before they are final")
  .option("-b, --batch <count>", "transactions of one request", wholeNumber, 500)
  .action(async (text, options) => (await import("./submit-command.ts")).submit(text, options));

withTarget("status", "where a node stands: view, leader, last sequence", [
  "status --config ./net/node-1/node.toml",
  "status --url http://127.0.0.1:9001 --json | jq .lastSequence",
]).action(async (options) => (await import("./inspect.ts")).inspect("status", options));

withTarget("verify", "prove that a vertex is final without trusting the node that is asked (docs/light-client.md)", [
  "verify 4f0c...e1 --genesis ./net/genesis.json --url http://127.0.0.1:9001",
  "verify --genesis ./net/genesis.json --write-trusted trusted.bin --url http://127.0.0.1:9001",
])
  .argument("[hash]", "the vertex; without it, only the changes of the validator set are followed")
  .option("-g, --genesis <file>", "believe the validators of this genesis file, and those that followed from them")
  .option("-t, --trusted <file>", "believe those that an earlier call wrote")
  .option("-w, --write-trusted <file>", "write the validators that are believed now")
  .action(async (hash, options) => (await import("./verify.ts")).verify(hash, options));

withTarget("health", "whether a node lives and can finalize (exit status 4 if not)", [
  "health --config ./net/node-1/node.toml && echo ready",
]).action(async (options) => (await import("./inspect.ts")).health(options));

// The options that say which node belong to `peers` and hold for all that it can do, wherever they stand.
const peers = withTarget("peers", "a node's peers: what it thinks of each, whom it bans", [
  "peers --config ./net/node-1/node.toml",
  "peers ban node-4 --config ./net/node-1/node.toml",
  "peers unban node-4 --url http://127.0.0.1:9001",
]).configureHelp({ showGlobalOptions: true });

peers
  .command("list", { isDefault: true })
  .description("every peer with its score and state")
  .allowExcessArguments()
  .action(async (_options, self) => {
    refuseWords(self);
    await (await import("./peers.ts")).listPeers(self.optsWithGlobals());
  });

peers
  .command("ban")
  .description("disconnect a peer and refuse it; this node alone does, and a validator stays a validator")
  .argument("<peer>", "a validator's name, a node id, or its first digits")
  .option("-f, --for <time>", "such as 90s, 10m, 2h or 1d (default: until it is lifted)")
  .option("-r, --reason <text>", "kept with the ban")
  .addHelpText("after", "\nExamples:\n  cretoai-node peers ban node-4 --for 10m --reason 'being repaired'")
  .action(async (who, _options, self) => (await import("./peers.ts")).banPeer(who, self.optsWithGlobals()));

peers
  .command("unban")
  .description("end a ban and make the peer's score whole")
  .argument("<peer>", "a validator's name, a node id, or its first digits")
  .action(async (who, _options, self) => (await import("./peers.ts")).unbanPeer(who, self.optsWithGlobals()));

const validators = withTarget("validators", "who is a validator, and the words that change it (docs/validators.md)", [
  "validators --config ./net/node-1/node.toml",
  "validators key --config ./node-5/node.toml > node-5.public.json",
  "validators dismiss node-4 --url http://127.0.0.1:9001",
]).configureHelp({ showGlobalOptions: true });

validators
  .command("list", { isDefault: true })
  .description("every validator with its standing, and what waits for approvals")
  .allowExcessArguments()
  .action(async (_options, self) => {
    refuseWords(self);
    await (await import("./validators.ts")).listValidators(self.optsWithGlobals());
  });

validators
  .command("admit")
  .description("approve that a node becomes a validator; done when a quorum of validators' operators did")
  .requiredOption(
    "-k, --key <file>",
    "its public key: from `validators key` or `keygen --public-out`, or a genesis entry",
  )
  .option("-a, --address <host:port>", "where its QUIC socket is (default: what the file says)")
  .option("-n, --name <name>", "what people call it (default: what the file says)")
  .addHelpText(
    "after",
    "\nExamples:\n  cretoai-node validators admit --key node-5.json --address 10.0.0.5:9000 --name node-5 --config ./net/node-1/node.toml",
  )
  .action(async (_options, self) => (await import("./validators.ts")).admitValidator(self.optsWithGlobals()));

validators
  .command("dismiss")
  .description("approve that a validator loses its place; done when a quorum of validators' operators did")
  .argument("<validator>", "its name, its node id, or the first digits")
  .option("-w, --wait-for-successor", "at the minimum: let it wait for a successor instead of refusing it")
  .action(async (who, _options, self) =>
    (await import("./validators.ts")).dismissValidator(who, self.optsWithGlobals()),
  );

validators
  .command("leave")
  .description("give the place of the node that is asked up; it goes on as an observer")
  .option("-w, --wait-for-successor", "at the minimum: let it wait for a successor instead of refusing it")
  .action(async (_options, self) => (await import("./validators.ts")).leaveValidators(self.optsWithGlobals()));

validators
  .command("key")
  .description("print the public half of a node's key (--config), for those who are to admit it")
  .action(async (_options, self) => (await import("./validators.ts")).printValidatorKey(self.optsWithGlobals()));

command("params", "what Avalanche's parameters are for a network, and what sampling with them promises", [
  "params --nodes 100 --byzantine 20",
  "params --nodes 50 --byzantine 5 --k 20 --alpha 15 --beta 20 --plot params.svg",
  "params --nodes 1000 --json",
])
  .requiredOption("-n, --nodes <count>", "validators")
  .option("-b, --byzantine <count>", "of them Byzantine (default: as many as are tolerated)")
  .option("--k <count>", "how many a poll asks (default: by the size, as are the next two)")
  .option("--alpha <count>", "answers that make a poll a success")
  .option("--alpha-preference <count>", "answers that move a preference")
  .option("--beta <count>", "successes in a row that decide (default: 20)")
  .option("--early-beta <count>", "as many suffice where no rival is known (default: 5)")
  .option("--max-rounds <count>", "polls after which sampling gives up (default: 1000)")
  .option("--plot <file>", "draw the figures by the Byzantine share: .svg")
  .option("--json", "print JSON")
  .action(async (options) => (await import("./params.ts")).params(options));

const ledger = withTarget("ledger", "accounts and transfers, where the network's application is the ledger", [
  "ledger --config ./net/node-1/node.toml",
  "ledger balance node-1/main --config ./net/node-1/node.toml",
  "ledger transfer node-1/main node-2/main 250 --config ./net/node-1/node.toml",
  "ledger approve node-1/main node-2/fees 100 --config ./net/node-1/node.toml",
  "ledger transfer-from node-2/fees node-1/main node-2/main 40 --config ./net/node-2/node.toml",
]).configureHelp({ showGlobalOptions: true });

ledger
  .command("summary", { isDefault: true })
  .description("all units, how many accounts, and the digest that nodes are compared by")
  .option("--local", "from this node's state as it is: quick, may lag")
  .allowExcessArguments()
  .action(async (_options, self) => {
    refuseWords(self);
    await (await import("./ledger.ts")).printLedger(self.optsWithGlobals());
  });

addLedgerCommands(ledger);

const kv = withTarget("kv", "keys and values, where the network's application is the key-value store", [
  "kv put users/ada engineer --config ./net/node-1/node.toml",
  "kv get users/ada --url http://127.0.0.1:8080",
  "kv cas users/ada 17 countess",
  "kv list users/ --limit 10",
  "kv watch users/ --json",
]).configureHelp({ showGlobalOptions: true });

addKvCommands(kv);

const workflow = withTarget("workflow", "runs of steps, where the network's application is that of workflows", [
  "workflow start invoice-17 ./steps.json --wait",
  "workflow list --url http://127.0.0.1:8080",
  "workflow show invoice-17 --watch",
  "workflow output invoice-17 render",
  'workflow cancel invoice-17 "not wanted any more"',
]).configureHelp({ showGlobalOptions: true });

addWorkflowCommands(workflow);

const simulator = command("sim", "run the protocol in a simulated world with faults and liars, one seed a run", [
  "sim --runs 1000",
  "sim --seed 7 --picture run.html --from 1500 --to 2500",
  "sim --nodes 7 --byzantine 2 --attacks equivocate,withhold --json",
  "sim predict",
])
  .option("-n, --nodes <count>", "validators (default: 4)")
  .option("-e, --engine <name>", "the consensus engine (default: pbft)")
  .option("--app <name>", "what the order drives: log, key-value or ledger (default: by the seed)")
  .option("-s, --seed <number>", "the first seed (default: a fresh one, which is printed)")
  .option(
    "-r, --runs <count>",
    "as many seeds, from the first one on (default: 100; 1 with a plan, a picture, a trace)",
  )
  .option("-b, --byzantine <count>", "validators that lie (default: by the seed, as many as are tolerated at most)")
  .option("-a, --attacks <names>", "what they do, with commas between (default: by the seed)")
  .option("-p, --plan <file>", "run this plan instead of one that the seed makes")
  .option("-u, --until <seconds>", "virtual seconds in which faults happen (default: 6)")
  .option("--crypto <mode>", "modelled signatures, or real ones, which are slower (default: modelled)")
  .option("-j, --jobs <count>", "processes that run seeds (default: one a core)")
  .option("-k, --keep <folder>", "where minimised plans of violations are written", "./sim-failures")
  .option("--minimise <seconds>", "real time for making the plan of a violation smaller; 0 keeps it as it is", "60")
  .option("--picture <file>", "draw one run: .svg, or .html to zoom in")
  .option("--trace <file>", "write what happened in one run, a line each")
  .option("--from <ms>", "where picture and trace begin, in virtual milliseconds (default: 0)")
  .option("--to <ms>", "where they end (default: a second later for a picture, the end for a trace)")
  .option("--json", "print JSON, one object a line")
  .action(async (options) => (await import("./sim.ts")).sim(options));

simulator
  .command("avalanche")
  .description("the pure Avalanche engines of a network against liars that see everything, one seed a run")
  .option("-n, --nodes <count>", "validators (default: by the seed, 4 to 10)")
  .option("-s, --seed <number>", "the first seed (default: a fresh one, which is printed)")
  .option("-r, --runs <count>", "as many seeds, from the first one on (default: 100)")
  .option("-b, --byzantine <count>", "validators that lie (default: by the seed, as many as are tolerated at most)")
  .option("--adversary <name>", "what they do: split, tip, double, ... (default: by the seed)")
  .option("--json", "print JSON, one object a line")
  .action(async (_, self: Command) => (await import("./sim-avalanche.ts")).simAvalanche(self.optsWithGlobals()));

simulator
  .command("predict")
  .description(
    "what throughput and latency the cost model expects of networks of several sizes; with --engine pbft or hotstuff, what that engine's own code does",
  )
  .option("-n, --nodes <counts>", "these sizes only, with commas between, such as 4,7,31")
  .option("--costs <file>", "costs measured on this machine (docs/cost-model.md), instead of the reference's")
  // `sim` has options of the same names, which take the words first.
  .action(async (_, self: Command) => (await import("./sim-predict.ts")).simPredict(self.optsWithGlobals()));

simulator
  .command("scale")
  .description("a leaderless network with real engines, each node on a machine that costs what the cost model says")
  .option("-n, --nodes <counts>", "validators, with commas between (default: 4,7,20; 100 takes minutes)")
  .option("--load <vertices>", "vertices a second in the whole network (default: 5200)")
  .option("--beta <count>", "polls in a row that decide (default: the engine's)")
  .option("--early-beta <count>", "polls in a row that decide where no rival is known (default: the engine's)")
  .option("--polls <count>", "polls of a node at a time (default: the engine's)")
  .option("--memory", "what one engine weighs, instead of speed")
  .option("--silent <count>", "with --memory: so many validators are down (default: 0)")
  .option("--costs <file>", "costs measured on this machine (docs/cost-model.md), instead of the reference's")
  .action(async (_, self: Command) => (await import("./sim-scale.ts")).simScale(self.optsWithGlobals()));

function command(name: string, description: string, examples: readonly string[]): Command {
  // Only a line that is more than this command itself names the program on its own.
  const lines = examples.map((line) => (line.startsWith(`${name} `) || line === name ? `cretoai-node ${line}` : line));
  return program
    .command(name)
    .description(description)
    .addHelpText("after", `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

function withTarget(name: string, description: string, examples: readonly string[]): Command {
  return command(name, description, examples)
    .option("-u, --url <url>", "the node's API (default: http://127.0.0.1:8080)")
    .option("-c, --config <file>", "the node's configuration file, instead of --url")
    .option("--json", "print JSON");
}

/** A misspelt command of a group reaches the one that the group does by itself, as a word too many. */
function refuseWords({ args, parent }: Command): void {
  const [word] = args;
  if (word === undefined || parent === null) return;
  const names = parent.commands.map((known) => known.name());
  throw new CommandFailed(
    `${parent.name()} has no command ${JSON.stringify(word)}: give one of ${names.join(", ")}`,
    EXIT.usage,
  );
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
  if (process.env["CRETOAI_DEBUG"] === "1" && error instanceof Error) console.error(error.stack);
  return error instanceof CommandFailed ? error.exitCode : EXIT.failed;
}
