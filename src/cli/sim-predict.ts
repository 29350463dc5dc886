import { readFileSync } from "node:fs";
import { type CostTable, parseCostTable, REFERENCE_COSTS } from "../sim/cost/cost-table.ts";
import { predictMost } from "../sim/cost/predict.ts";
import { costReport } from "../sim/cost/report.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

/** The load of the table: requests of 100 transactions with 200 bytes each, as many as keep the p99 below 500 ms. */
const LOAD = { payloadBytes: 200, verticesPerRequest: 100 };
const P99_MS_MAX = 500;
const NODES_MAX = 1_000;

/** Prints the cost model's whole report, or one table for the sizes that are asked for. */
export function simPredict({ nodes, costs }: { readonly nodes?: string; readonly costs?: string }): void {
  const table = costs === undefined ? REFERENCE_COSTS : readCosts(costs);
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

function sizesOf(text: string): readonly number[] {
  return text.split(",").map((part) => {
    const size = /^\d{1,4}$/.test(part.trim()) ? Number(part) : 0;
    if (size >= 1 && size <= NODES_MAX) return size;
    throw new CommandFailed(
      `--nodes is ${JSON.stringify(part)}, but must be 1 to ${NODES_MAX}, with commas between`,
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
