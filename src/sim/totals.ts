import type { Invariant } from "./violation.ts";
import type { TimedResult } from "./campaign.ts";

/** What a campaign came to. */
export interface Totals {
  readonly runs: number;
  readonly passed: number;
  readonly violations: Readonly<Partial<Record<Invariant, number>>>;
  readonly events: number;
  readonly checks: number;
  /** Vertices in the agreed orders of all runs. */
  readonly ordered: number;
  /** Of clients, with their outcomes. */
  readonly commands: number;
  readonly virtualMs: number;
  /** Real time of all runs, added up over the processes. */
  readonly runMs: number;
  /** Runs in which the view changed at all. */
  readonly viewChanged: number;
  readonly liars: number;
  /** Those who lied where it can be seen. */
  readonly visible: number;
  /** Liars that a correct node found out: an attack that nobody can tell from bad luck is not. */
  readonly detected: number;
}

export const NO_TOTALS: Totals = {
  runs: 0,
  passed: 0,
  violations: {},
  events: 0,
  checks: 0,
  ordered: 0,
  commands: 0,
  virtualMs: 0,
  runMs: 0,
  viewChanged: 0,
  liars: 0,
  visible: 0,
  detected: 0,
};

export function withResult(totals: Totals, result: TimedResult): Totals {
  const { invariant } = result;
  const violations =
    invariant === null
      ? totals.violations
      : { ...totals.violations, [invariant]: (totals.violations[invariant] ?? 0) + 1 };
  return {
    runs: totals.runs + 1,
    passed: totals.passed + (result.verdict === "pass" ? 1 : 0),
    violations,
    events: totals.events + result.events,
    checks: totals.checks + result.checks,
    ordered: totals.ordered + result.ordered,
    commands: totals.commands + result.commands,
    virtualMs: totals.virtualMs + result.virtualMs,
    runMs: totals.runMs + result.wallMs,
    viewChanged: totals.viewChanged + (result.view > 0 ? 1 : 0),
    liars: totals.liars + result.liars,
    visible: totals.visible + result.visible,
    detected: totals.detected + result.detected,
  };
}
