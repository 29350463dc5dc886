import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** Below the range from which systems take the ports of outgoing connections. */
const PORTS_FROM = 12_000;
const PORTS_TO = 32_000;

/** The code blocks of a document, of one language. */
export function blocksOf(document: string, language: string): readonly string[] {
  const blocks = document.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm);
  return [...blocks].filter(([, name]) => name === language).map(([, , text = ""]) => text);
}

/** The first of a hundred ports that are probably free. */
export async function freeBase(): Promise<number> {
  for (;;) {
    const base = PORTS_FROM + 100 * Math.floor((Math.random() * (PORTS_TO - PORTS_FROM)) / 100);
    try {
      await Bun.serve({ hostname: "127.0.0.1", port: base + 1, fetch: () => new Response() }).stop(true);
      return base;
    } catch {
      // Somebody listens there.
    }
  }
}

/** With the ports of the documents, 8100 to 8199, moved to where they are free. */
export function moved(text: string, base: number): string {
  return text.replace(/\b81(\d\d)\b/g, (_, offset: string) => String(base + Number(offset)));
}

/**
 * Prepares a folder in which a reader's commands work as they are written: `cretoai-node`, `npx` and `npm install` are this
 * clone's, and so is what `cretoai/...` imports.
 */
export function prepare(folder: string): void {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const scripts = {
    bun: `exec "${process.execPath}" "$@"`,
    // Descriptor 3 is this process's: a node ends with it, whatever becomes of the shell.
    "cretoai-node": `main="${join(ROOT, "src/cli/main.ts")}"
if [ "$1" = start ]; then exec bun "$main" start --until-input-ends "\${@:2}" <&3; fi
exec bun "$main" "$@"`,
    npx: 'exec "$@"',
    npm: `if [ "$1" = install ]; then exit 0; fi
exec "${Bun.which("npm") ?? "npm"}" "$@"`,
  };
  for (const [name, text] of Object.entries(scripts)) {
    writeFileSync(join(bin, name), `#!/usr/bin/env bash\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const installed = join(folder, "node_modules", "cretoai");
  mkdirSync(installed, { recursive: true });
  const exports = {
    "./client": "./src/client/main.ts",
    "./application": "./src/replication/replicated.ts",
    "./testing": "./src/testing/check-application.ts",
  };
  writeFileSync(join(installed, "package.json"), JSON.stringify({ name: "cretoai", type: "module", exports }));
  symlinkSync(join(ROOT, "src"), join(installed, "src"));
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script to its first failure or its end, and ends what it left in the background. */
export async function runScript(folder: string, script: string): Promise<Ran> {
  const prelude = "set -euo pipefail\nexec 3<&0\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n";
  const env = { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"]}`, NO_COLOR: "1" };
  const child = Bun.spawn(["bash", "-c", prelude + script], {
    cwd: folder,
    env,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, stdout, stderr };
}
