import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf, freeBase, moved, prepare, runScript } from "./document-script.ts";

const ROOT = join(import.meta.dirname, "../..");
setDefaultTimeout(180_000);

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cretoai-documents-"));
  prepare(folder);
});
afterEach(() => rmSync(folder, { recursive: true }));

const documentOf = (name: string): string => readFileSync(join(ROOT, "docs", name), "utf8");

describe("docs/key-value.md", () => {
  const text = documentOf("key-value.md");
  const blocks = blocksOf(text, "sh");

  test("has no block that is not run here", () => {
    expect(blocks.length).toBeGreaterThan(0);
    expect(text.match(/^```/gm)).toHaveLength(2 * blocks.length);
  });

  test("has commands that work, one after the other", async () => {
    const { code, stdout, stderr } = await runScript(folder, moved(blocks.join("\n"), await freeBase()));
    expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
    for (const line of [
      "written\tusers/ada\tversion 1, was absent",
      "users/ada\tcountess",
      "users/bob\tclerk",
      `"key":"users/grace","value":"${btoa("engineer")}"`,
    ])
      expect(stdout).toContain(line);
    // The write of a key that must not be there yet, and is.
    expect([...stdout.matchAll(/\/problems\/([a-z-]+)/g)].map(([, problem]) => problem)).toEqual(["version-conflict"]);
  });
});

describe("docs/applications.md", () => {
  const text = documentOf("applications.md");

  test("has commands that work, and an example that checks an application", async () => {
    const [commands = "", ...others] = blocksOf(text, "sh");
    const [example = "", ...more] = blocksOf(text, "ts");
    expect([others, more]).toEqual([[], []]);
    symlinkSync(join(ROOT, "examples"), join(folder, "examples"));
    writeFileSync(join(folder, "example.ts"), example);
    const script = `${moved(commands, await freeBase())}\nbun example.ts`;
    const { code, stdout, stderr } = await runScript(folder, script);
    expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
    expect(stdout).toContain(`"result":"${btoa('{"counter":"votes","value":2}')}"`);
    expect(stdout).toContain(`"answer":"${btoa('{"counter":"votes","value":2}')}"`);
    expect(stdout).toContain(" applied, ");
  });
});
