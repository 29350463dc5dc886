import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { loadConfig } from "../../src/node/config.ts";
import { run } from "../cli/command.ts";

const ROOT = join(import.meta.dirname, "../..");
const PATIENCE_MS = 90_000;
setDefaultTimeout(PATIENCE_MS);

const DOCUMENT = readFileSync(join(ROOT, "docs/workflows.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "cretoai-workflows-"));
let nodes: readonly NodeProcess[] = [];

const blocks = (language: string): readonly string[] =>
  [...DOCUMENT.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(([, text = ""]) => text);

/** The document's commands, a line each. */
const LINES = (blocks("sh")[0] ?? "").trim().split("\n");

/** The nodes that the document's first command makes, on ports that are free here. */
beforeAll(async () => {
  const [name, ...args] = (LINES[0] ?? "").split(" ");
  expect(name).toBe("cretoai-node");
  const here = args.map((each, at) => {
    if (args[at - 1] === "--base-port") return "0";
    return each === "./net" ? join(folder, "net") : each;
  });
  const { code, stdout, stderr } = await run(here);
  expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
  nodes = [1, 2, 3, 4].map((index) => new NodeProcess(loadConfig(join(folder, `net/node-${index}/node.toml`))));
  for (const node of nodes) node.start();
  await Promise.all(nodes.map((node) => node.whenReady(60_000)));
  const client = join(folder, "node_modules/cretoai");
  mkdirSync(client, { recursive: true });
  writeFileSync(join(client, "package.json"), '{ "type": "module", "exports": { "./client": "./client/main.ts" } }');
  symlinkSync(join(ROOT, "src/client"), join(client, "client"));
}, PATIENCE_MS);

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  rmSync(folder, { recursive: true });
}, PATIENCE_MS);

/** The addresses that a text names, as they are here. */
function local(text: string): string {
  return text.replace(/http:\/\/127\.0\.0\.1:81(\d)1/g, (_, digit: string) => nodes[Number(digit)]?.apiUrl ?? "");
}

async function ran(code: string, ...args: readonly string[]): Promise<string> {
  const file = join(folder, "example.ts");
  writeFileSync(file, code);
  const child = Bun.spawn([process.execPath, file, ...args], { cwd: folder, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect([await child.exited, stderr]).toEqual([0, ""]);
  return stdout;
}

test("the commands of docs/workflows.md make a network on which the example prints what the document says", async () => {
  const [health = ""] = LINES.filter((line) => line.startsWith("until "));
  const asked = /cretoai-node (health .*?);/.exec(local(health))?.[1] ?? "";
  expect(await run(asked.split(" "))).toMatchObject({ code: 0 });
  const [npx, program, file = "", ...urls] = (LINES.at(-1) ?? "").split(" ");
  expect([npx, program]).toEqual(["npx", "bun"]);
  const printed = await ran(readFileSync(join(ROOT, file), "utf8"), ...urls.map(local));
  const [, wanted] = /The last line prints `(.*?)`/.exec(DOCUMENT) ?? [];
  expect(printed).toBe(`${wanted}\n`);
});

test("the shell commands of docs/workflows.md start a run, show it and cancel it", async () => {
  const launcher = join(folder, "bin");
  mkdirSync(launcher);
  symlinkSync(join(ROOT, "bin/cretoai-node"), join(launcher, "cretoai-node"));
  const env = { ...process.env, PATH: `${launcher}:${process.env["PATH"]}`, NO_COLOR: "1" };
  const script = ["-euo", "pipefail", "-c", local(blocks("sh")[1] ?? "")];
  const child = Bun.spawn(["bash", ...script], { cwd: folder, env, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect([await child.exited, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("started\tinvoice-18\t2 steps\n");
  expect(stdout).toContain("cancelled\tinvoice-18\n");
  expect(stdout).toMatch(/^invoice-18 +cancelled +0\/2 +\S+ +not wanted any more$/m);
});

test("the examples of docs/workflows.md start a run, and do it", async () => {
  const [starting = "", working = "", ...more] = blocks("ts");
  expect(more).toEqual([]);
  expect(await ran(local(starting))).toBe("started\n");
  expect(await ran(local(starting))).toBe("had been started before\n");
  expect(await ran(local(working))).toBe("worked\n");
});
