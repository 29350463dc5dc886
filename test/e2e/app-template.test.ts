import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf, freeBase, moved, prepare, runScript } from "./document-script.ts";

const TEMPLATE = join(import.meta.dirname, "../../examples/app-template");
const PATIENCE_MS = 180_000;
setDefaultTimeout(PATIENCE_MS);

const folder = mkdtempSync(join(tmpdir(), "cretoai-template-"));
let base = 0;

/** A copy, as a user makes one. */
beforeAll(async () => {
  cpSync(TEMPLATE, folder, { recursive: true });
  prepare(folder);
  base = await freeBase();
  const file = join(folder, "package.json");
  writeFileSync(file, moved(readFileSync(file, "utf8"), base));
}, PATIENCE_MS);
afterAll(() => rmSync(folder, { recursive: true }));

test("the template, copied out of the repository, passes its test, runs on four nodes, and does what its page says", async () => {
  const text = readFileSync(join(folder, "README.md"), "utf8");
  const [commands = "", ...others] = blocksOf(text, "sh");
  expect(others).toEqual([]);
  const again = commands.trimEnd().split("\n").at(-1)?.replace("ada 5", "bob 5");
  // As a client leaves it that was killed before it had its answer.
  const killed = `sed -i '$ d' client.journal\n${again?.replace("bob 5", "eve 9")}`;
  const { code, stdout, stderr } = await runScript(folder, moved(`${commands}\n${again}\n${killed}`, base));
  expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
  expect(stderr).toContain(" 1 pass");
  const said = stdout.slice(stdout.indexOf("the bid stands"));
  const [, stands = "", best = ""] = /prints `([^`]+)`, and `([^`]+)`/.exec(text) ?? [];
  expect(said.trimEnd().split("\n")).toEqual([
    stands,
    best,
    "refused: ada offers 5",
    best,
    "a bid of 5 for lamp was not known to have arrived: it is sent again",
    "refused: ada offers 5",
    best,
  ]);
});
