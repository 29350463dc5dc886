import { turnIntervalMs } from "../node/outbox.ts";
import { readFileSync } from "node:fs";
import { memoryReport, scaleReport } from "../sim/cost/avalanche-report.ts";
import { SCALE_DEFAULTS, type ScaleQuestion } from "../sim/cost/avalanche-scale.ts";
import { parseCostTable } from "../sim/cost/cost-table.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

const NODES_MAX = 250;
const LOAD_MAX = 1_000_000;

/** A stall of ten seconds; where things are decided the steady state comes sooner. */
const MEMORY_RUN_MS = 10_000;

export interface ScaleWords {
  readonly nodes?: string;
  readonly load?: string;
  readonly costs?: string;
  readonly beta?: string;
  readonly earlyBeta?: string;
  readonly polls?: string;
  readonly memory?: boolean;
  readonly silent?: string;
}

/** Prints what a leaderless network does under a load, each node on a machine of its own (docs/avalanche-scale.md). */
export async function simScale(words: ScaleWords): Promise<void> {
  const sizes = (words.nodes ?? "4,7,20").split(",").map((part) => whole("--nodes", part.trim(), 1, NODES_MAX));
  const question: Omit<ScaleQuestion, "nodes" | "turnMs"> = {
    ...SCALE_DEFAULTS,

    loadPerS: words.load === undefined ? SCALE_DEFAULTS.loadPerS : whole("--load", words.load, 1, LOAD_MAX),
    costs: words.costs === undefined ? SCALE_DEFAULTS.costs : parseCostTable(readFileSync(words.costs, "utf8")),
    params: {
      ...(words.beta === undefined ? {} : { beta: whole("--beta", words.beta, 1, 1_000) }),
      ...(words.earlyBeta === undefined ? {} : { earlyBeta: whole("--early-beta", words.earlyBeta, 1, 1_000) }),
      ...(words.polls === undefined ? {} : { concurrentPolls: whole("--polls", words.polls, 1, 8) }),
    },
  };
  if (words.memory !== true) {
    console.log(scaleReport(sizes, question));
    return;
  }
  for (const nodes of sizes) {
    const silent = words.silent === undefined ? 0 : whole("--silent", words.silent, 0, nodes - 1);
    const run = { untilMs: MEMORY_RUN_MS, silent };
    console.log(await memoryReport({ ...question, nodes, turnMs: turnIntervalMs(nodes) }, run));
  }
}

function whole(name: string, text: string, low: number, high: number): number {
  const value = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= low && value <= high) return value;
  throw usage(`${name} is ${JSON.stringify(text)}, but must be a whole number ${low} to ${high}`);
}

function usage(message: string): CommandFailed {
  return new CommandFailed(message, EXIT.usage);
}
