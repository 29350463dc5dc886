import { readFileSync } from "node:fs";
import { type CostTable, parseCostTable, REFERENCE_COSTS } from "../sim/cost/cost-table.ts";
import { predictMost } from "../sim/cost/predict.ts";
import { orderedReport } from "../sim/cost/ordered-report.ts";
import type { OrderedEngine } from "../sim/cost/ordered-scale.ts";
import { costReport } from "../sim/cost/report.ts";
import { HOTSTUFF_OF_NEW_NETWORKS } from "../node/genesis-hotstuff.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

/** The load of the table: requests of 100 transactions with 200 bytes each, as many as keep the p99 below 500 ms. */
const LOAD = { payloadBytes: 200, verticesPerRequest: 100 };
const P99_MS_MAX = 500;
const NODES_MAX = 1_000;

/** With an engine named its real code runs, in virtual time: more takes too long. */
const SIMULATED_NODES_MAX = 150;

/** As many requests under way as in the bench that the model is held against: 8 clients at each of four nodes. */
const SIMULATED = { ...LOAD, requests: 32, warmUpMs: 1_000, measureMs: 1_000 };

const ENGINES: readonly OrderedEngine[] = ["pbft", "hotstuff"];

export interface PredictWords {
  readonly nodes?: string;
  readonly costs?: string;
  readonly engine?: string;
}

/** Prints the cost model's whole report, or one table for the sizes that are asked for; of a named engine, what its code does. */
export function simPredict({ nodes, costs, engine }: PredictWords): void {
  const table = costs === undefined ? REFERENCE_COSTS : readCosts(costs);
  if (engine !== undefined) {
    const hotstuff = HOTSTUFF_OF_NEW_NETWORKS;
    const question = { ...SIMULATED, engine: engineOf(engine), hotstuff, costs: table };
    console.log(orderedReport(sizesOf(nodes ?? "4,7", SIMULATED_NODES_MAX), question));
    return;
  }
  console.log(nodes === undefined ? costReport(table) : sizesReport(sizesOf(nodes), table));
}

function sizesReport(sizes: readonly number[], costs: CostTable): string {
  const rows = sizes.map((nodes) => {
    const found = predictMost({ ...LOAD, nodes, costs }, P99_MS_MAX);
    if (found === null) return [String(nodes), "none: one request alone takes longer", "", "", ""];
    const { throughputPerS, p50Ms, p99Ms, bound } = found;
    return [String(nodes), String(Math.round(throughputPerS)), p50Ms.toFixed(1), p99Ms.toFixed(1), bound];
  });
  const lines = [["nodes", "finalized/s", "p50 ms", "p99 ms", "bound"], ...rows].map(
    ([size = "", ...cells]) => `${size.padStart(6)}${cells.map((cell) => cell.padStart(13)).join("")}`,
  );
  return `As many transactions under way as a p99 of ${P99_MS_MAX} ms allows\n${lines.join("\n")}`;
}

function engineOf(name: string): OrderedEngine {
  const engine = ENGINES.find((known) => known === name);
  if (engine !== undefined) return engine;
  const instead = "one without leaders is measured by: cretoai-node sim scale";
  throw new CommandFailed(
    `--engine is ${JSON.stringify(name)}, but must be ${ENGINES.join(" or ")}; ${instead}`,
    EXIT.usage,
  );
}

function sizesOf(text: string, most = NODES_MAX): readonly number[] {
  return text.split(",").map((part) => {
    const size = /^\d{1,4}$/.test(part.trim()) ? Number(part) : 0;
    if (size >= 1 && size <= most) return size;
    throw new CommandFailed(
      `--nodes is ${JSON.stringify(part)}, but must be 1 to ${most}, with commas between`,
      EXIT.usage,
    );
  });
}

function readCosts(file: string): CostTable {
  try {
    return parseCostTable(readFileSync(file, "utf8"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandFailed(`--costs ${file}: ${reason}`, EXIT.usage);
  }
}
