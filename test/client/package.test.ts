import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { createTestnet } from "../../src/cli/testnet.ts";
import { loadConfig } from "../../src/node/config.ts";
import { filesOf } from "../tidy/modules.ts";
import { run } from "../cli/command.ts";
import { ScriptedNetwork } from "./scripted-network.ts";

const ROOT = join(import.meta.dirname, "../..");
const PATIENCE_MS = 90_000;
setDefaultTimeout(PATIENCE_MS);

const folder = mkdtempSync(join(tmpdir(), "cretoai-package-"));
const installed = join(folder, "node_modules/cretoai");
const nodes: NodeProcess[] = [];

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function command(...args: readonly string[]): Promise<Ran> {
  const env = { ...process.env, NODE_NO_WARNINGS: "1", NODE_OPTIONS: "" };
  const child = Bun.spawn([...args], { cwd: folder, env, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, stdout, stderr };
}

async function succeed(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await command(...args);
  if (code !== 0) throw new Error(`${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** A network of one validator. */
async function startNode(application: string): Promise<NodeProcess> {
  const output = join(folder, application);
  const options = { validators: 1, engine: "pbft", application, output, basePort: 0, host: "127.0.0.1", hybrid: true };
  const [made] = await createTestnet(options);
  if (made === undefined) throw new Error("one node");
  const node = new NodeProcess(loadConfig(made.config));
  nodes.push(node);
  node.start();
  await node.whenReady(60_000);
  return node;
}

beforeAll(async () => {
  await succeed("npm", "pack", ROOT, "--silent", "--pack-destination", folder);
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { readonly version: string };
  mkdirSync(installed, { recursive: true });
  // What an installation brings along for the check of proofs; the rest of it stays away.
  for (const scope of ["@noble", "@napi-rs"])
    symlinkSync(join(ROOT, "node_modules", scope), join(folder, "node_modules", scope));
  await succeed("tar", "-xzf", join(folder, `cretoai-${version}.tgz`), "--strip-components=1", "-C", installed);
}, PATIENCE_MS);

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  rmSync(folder, { recursive: true });
}, PATIENCE_MS);

const USER = `
import { connect, CretoError } from "cretoai/client";
const client = connect({ nodes: [process.argv[2]] });
const events = client.subscribe({ topics: ["finalized"], from: 1 });
await events.ready;
const { sequence } = await client.submit("from a user", { wait: "finalized" });
for await (const { vertex } of events) if (vertex.sequence === sequence) break;
const code = await client.submit("").catch((error) => error instanceof CretoError && error.code);
client.close();
console.log(JSON.stringify({ webSocket: typeof WebSocket, code }));
`;

const SKEPTIC = `
import { connect } from "cretoai/client";
const trusted = Uint8Array.from(atob(process.argv[3]), (character) => character.charCodeAt(0));
const client = connect({ nodes: [process.argv[2]], trusted });
const { hash, sequence } = await client.submit("to be proved", { wait: "finalized" });
const vertex = await client.verified(hash);
client.close();
const text = new TextDecoder().decode(vertex.payload);
console.log(JSON.stringify({ text, isSame: vertex.sequence === sequence, signers: vertex.signers.length }));
`;

describe("the package, installed", () => {
  test("works in plain Node, with and without a WebSocket, and leaves it free to end", async () => {
    const { apiUrl } = await startNode("log");
    writeFileSync(join(folder, "user.mjs"), USER);
    expect(JSON.parse(await succeed("node", "user.mjs", apiUrl))).toMatchObject({ code: "payload-empty" });
    const withSocket = await succeed("node", "--experimental-websocket", "user.mjs", apiUrl);
    expect(JSON.parse(withSocket)).toEqual({ webSocket: "function", code: "payload-empty" });
    const bun = await succeed(process.execPath, "user.mjs", apiUrl);
    expect(JSON.parse(bun)).toEqual({ webSocket: "function", code: "payload-empty" });
  });

  test("checks proofs in plain Node, in Bun, and as it is bundled for a browser", async () => {
    const [{ apiUrl } = await startNode("log")] = nodes;
    const genesis = join(folder, "log", "node-1", "genesis.json");
    const trusted = join(folder, "trusted.bin");
    const { code, stderr } = await run(["verify", "--genesis", genesis, "--write-trusted", trusted, "--url", apiUrl]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    writeFileSync(join(folder, "skeptic.mjs"), SKEPTIC);
    const built = await Bun.build({
      entrypoints: [join(folder, "skeptic.mjs")],
      target: "browser",
    });
    const bundle = (await built.outputs[0]?.text()) ?? "";
    // No native module: it would bring require() along.
    expect(bundle.match(/\brequire\(|\bBun\./)).toBeNull();
    mkdirSync(join(folder, "elsewhere"));
    writeFileSync(join(folder, "elsewhere", "bundle.mjs"), bundle);
    const said = { text: "to be proved", isSame: true, signers: 1 };
    for (const [runtime, file] of [
      ["node", "skeptic.mjs"],
      [process.execPath, "skeptic.mjs"],
      ["node", "elsewhere/bundle.mjs"],
    ] as const) {
      expect(JSON.parse(await succeed(runtime, file, apiUrl, readFileSync(trusted, "base64")))).toEqual(said);
    }
  });

  test("holds its types for every way of resolving modules, and narrows what a caller gets", async () => {
    const text = `import { connect, CretoError } from "cretoai/client";
      const client = connect({ nodes: ["http://a"] });
      export const sequence: Promise<number> = client.submit("x", { wait: "finalized" }).then((done) => done.sequence);
      // @ts-expect-error nobody waited for a sequence
      export const none: Promise<number> = client.submit("x").then((done) => done.sequence);
      for await (const event of client.subscribe({ topics: ["finalized"] })) event.vertex.payload.length;
      for await (const event of client.subscribe({ topics: ["finalized", "rejected"] })) {
        if (event.type === "rejected") console.log(event.vertex.winner);
        // @ts-expect-error it may be an interruption
        event.vertex;
      }
      // @ts-expect-error no such code
      export const isIt = (error: CretoError): boolean => error.code === "no-such-code";
      const outcome = await client.command("x");
      export const result: Uint8Array | string | null = outcome.status === "applied" ? outcome.result : outcome.reason;`;
    writeFileSync(join(folder, "user.mts"), text);
    for (const [module, moduleResolution] of [
      ["nodenext", "nodenext"],
      ["esnext", "bundler"],
    ]) {
      const args = ["--strict", "--exactOptionalPropertyTypes", "--lib", "es2022,dom,dom.iterable", "--types", ""];
      const how = ["--target", "es2022", "--module", `${module}`, "--moduleResolution", `${moduleResolution}`];
      const { stdout } = await command(join(ROOT, "node_modules/.bin/tsc"), "--noEmit", ...args, ...how, "user.mts");
      expect(stdout).toBe("");
    }
  });

  test("has all that the template of an application imports, with types for a strict compiler, and passes its check", async () => {
    const copy = join(folder, "template");
    cpSync(join(ROOT, "examples/app-template"), copy, { recursive: true });
    symlinkSync(join(ROOT, "node_modules/@types"), join(folder, "node_modules/@types"));
    const compiled = await command(join(ROOT, "node_modules/.bin/tsc"), "--project", copy);
    expect(compiled).toEqual({ code: 0, stdout: "", stderr: "" });
    const { code, stderr } = await command(process.execPath, "test", "--cwd", copy);
    expect([code, stderr]).toEqual([0, expect.stringContaining(" 1 pass")]);
  });

  test("is nothing but its own modules to a browser", async () => {
    const built = await Bun.build({ entrypoints: [join(installed, "dist/client/main.js")], target: "browser" });
    const bundle = (await built.outputs[0]?.text()) ?? "";
    expect(bundle.includes("outcome-unknown")).toBe(true);
    expect(bundle.match(/["']node:|\brequire\(|\bprocess\.|\bBuffer\b|\bBun\./)).toBeNull();
    const sources = filesOf("src/client/*.ts").map((file) => file.replace("src", "dist").replace(/ts$/, "js"));
    const shipped = [...new Bun.Glob("dist/client/*.js").scanSync({ cwd: installed })];
    expect(shipped.sort((left, right) => (left < right ? -1 : 1))).toEqual(sources);
  });
});

/** Of nobody: a port that was free a moment ago. */
async function silentAddress(): Promise<string> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  await server.stop(true);
  return `http://127.0.0.1:${server.port}`;
}

/** The examples of the document, each with where it runs. */
const EXAMPLES = [
  ...readFileSync(join(ROOT, "docs/client.md"), "utf8").matchAll(/<!-- example: ([a-z]+) -->\n```ts\n([\s\S]*?)```/g),
].map(([, where = "", code = ""], index) => ({ index, where, code }));

describe("the examples of docs/client.md", () => {
  test("are all marked, and compile", async () => {
    const all = readFileSync(join(ROOT, "docs/client.md"), "utf8").match(/```ts/g) ?? [];
    expect(EXAMPLES).toHaveLength(all.length);
    const files = EXAMPLES.map(({ index, code }) => {
      writeFileSync(join(folder, `example-${index}.mts`), code);
      return `example-${index}.mts`;
    });
    const args = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--types", ""];
    const lib = ["--lib", "es2022,dom,dom.iterable"];
    expect((await command(join(ROOT, "node_modules/.bin/tsc"), ...args, ...lib, ...files)).stdout).toBe("");
  });

  async function runAll(where: string, urls: readonly string[]): Promise<readonly string[]> {
    const outputs: string[] = [];
    const silent = await silentAddress();
    for (const { index, code } of EXAMPLES.filter((example) => example.where === where)) {
      const here = code.replace(/http:\/\/127\.0\.0\.1:808(\d)/g, (_, digit: string) => {
        return urls[Number(digit) - 1] ?? silent;
      });
      const plain = new Bun.Transpiler({ loader: "ts", target: "node" }).transformSync(here);
      writeFileSync(join(folder, `example-${index}.mjs`), plain);
      outputs.push(await succeed("node", "--experimental-websocket", `example-${index}.mjs`));
    }
    return outputs;
  }

  test("run on a network that orders payloads", async () => {
    const [first = await startNode("log")] = nodes;
    const outputs = await runAll("log", [first.apiUrl]);
    expect(outputs[0]).toContain("of the total order");
    expect(outputs[1]).toContain("refused: ");
    expect(outputs[2]).toMatch(/\d+ one\n\d+ two\n\d+ three\n/);
  });

  test("run on a network with an application", async () => {
    const network = new ScriptedNetwork(2);
    const outputs = await runAll("application", await network.start());
    await network.stop();
    expect(outputs[0]).toContain("applied at 1");
    expect(outputs[0]).toContain("linearizable: total");
    expect(outputs[1]).toBe("true\n");
    expect(outputs[2]).toBe("countess\nusers/ada\n");
  });

  test("run on a network with a ledger", async () => {
    const { apiUrl } = await startNode("ledger");
    expect(await runAll("ledger", [apiUrl])).toEqual(["applied 250n\n1000000n\n"]);
  });
});
