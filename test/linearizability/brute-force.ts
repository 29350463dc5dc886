import type { Operation } from "./history.ts";
import type { Model } from "./model.ts";

/** The definition, word for word: tries every order. For a handful of operations, to check the checker by. */
export function isLinearizableByTrying<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): boolean {
  const rest = history.filter(({ outcome }) => outcome.type !== "failed");
  return someOrder(model, model.initial, rest);
}

function someOrder<State, Input, Output>(
  model: Model<State, Input, Output>,
  state: State,
  rest: readonly Operation<Input, Output>[],
): boolean {
  // Whatever has no answer may never take effect.
  if (rest.every(({ outcome }) => outcome.type === "unknown")) return true;
  return rest.some((operation) => {
    const others = rest.filter((other) => other !== operation);
    const hasPredecessor = others.some(
      ({ outcome, returnedAt }) => outcome.type === "ok" && returnedAt < operation.calledAt,
    );
    if (hasPredecessor) return false;
    const output = operation.outcome.type === "ok" ? operation.outcome.output : null;
    const after = model.step(state, operation.input, output);
    return after !== null && someOrder(model, after, others);
  });
}
