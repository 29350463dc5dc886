"use strict";
// Runs Bun with these arguments: `node scripts/bun.cjs bench/main.ts --seconds 5`.
const { runBun } = require("../bin/run-bun.cjs");

runBun(process.argv.slice(2));
