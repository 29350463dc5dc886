import type { Recoverable } from "../node/transfer/recovery.ts";
import { StateTaken } from "../node/transfer/state-taker.ts";
import { executionStateDigest } from "../replication/executor.ts";
import type { Checker } from "./checker.ts";
import type { Plan } from "./plan.ts";
import { Violation } from "./violation.ts";

/**
 * Nodes that end to start again on another state: one that they took over, or an own one from before theirs went wrong. Whether
 * the new state is in effect is seen when the node starts: a crash may have come first.
 */
export class Recoveries {
  readonly #plan: Plan;
  readonly #checker: Checker;
  readonly #underWay = new Map<number, Recoverable>();

  constructor(plan: Plan, checker: Checker) {
    this.#plan = plan;
    this.#checker = checker;
  }

  onRecovery(place: number, recovery: Recoverable): void {
    this.#underWay.set(place, recovery);
    if (recovery instanceof StateTaken || this.isMistaken(place)) return;
    throw new Violation("state-equality", `node ${place}: ${recovery.message}`);
  }

  onStart(place: number, opened: { readonly lastBatch: number; readonly lastSequence: number }): void {
    const recovery = this.#underWay.get(place);
    if (recovery === undefined) return;
    if (recovery instanceof StateTaken) {
      const { execution } = recovery.state;
      if (opened.lastBatch < execution.sequence) return;
      this.#underWay.delete(place);
      if (execution.position > this.#checker.position(place)) this.#checker.onReplaced(place, execution.position);
      this.#checker.onTaken(place, execution.sequence, executionStateDigest(execution));
    } else if (opened.lastBatch < recovery.sequence) {
      this.#underWay.delete(place);
      this.#checker.onReplaced(place, opened.lastSequence);
    }
  }

  /** Whether the plan makes the states of this node wrong for some time. */
  isMistaken(place: number): boolean {
    return this.#plan.faults.some((fault) => fault.kind === "wrong-state" && fault.node === place);
  }
}
