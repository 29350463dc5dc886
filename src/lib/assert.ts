/**
 * Assertions for our own mistakes. A failed assertion is a bug in this program, never a peer's or a user's fault:
 * it stops the node, in production too, because a consensus node that goes on after its invariant broke is worse
 * than one that is down.
 */
export class Bug extends Error {
  override readonly name = "Bug";
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Bug(message);
}

/** The end of an exhaustive `switch`: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new Bug(`unreachable: ${JSON.stringify(value)}`);
}

/** The value, where its absence would be a bug. */
export function present<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new Bug(`missing: ${what}`);
  return value;
}
