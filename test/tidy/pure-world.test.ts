import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** What the compiler says of `code` when it stands among the pure layers; the layers themselves are checked with it. */
function complaints(code: string): string {
  const folder = mkdtempSync(join(tmpdir(), "cretoai-pure-"));
  try {
    writeFileSync(join(folder, "sample.mts"), code);
    const pure = ["lib", "codec", "membership", "dag", "consensus", "replication", "peering"];
    const include = ["sample.mts", ...pure.map((name) => join(ROOT, "src", name))];
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ extends: join(ROOT, "tsconfig.pure.json"), include }),
    );
    const tsc = join(ROOT, "node_modules/.bin/tsc");
    return Bun.spawnSync([tsc, "-p", folder]).stdout.toString();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the compiler's view of the pure layers", () => {
  const NAMES = ["setTimeout", "process", "console", "crypto", "fetch", "Bun", "Buffer", "performance", "WebSocket"];

  test("knows no clock, no process, no network and no file", () => {
    const globals = NAMES.map((name, index) => `export const x${index}: unknown = ${name};`);
    const said = complaints([...globals, 'export * as files from "node:fs";'].join("\n"));
    for (const name of [...NAMES, "node:fs"]) expect(said).toContain(`Cannot find name '${name}'`);
  });

  test("accepts what is pure", () => {
    expect(complaints("export const sum = (left: number, right: number): number => left + right;")).not.toContain(
      "sample",
    );
  });
});
