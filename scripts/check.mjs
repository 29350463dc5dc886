// `npm run check`: format, lint, types, layers, dead code. One line a step; the output of a step only where it fails.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (name) => join(root, "node_modules", ".bin", process.platform === "win32" ? `${name}.cmd` : name);
const bun = (...args) => [process.execPath, [join(root, "scripts", "bun.cjs"), ...args]];

const STEPS = [
  ["format and lint (Biome)", bin("biome"), ["ci", "--colors=off", "--error-on-warnings", "."]],
  ["types of the pure layers (no clock, no socket, no promise)", bin("tsc"), ["-p", "tsconfig.pure.json"]],
  ["types of everything", bin("tsc"), ["-p", "tsconfig.json"]],
  ["layers and house rules (test/tidy)", ...bun("test", "--timeout", "60000", "./test/tidy")],
  ["dead code (knip)", bin("knip"), ["--no-progress"]],
  ["the lock names every platform", process.execPath, [require.resolve("./complete-lock.mjs"), "--check"]],
];

/** @returns {boolean} whether the step passed */
function run([name, command, args]) {
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined };
  const result = spawnSync(command, args, { cwd: root, env, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const passed = result.status === 0;
  console.log(`${passed ? "ok    " : "FAILED"}  ${name}`);
  if (!passed) console.log(`${result.error?.message ?? ""}${result.stdout ?? ""}${result.stderr ?? ""}`.trimEnd());
  return passed;
}

const failed = STEPS.map(run).filter((passed) => !passed).length;
console.log(`${STEPS.length - failed} passed, ${failed} failed`);
// Not process.exit: it would cut off what a pipe has not taken yet.
process.exitCode = failed === 0 ? 0 : 1;
