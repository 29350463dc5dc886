import type { Operation } from "./history.ts";

/** What the checked object does when nobody else is there: its sequential specification. States are values, never changed. */
export interface Model<State, Input, Output> {
  readonly initial: State;
  /**
   * The state after the operation, or null where it cannot have had this output in this state. With output null (nobody
   * heard it) the state after it took effect; null where it would change nothing, as it need not have happened then.
   */
  step(state: State, input: Input, output: Output | null): State | null;
  /** Equal for equal states only. */
  keyOf(state: State): string;
  /** Whether it changes no state, given this output. Null: nobody heard it. */
  isReadOnly(input: Input, output: Output | null): boolean;
  /** False only where the two commute in every state, outputs included. */
  conflicts(left: Input, right: Input): boolean;
  /** True only where, nobody having heard either's answer, the later alone leads to the same state as both, wherever it can. */
  overwrites(later: Input, earlier: Input): boolean;
  /**
   * Names the independent part of the object that each input belongs to. A history is linearizable if it is so part by
   * part (locality: Herlihy & Wing 1990, theorem 1), and small parts are cheap to check.
   */
  partition(inputs: readonly Input[]): (input: Input) => string;
  /** For people. */
  describe(operation: Operation<Input, Output>): string;
  describeState(state: State): string;
}
