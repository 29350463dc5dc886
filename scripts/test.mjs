// `npm test`: runs Bun's tests and closes with one line that counts them. Arguments go to `bun test`.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const { bunPathOrExit } = createRequire(import.meta.url)("../bin/run-bun.cjs");

/** Bun prints its summary on standard error, ` 12 pass`, ` 0 fail` and so on. */
const COUNTS = {
  passed: /^\s*(\d+) pass$/,
  failed: /^\s*(\d+) fail$/,
  skipped: /^\s*(\d+) skip$/,
  errors: /^\s*(\d+) errors?$/,
};
const FINISHED = /^Ran \d+ tests? across/;

const given = process.argv.slice(2);
const args = ["test", "--timeout", "60000", ...(given.length > 0 ? given : ["./src", "./test"])];
const child = spawn(bunPathOrExit(), args, {
  stdio: ["ignore", "inherit", "pipe"],
  env: { ...process.env, NODE_NO_WARNINGS: "1", NO_COLOR: "1" },
});
// Until the summary has been seen, the answer is failure.
process.exitCode = 1;
const seen = { passed: 0, failed: 0, skipped: 0, errors: 0 };
let finished = false;
let rest = "";
child.stderr.setEncoding("utf8");
child.stderr.on("data", (chunk) => {
  process.stderr.write(chunk);
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    for (const [name, pattern] of Object.entries(COUNTS)) {
      const match = pattern.exec(line);
      if (match !== null) seen[name] = Number(match[1]);
    }
    if (FINISHED.test(line)) finished = true;
  }
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => console.error(`npm test: Bun cannot be run: ${error.message}`));
child.on("close", (code) => {
  // Bun counts errors outside of tests among the failures as well.
  // A test that ends the process leaves no summary: that is a failure, whatever the exit status says.
  const failed = Math.max(seen.failed, seen.errors, finished && code === 0 ? 0 : 1);
  const skipped = seen.skipped > 0 ? `, ${seen.skipped} skipped` : "";
  console.log(`${seen.passed} passed, ${failed} failed${skipped}`);
  process.exitCode = failed === 0 ? 0 : 1;
});
