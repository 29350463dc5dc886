// Prints how long liars that see everything keep a double spend undecided, and remakes the picture of
// docs/avalanche-simulation.md: npm run stall
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runStall } from "../src/sim/avalanche/dag-stall.ts";
import { stallChart } from "../src/sim/avalanche/dag-stall-chart.ts";

const [nodes, byzantine, seed] = [20, 6, 1];
const alone = runStall({ nodes, byzantine, seed, hasFallback: false, untilMs: 9_000 });
const withFallback = runStall({ nodes, byzantine, seed, hasFallback: true, untilMs: 12_000 });
const told = ({ endMs }) => (endMs === null ? "undecided" : `decided after ${(endMs / 1_000).toFixed(2)} s`);
console.log(`${nodes} validators, ${byzantine} lie: sampling alone: ${told(alone)} in 9 virtual seconds`);
console.log(`${nodes} validators, ${byzantine} lie: with votes and log: ${told(withFallback)}`);
const folder = fileURLToPath(new URL("../docs/images", import.meta.url));
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}/avalanche-stall.svg`, stallChart(alone, withFallback, nodes - byzantine));
