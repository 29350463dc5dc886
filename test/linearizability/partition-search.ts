import type { Limits, Violation } from "./checker.ts";
import { type Configuration, Configurations } from "./configurations.ts";
import type { Operation } from "./history.ts";
import type { Model } from "./model.ts";

const STATES_TOLD_MAX = 5;

type SearchEnd<Input, Output> =
  | { readonly type: "linearizable" }
  | { readonly type: "violation"; readonly found: Omit<Violation<Input, Output>, "partition"> }
  | { readonly type: "undecided"; readonly limit: keyof Limits };

/** An operation that was called and has not returned; one without an answer stays so for ever. */
interface Open<Input, Output> {
  readonly operation: Operation<Input, Output>;
  readonly output: Output | null;
  readonly isReadOnly: boolean;
  /** Its bit: in `done` where it has an answer, in `used` where not. */
  readonly bit: bigint;
  readonly hasAnswer: boolean;
  /** The one before it without an answer that does the same: it goes first, as nobody could tell. 0 where there is none. */
  readonly twinBit: bigint;
}

interface Reached<State, Input, Output> {
  readonly configuration: Configuration<State>;
  /** The operation that led here, where no read has seen what it did. */
  readonly unread: Open<Input, Output> | null;
}

class LimitReached extends Error {
  readonly limit: keyof Limits;

  constructor(limit: keyof Limits) {
    super(limit);
    this.limit = limit;
  }
}

/**
 * Just-in-time linearization (Lowe 2017, "Testing for linearizability", §4; after Wing & Gong 1993): goes through calls
 * and returns in the order of time with the set of all configurations in which the history can be. Only when an
 * operation returns must it have taken effect, so only then configurations are expanded, and only by operations that
 * matter to it. The set is the memory of the search: what two orders of operations lead to is gone on with once. It is
 * empty first at the end of the shortest prefix that is not linearizable.
 */
export class PartitionSearch<State, Input, Output> {
  readonly #model: Model<State, Input, Output>;
  readonly #limits: Limits;
  readonly #open = new Map<Operation<Input, Output>, Open<Input, Output>>();
  readonly #unanswered: Open<Input, Output>[] = [];
  readonly #freeBits: bigint[] = [];
  #bitsMade = 0n;
  #frontier = new Configurations<State>();
  #steps = 0;

  constructor(model: Model<State, Input, Output>, limits: Limits) {
    this.#model = model;
    this.#limits = limits;
    this.#frontier.add({ state: model.initial, key: model.keyOf(model.initial), done: 0n, used: 0n });
  }

  get steps(): number {
    return this.#steps;
  }

  run(operations: readonly Operation<Input, Output>[]): SearchEnd<Input, Output> {
    try {
      const culprit = this.#firstUnexplained(operations);
      if (culprit === null) return { type: "linearizable" };
      const before = operations.filter(({ calledAt }) => calledAt <= culprit.returnedAt);
      return {
        type: "violation",
        found: {
          operations: before.toSorted((left, right) => left.calledAt - right.calledAt),
          culprit,
          states: this.#possibleStates(),
        },
      };
    } catch (error) {
      if (error instanceof LimitReached) return { type: "undecided", limit: error.limit };
      throw error;
    }
  }

  #firstUnexplained(operations: readonly Operation<Input, Output>[]): Operation<Input, Output> | null {
    for (const { operation, isReturn } of eventsOf(operations)) {
      if (!isReturn) {
        this.#call(operation);
        continue;
      }
      const open = this.#open.get(operation);
      if (open === undefined) throw new Error("an operation returns that was not called");
      const next = this.#explain(open);
      if (next.size === 0) return operation;
      this.#frontier = next;
      this.#open.delete(operation);
      this.#freeBits.push(open.bit);
    }
    return null;
  }

  #call(operation: Operation<Input, Output>): void {
    const { input, outcome } = operation;
    if (outcome.type === "ok") {
      const isReadOnly = this.#model.isReadOnly(input, outcome.output);
      const bit = this.#freeBits.pop() ?? 1n << this.#bitsMade++;
      this.#open.set(operation, { operation, output: outcome.output, isReadOnly, bit, hasAnswer: true, twinBit: 0n });
    } else if (!this.#model.isReadOnly(input, null)) {
      // A read that nobody saw the answer of says nothing.
      const bit = 1n << BigInt(this.#unanswered.length);
      const name = JSON.stringify(input);
      const twinBit = this.#unanswered.findLast((open) => JSON.stringify(open.operation.input) === name)?.bit ?? 0n;
      this.#unanswered.push({ operation, output: null, isReadOnly: false, bit, hasAnswer: false, twinBit });
    }
  }

  /** The configurations after the return of `target`: those in which it has taken effect. */
  #explain(target: Open<Input, Output>): Configurations<State> {
    const next = new Configurations<State>();
    const seen = new Configurations<State>();
    const candidates = this.#candidatesFor(target);
    const stack: Reached<State, Input, Output>[] = [];
    const reach = (found: Configuration<State>, by: Open<Input, Output> | null): void => {
      const configuration = this.#withReads(found, candidates);
      const wasRead = configuration !== found;
      if (seen.add(configuration)) stack.push({ configuration, unread: wasRead ? null : by });
      if (seen.size + next.size > this.#limits.configurationsMax) throw new LimitReached("configurationsMax");
    };
    for (const configuration of this.#frontier) {
      if ((configuration.done & target.bit) === 0n) reach(configuration, null);
      else next.add({ ...configuration, done: configuration.done ^ target.bit });
    }
    for (let reached = stack.pop(); reached !== undefined; reached = stack.pop()) {
      const { configuration, unread } = reached;
      const after = this.#step(configuration, target);
      if (after !== null) next.add({ ...after, done: after.done ^ target.bit });
      // Where it reads what is there, whatever else may come before it may come after it as well.
      if (after !== null && target.isReadOnly && after.key === configuration.key) continue;
      for (const candidate of candidates) {
        // What nobody read before it was overwritten need not have happened.
        if (unread !== null && this.#isOverwritten(unread, candidate)) continue;
        const found = this.#step(configuration, candidate);
        if (found !== null) reach(found, candidate);
      }
    }
    return next;
  }

  /**
   * The open operations that can matter to this one: those that do not commute with it, or with one that matters. All
   * others can be moved behind its return.
   */
  #candidatesFor(target: Open<Input, Output>): readonly Open<Input, Output>[] {
    const chosen: Open<Input, Output>[] = [target];
    let rest = [...this.#open.values(), ...this.#unanswered].filter((open) => open !== target);
    for (let at = 0; at < chosen.length; at++) {
      const input = chosen[at]?.operation.input as Input;
      const matters = (open: Open<Input, Output>): boolean =>
        // Two reads never matter to each other.
        !(chosen[at]?.isReadOnly === true && open.isReadOnly) && this.#model.conflicts(open.operation.input, input);
      chosen.push(...rest.filter(matters));
      rest = rest.filter((open) => !matters(open));
    }
    return chosen.slice(1);
  }

  #isOverwritten(earlier: Open<Input, Output>, later: Open<Input, Output>): boolean {
    if (earlier.hasAnswer || later.hasAnswer) return false;
    return this.#model.overwrites(later.operation.input, earlier.operation.input);
  }

  /** With all open reads done that read just this state: to do them now hinders nothing that could come later. */
  #withReads(configuration: Configuration<State>, candidates: readonly Open<Input, Output>[]): Configuration<State> {
    let result = configuration;
    for (const candidate of candidates) {
      if (!candidate.isReadOnly) continue;
      const after = this.#step(result, candidate);
      if (after !== null && after.key === result.key) result = after;
    }
    return result;
  }

  #step(configuration: Configuration<State>, open: Open<Input, Output>): Configuration<State> | null {
    const taken = open.hasAnswer ? configuration.done : configuration.used;
    if ((taken & open.bit) !== 0n) return null;
    if ((configuration.used & open.twinBit) !== open.twinBit) return null;
    if (++this.#steps > this.#limits.stepsMax) throw new LimitReached("stepsMax");
    const state = this.#model.step(configuration.state, open.operation.input, open.output);
    if (state === null) return null;
    const { done, used } = configuration;
    const key = this.#model.keyOf(state);
    return open.hasAnswer ? { state, key, done: done | open.bit, used } : { state, key, done, used: used | open.bit };
  }

  #possibleStates(): readonly string[] {
    const told = new Set<string>();
    for (const { state } of this.#frontier) {
      if (told.size === STATES_TOLD_MAX) break;
      told.add(this.#model.describeState(state));
    }
    return [...told];
  }
}

interface Event<Input, Output> {
  readonly at: number;
  readonly isReturn: boolean;
  readonly operation: Operation<Input, Output>;
}

/** Calls before returns of the same moment: a clock that is too coarse must not order what may have overlapped. */
function eventsOf<Input, Output>(operations: readonly Operation<Input, Output>[]): readonly Event<Input, Output>[] {
  const events = operations.flatMap((operation): Event<Input, Output>[] => {
    const call = { at: operation.calledAt, isReturn: false, operation };
    return operation.outcome.type === "ok" ? [call, { at: operation.returnedAt, isReturn: true, operation }] : [call];
  });
  return events.sort((left, right) => left.at - right.at || Number(left.isReturn) - Number(right.isReturn));
}
