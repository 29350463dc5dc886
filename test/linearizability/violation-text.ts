import type { Violation } from "./checker.ts";
import type { Operation } from "./history.ts";
import type { Model } from "./model.ts";

/** What came long before is told by the states that it led to. */
const EARLIER_TOLD_MAX = 12;
const BAR_CHARACTERS_MAX = 60;

/**
 * A violation for people: what answered what cannot be, what was possible, and the last operations with a bar each from
 * call to return, so that one sees who overlapped whom. `*` marks the culprit, `~` what overlapped it, `>` in a bar what had not
 * returned by then or never answered.
 */
export function violationText<State, Input, Output>(
  model: Model<State, Input, Output>,
  violation: Violation<Input, Output>,
): string {
  const { partition, operations, culprit, states } = violation;
  const overlapping = operations.filter((operation) => operation !== culprit && overlaps(operation, culprit));
  const earlier = operations.filter((operation) => operation !== culprit && !overlaps(operation, culprit));
  const told = [...earlier.slice(-EARLIER_TOLD_MAX), ...overlapping, culprit].sort(
    (left, right) => left.calledAt - right.calledAt,
  );
  const left = operations.length - told.length;
  const bars = barsOf(told, culprit.returnedAt);
  const width = Math.max(...told.map(({ client }) => client.length));
  const lines = told.map((operation, at) => {
    const mark = operation === culprit ? "*" : overlaps(operation, culprit) ? "~" : " ";
    return `${mark} ${operation.client.padEnd(width)}  ${bars[at]}  ${model.describe(operation)}`;
  });
  return [
    `not linearizable: ${JSON.stringify(partition)}, where client ${culprit.client} got the answer of ${model.describe(culprit)}`,
    `no order of these ${operations.length} operations explains it; all before it can be explained, and led to ${states.map((state) => `{${state}}`).join(" or ")}`,
    ...(left > 0 ? [`(${left} earlier operations are not shown)`] : []),
    ...lines,
    "",
  ].join("\n");
}

function overlaps<Input, Output>(operation: Operation<Input, Output>, culprit: Operation<Input, Output>): boolean {
  return endOf(operation) >= culprit.calledAt && operation.calledAt <= culprit.returnedAt;
}

function endOf<Input, Output>({ outcome, returnedAt }: Operation<Input, Output>): number {
  return outcome.type === "ok" ? returnedAt : Number.POSITIVE_INFINITY;
}

/** One column for each call or return, in their order: lengths of time would hide what was short. */
function barsOf<Input, Output>(operations: readonly Operation<Input, Output>[], until: number): readonly string[] {
  const moments = operations.flatMap((operation) => [operation.calledAt, endOf(operation)]).filter((at) => at <= until);
  const order = [...new Set(moments)].sort((left, right) => left - right).slice(-BAR_CHARACTERS_MAX);
  const columns = new Map(order.map((at, column) => [at, column]));
  return operations.map((operation) => {
    const from = columns.get(operation.calledAt);
    const to = columns.get(endOf(operation));
    const isOpen = endOf(operation) > until;
    const last = to ?? (isOpen ? order.length - 1 : 0);
    const bar = from === undefined ? "-".repeat(last) : `|${"-".repeat(Math.max(0, last - from - 1))}`;
    const end = isOpen ? ">" : last === from ? "" : "|";
    return `${" ".repeat(from ?? 0)}${bar}${end}`.padEnd(order.length + 1);
  });
}
