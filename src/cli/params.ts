import { statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { faultTolerance } from "../membership/quorum.ts";
import { chartSvg, chartText } from "../sim/sampling/chart.ts";
import { networkFigures, type ParamOverrides, paramsOf } from "../sim/sampling/figures.ts";
import { figuresChart, figuresReport } from "../sim/sampling/figures-report.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

/** The words of `params` as they are typed. */
export interface ParamsWords {
  readonly nodes: string;
  readonly byzantine?: string;
  readonly k?: string;
  readonly alpha?: string;
  readonly alphaPreference?: string;
  readonly beta?: string;
  readonly earlyBeta?: string;
  readonly maxRounds?: string;
  readonly plot?: string;
  readonly json?: boolean;
}

/** Larger networks are no aim of this program (NFR-003), and take the chain seconds. */
const NODES_MAX = 2_000;
const PLOT_COLUMNS = 64;
const PLOT_ROWS = 16;

/** The parameters of each option, for what `paramsOf` says of them. */
const OPTIONS = {
  sampleSize: "--k",
  confidenceThreshold: "--alpha",
  preferenceThreshold: "--alpha-preference",
  beta: "--beta",
  earlyBeta: "--early-beta",
  maxRounds: "--max-rounds",
} as const;

/**
 * Prints what Avalanche's parameters are for a network and what sampling with them promises.
 * @throws CommandFailed with the exit status of wrong usage
 */
export function params(words: ParamsWords): void {
  const nodes = numberOf("--nodes", words.nodes, 1, NODES_MAX);
  const tolerated = faultTolerance(nodes);
  const byzantine =
    words.byzantine === undefined
      ? tolerated
      : numberOf("--byzantine", words.byzantine, 0, nodes - 1, `below --nodes, ${nodes}`);
  const found = paramsOf(nodes, overridesOf(words));
  if (typeof found === "string") throw usage(withOptions(found));
  requirePlot(words.plot);
  const figures = networkFigures(nodes, byzantine, found);
  const chart = words.json === true && words.plot === undefined ? null : figuresChart(figures);
  if (words.plot !== undefined && chart !== null) write(words.plot, chartSvg(chart));
  if (words.json === true) console.log(JSON.stringify(figures, infinite, 2));
  else if (chart !== null) console.log(`${figuresReport(figures)}\n\n${chartText(chart, PLOT_COLUMNS, PLOT_ROWS)}`);
}

/** JSON has no infinity, and null would read as "not known". */
function infinite(_key: string, value: unknown): unknown {
  return value === Number.POSITIVE_INFINITY ? "infinite" : value;
}

function overridesOf({ k, alpha, alphaPreference, beta, earlyBeta, maxRounds }: ParamsWords): ParamOverrides {
  return {
    ...(k === undefined ? {} : { sampleSize: numberOf("--k", k) }),
    ...(alpha === undefined ? {} : { confidenceThreshold: numberOf("--alpha", alpha) }),
    ...(alphaPreference === undefined ? {} : { preferenceThreshold: numberOf("--alpha-preference", alphaPreference) }),
    ...(beta === undefined ? {} : { beta: numberOf("--beta", beta) }),
    ...(earlyBeta === undefined ? {} : { earlyBeta: numberOf("--early-beta", earlyBeta) }),
    ...(maxRounds === undefined ? {} : { maxRounds: numberOf("--max-rounds", maxRounds) }),
  };
}

/** The fault with the option that sets the key it names. */
function withOptions(fault: string): string {
  const key = Object.entries(OPTIONS).find(([name]) => fault.startsWith(name));
  return key === undefined ? fault : `${key[1]}: ${fault}`;
}

function requirePlot(file: string | undefined): void {
  if (file === undefined) return;
  if (!file.endsWith(".svg")) throw usage(`--plot is ${JSON.stringify(file)}, but must end in .svg`);
  if (statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory() !== true)
    throw usage(`--plot ${file} cannot be written: there is no folder ${dirname(file)}`);
}

function write(file: string, content: string): void {
  try {
    writeFileSync(file, content);
  } catch (error) {
    throw new CommandFailed(
      `--plot ${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Ranges that depend on other parameters are left to `paramsOf`. */
function numberOf(name: string, text: string, low = 0, high = 999_999_999, why = ""): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= low && value <= high) return value;
  const range = `a whole number ${low} to ${high}${why === "" ? "" : ` (${why})`}`;
  throw usage(`${name} is ${JSON.stringify(text)}, but must be ${range}`);
}

function usage(message: string): CommandFailed {
  return new CommandFailed(message, EXIT.usage);
}
