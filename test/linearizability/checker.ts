import type { Operation } from "./history.ts";
import type { Model } from "./model.ts";
import { PartitionSearch } from "./partition-search.ts";

export interface Limits {
  /** Configurations that are held at one time. */
  readonly configurationsMax: number;
  /** Steps of the model in one partition. */
  readonly stepsMax: number;
}

/** Some hundred megabytes, and some seconds for each partition, at most. */
export const LIMITS: Limits = { configurationsMax: 300_000, stepsMax: 5_000_000 };

export interface Violation<Input, Output> {
  readonly partition: string;
  /** The shortest prefix of the partition's history that no order explains: what was called before `culprit` returned. */
  readonly operations: readonly Operation<Input, Output>[];
  /** The operation whose answer cannot be explained any more. */
  readonly culprit: Operation<Input, Output>;
  /** States that were possible before, without the culprit; at most `STATES_TOLD_MAX`. */
  readonly states: readonly string[];
}

export type Verdict<Input, Output> =
  | { readonly type: "linearizable"; readonly partitions: number; readonly steps: number }
  /** The smallest failing partition's, and the names of all that fail. */
  | {
      readonly type: "violation";
      readonly violation: Violation<Input, Output>;
      readonly partitions: readonly string[];
    }
  /** No partition was shown to fail, and these needed more than the limits allow. */
  | {
      readonly type: "undecided";
      readonly partitions: readonly string[];
      readonly limit: keyof Limits;
      readonly message: string;
    };

/**
 * Whether one order of the operations, each at a moment between its call and its return, explains every answer
 * (Herlihy & Wing 1990). @throws RangeError where an operation returned before it was called
 */
export function checkHistory<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  limits: Limits = LIMITS,
): Verdict<Input, Output> {
  const violations: Violation<Input, Output>[] = [];
  const undecided: { readonly partition: string; readonly limit: keyof Limits }[] = [];
  let steps = 0;
  const partitions = partitionsOf(model, history);
  for (const [partition, operations] of partitions) {
    const search = new PartitionSearch(model, limits);
    const end = search.run(operations);
    steps += search.steps;
    if (end.type === "violation") violations.push({ partition, ...end.found });
    if (end.type === "undecided") undecided.push({ partition, limit: end.limit });
  }
  const [smallest] = violations.toSorted((left, right) => left.operations.length - right.operations.length);
  if (smallest !== undefined)
    return { type: "violation", violation: smallest, partitions: violations.map(({ partition }) => partition) };
  const [first] = undecided;
  if (first === undefined) return { type: "linearizable", partitions: partitions.size, steps };
  return {
    type: "undecided",
    partitions: undecided.map(({ partition }) => partition),
    limit: first.limit,
    message: `partition ${JSON.stringify(first.partition)} needs more than ${limits[first.limit]} (${first.limit}): record fewer operations without an answer, fewer clients or more keys, or raise the limit`,
  };
}

function partitionsOf<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): ReadonlyMap<string, readonly Operation<Input, Output>[]> {
  for (const operation of history) {
    if (!(operation.returnedAt >= operation.calledAt))
      throw new RangeError(
        `${model.describe(operation)} of client ${operation.client} returned at ${operation.returnedAt}, before its call at ${operation.calledAt}: record with one monotonic clock`,
      );
  }
  const nameOf = model.partition(history.map(({ input }) => input));
  // What failed had no effect: it says nothing.
  const relevant = history.filter(({ outcome }) => outcome.type !== "failed");
  return Map.groupBy(relevant, ({ input }) => nameOf(input));
}
