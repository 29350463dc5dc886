// Runs what the README tells a user to run, on ports and in a folder of its own, and ends with a count.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const launcher = join(root, "bin", "cretoai-node");
const folder = mkdtempSync(join(tmpdir(), "cretoai-readme-"));
let passed = 0;
let failed = 0;

function check(name, ok, detail = "") {
  if (ok) passed += 1;
  else failed += 1;
  console.log(`${ok ? "ok    " : "FAILED"}  ${name}${ok ? "" : ` ${detail}`}`);
}

function run(args, input = null) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [launcher, ...args], {
      stdio: [input === null ? "ignore" : "pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    if (input !== null) child.stdin.end(input);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Below the range from which systems take the ports of outgoing connections: those in use there would be in the way. */
const PORTS_FROM = 12_000;
const PORTS_TO = 32_000;

/** A base port whose next hundred are probably free: the one asked for is. */
async function freePort() {
  for (;;) {
    const port = PORTS_FROM + 100 * Math.floor((Math.random() * (PORTS_TO - PORTS_FROM)) / 100);
    const isFree = await new Promise((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen(port + 1, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

const base = await freePort();
const data = join(folder, "cluster");
const cluster = spawn(process.execPath, [launcher, "cluster", "--data", data, "--base-port", String(base)], {
  stdio: ["ignore", "pipe", "inherit"],
});
let shown = "";
const settled = new Promise((resolve) => {
  cluster.stdout.on("data", (chunk) => {
    shown += chunk;
    if (shown.includes("runs until Ctrl-C")) resolve();
  });
  cluster.on("close", resolve);
});
const ended = new Promise((resolve) => {
  cluster.on("close", (code) => resolve(code));
});
const limit = setTimeout(() => cluster.kill("SIGTERM"), 120_000);
await settled;
const api = `http://127.0.0.1:${base + 1}`;
const call = async (path, init) => {
  const response = await fetch(api + path, init).catch((error) => ({
    status: 0,
    json: () => ({ error: String(error) }),
  }));
  return { status: response.status, body: await response.json() };
};
const first = await call("/v1/vertices?wait=finalized", { method: "POST", body: "hello" });
check("curl -d hello …?wait=finalized", first.status === 200 && first.body.finalized === true, JSON.stringify(first));
const json = await call("/v1/vertices", {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: '{"payload":"aGVsbG8="}',
});
check(
  "JSON with base64 is accepted",
  json.status === 202 && /^[0-9a-f]{64}$/.test(json.body.hash),
  JSON.stringify(json),
);
const order = await call("/v1/finalized?from=1&limit=10");
check("the total order", order.body.items?.length === 10 && order.body.items[0].sequence === 1);
const status = await call("/v1/status");
check(
  "status",
  status.body.validators === 4 && status.body.quorum === 3 && status.body.peers === 3,
  JSON.stringify(status.body),
);
check("the sample transactions are final", status.body.lastSequence >= 1_000, String(status.body.lastSequence));
const submitted = await run(["submit", "--url", api, "hello again"]);
check("cretoai-node submit", submitted.code === 0, submitted.stderr);
const config = join(data, "node-1", "node.toml");
check("cretoai-node health", (await run(["health", "--config", config])).code === 0);
const net = await run(["testnet", "--validators", "4", "--output", join(folder, "net"), "--base-port", "0"]);
check("cretoai-node testnet", net.code === 0, net.stderr);

const listed = await run(["validators", "--config", config]);
check(
  "cretoai-node validators",
  listed.code === 0 && listed.stdout.includes("quorum 3"),
  listed.stdout + listed.stderr,
);
const key = await run(["validators", "key", "--config", join(folder, "net", "node-1", "node.toml")]);
const keyFile = join(folder, "node-5.json");
writeFileSync(keyFile, key.stdout);
check("cretoai-node validators key", key.code === 0 && key.stdout.includes("node_id"), key.stderr);
const newcomer = ["--key", keyFile, "--address", "127.0.0.1:1", "--name", "node-5"];
const admitted = await run(["validators", "admit", ...newcomer, "--config", config]);
check(
  "cretoai-node validators admit",
  admitted.code === 0 && admitted.stdout.includes("1 of 3"),
  admitted.stdout + admitted.stderr,
);
const peers = await run(["peers", "--config", config]);
check(
  "cretoai-node peers",
  peers.code === 0 && peers.stdout.split(" validator ").length === 4,
  peers.stdout + peers.stderr,
);
const banned = await run(["peers", "ban", "node-4", "--for", "10m", "--config", config]);
check(
  "cretoai-node peers ban",
  banned.code === 0 && banned.stdout.includes("is banned"),
  banned.stdout + banned.stderr,
);
const unbanned = await run(["peers", "unban", "node-4", "--config", config]);
check("cretoai-node peers unban", unbanned.code === 0, unbanned.stdout + unbanned.stderr);
cluster.kill("SIGTERM");
clearTimeout(limit);
check("the cluster stops cleanly", (await ended) === 0 && shown.includes("Stopped."), shown.slice(-300));

const resumed = await run(["cluster", "--data", data, "--no-sample", "--exit-when-done"], "one\ntwo\n");
check(
  "it resumes and takes piped lines",
  resumed.code === 0 && resumed.stdout.includes("Resuming 4"),
  resumed.stdout.slice(-300),
);
const sim = await run(["sim", "--runs", "20", "--seed", "1", "--keep", folder]);
check(
  "cretoai-node sim --runs 20 --seed 1",
  sim.code === 0 && /^passed +20$/m.test(sim.stdout),
  sim.stdout + sim.stderr,
);
const page = join(folder, "run.html");
const drawn = await run(["sim", "--seed", "7", "--picture", page, "--from", "2000", "--to", "3000"]);
check("cretoai-node sim --picture", drawn.code === 0 && existsSync(page), drawn.stdout + drawn.stderr);
const store = spawn(
  process.execPath,
  [
    launcher,
    "cluster",
    "--application",
    "key-value",
    "--data",
    join(folder, "store"),
    "--base-port",
    String(await freePort()),
  ],
  { stdio: ["ignore", "pipe", "inherit"] },
);
const storeEnded = new Promise((resolve) => {
  store.on("close", resolve);
});
let storeShown = "";
const storeUrl = await new Promise((resolve) => {
  store.stdout.on("data", (chunk) => {
    storeShown += chunk;
    const url = /kv put greeting hello --url (\S+)\n/.exec(storeShown)?.[1];
    if (url !== undefined) resolve(url);
  });
  void storeEnded.then(() => resolve(""));
});
const put = await run(["kv", "put", "users/ada", "engineer", "--url", storeUrl]);
check("cretoai-node kv put", put.code === 0, put.stdout + put.stderr);
const got = await run(["kv", "get", "users/ada", "--url", storeUrl]);
check("cretoai-node kv get", got.code === 0 && got.stdout.trim() === "engineer", got.stdout + got.stderr);
store.kill("SIGTERM");
check("a cluster with the key-value store stops cleanly", (await storeEnded) === 0);
check("cretoai-node --help", (await run(["--help"])).code === 0);
rmSync(folder, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
