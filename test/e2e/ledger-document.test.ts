import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf, freeBase, moved, prepare, runScript } from "./document-script.ts";

setDefaultTimeout(120_000);

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cretoai-documents-"));
  prepare(folder);
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("docs/ledger.md", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/ledger.md"), "utf8");
  const [commands, programs] = [blocksOf(text, "sh"), blocksOf(text, "ts")];

  test("has no block that is not run here", () => {
    expect([commands.length > 0, programs.length]).toEqual([true, 1]);
    expect(text.match(/^```/gm)).toHaveLength(2 * (commands.length + programs.length));
  });

  test("has commands that work, one after the other, and a program", async () => {
    const base = await freeBase();
    writeFileSync(join(folder, "program.ts"), moved(programs.join("\n"), base));
    const { code, stdout, stderr } = await runScript(folder, `${moved(commands.join("\n"), base)}\nbun program.ts`);
    expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
    for (const line of [
      "units     4000000",
      "applied\tnode-1/main #1\t250 to node-1/savings",
      "approved\tnode-2/fees may move 100 of node-1/main, was 0",
      "100\tnode-2/fees\n",
      "applied\tnode-1/main\t40 to node-2/main\tnode-2/fees may move 60 more",
      "approved\tnode-2/fees may move 0 of node-1/main, was 60",
      "balance      999710",
      "999710\tnode-1/main\n250\tnode-1/savings\n",
      '"items":[{"spender":"node-2/fees","amount":"10"}]',
      '"allowance":"0"',
      // 1,000,000 - 250 - 40 - 5 - 10 over HTTP, and 250 and 40 by the program.
      "false 60n 999405n",
      "node-2/main 1000345n",
    ])
      expect(stdout).toContain(line);
    // More than there is.
    expect([...stdout.matchAll(/\/problems\/([a-z-]+)/g)].map(([, problem]) => problem)).toEqual([
      "insufficient-balance",
    ]);
  });
});
