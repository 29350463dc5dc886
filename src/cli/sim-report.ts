import type { Totals } from "../sim/totals.ts";

/** The table at the end of a campaign; `wallMs` is its real time from begin to end. */
export function summaryOf(totals: Totals, wallMs: number): string {
  const { runs, passed, events, checks, ordered, commands, virtualMs, liars, visible, detected, viewChanged } = totals;
  const rows: readonly (readonly [name: string, value: string])[] = [
    ["runs", count(runs)],
    ["passed", count(passed)],
    ["violations", count(runs - passed)],
    ...Object.entries(totals.violations).map(([name, found]): [string, string] => [`  ${name}`, count(found)]),
    ["events", count(events)],
    ["checks", count(checks)],
    ["vertices ordered", count(ordered)],
    ["commands answered", count(commands)],
    ["runs with a view change", count(viewChanged)],
    ["liars", `${count(liars)}, of whom ${count(visible)} lied where it can be seen`],
    ["found out", `${count(detected)} of ${count(visible)}${visible === 0 ? "" : ` (${percent(detected / visible)})`}`],
    ["virtual time", seconds(virtualMs)],
    ["real time", seconds(wallMs)],
    ["speed", `${count(Math.round(speedOf(totals, wallMs)))} events/s`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

/** Events in a second of real time, all processes together. */
export function speedOf({ events }: Totals, wallMs: number): number {
  return wallMs === 0 ? 0 : (events * 1_000) / wallMs;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toLocaleString("en-US", { maximumFractionDigits: 1, minimumFractionDigits: 1 })} s`;
}
