"use strict";
const { spawn } = require("node:child_process");
const { bunPath } = require("./bun-path.cjs");

/** Bun's binary; without one a message and exit status 1 instead of a stack trace. */
function bunPathOrExit() {
  try {
    return bunPath();
  } catch (error) {
    console.error(`cretoai: ${error.message}`);
    process.exit(1);
  }
}

/** There is no event for the end of a parent. */
const PARENT_POLL_MS = 500;

/** Runs Bun in place of this process, as nearly as Node allows: same input and output, signals, exit status. */
function runBun(args) {
  const binary = bunPathOrExit();
  // node:quic says that it is experimental; a user can do nothing about it.
  const child = spawn(binary, args, { stdio: "inherit", env: { ...process.env, NODE_NO_WARNINGS: "1" } });
  // Ctrl-C reaches the child by itself (one process group); the parent only must not go before it.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  // Under npm a signal may end the shell in between and not reach us: who lost its parent ends its child.
  if (process.env.npm_lifecycle_event !== undefined) {
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) child.kill("SIGTERM");
    }, PARENT_POLL_MS).unref();
  }
  child.on("error", (error) => {
    console.error(`cretoai: ${binary} cannot be run: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

module.exports = { bunPathOrExit, runBun };
