// `npm run check`: format, lint, types, layers, dead code. One line a step; the output of a step only where it fails.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const { bunPath } = require("../bin/bun-path.cjs");
const bin = (name) => join(dirname(require.resolve("../package.json")), "node_modules", ".bin", name);

const STEPS = [
  ["format and lint (Biome)", bin("biome"), ["ci", "--error-on-warnings", "."]],
  ["types of the pure layers (no clock, no socket, no promise)", bin("tsc"), ["-p", "tsconfig.pure.json"]],
  ["types of everything", bin("tsc"), ["-p", "tsconfig.json"]],
  ["layers and house rules (test/tidy)", bunPath(), ["test", "./test/tidy"]],
  ["dead code (knip)", bin("knip"), []],
];

let passed = 0;
for (const [name, command, args] of STEPS) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const ok = status === 0;
  if (ok) passed += 1;
  console.log(`${ok ? "ok    " : "FAILED"}  ${name}`);
  if (!ok) console.log(`${stdout ?? ""}${stderr ?? ""}`);
}
console.log(`${passed} passed, ${STEPS.length - passed} failed`);
process.exit(passed === STEPS.length ? 0 : 1);
