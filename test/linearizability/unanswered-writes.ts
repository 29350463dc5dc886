import type { Operation } from "./history.ts";
import { type KeyTale, type Sighting, talesOf, valueWrittenBy } from "./key-tales.ts";
import type { KvInput, KvOutput } from "./kv-operations.ts";

type KvOperation = Operation<KvInput, KvOutput>;

/**
 * An equivalent history with fewer writes without an answer, each operation with the one that it stands for:
 * - A write whose value nobody else writes, and which was read, did take effect, before that read returned.
 * - A write whose value nobody saw or wanted to find, on a key where every version that anybody met is another write's,
 *   was met by nobody: whatever comes next on the key would have told of it. A history is then explained with it only if
 *   it is explained without it.
 */
export function withoutDoubt(history: readonly KvOperation[]): ReadonlyMap<KvOperation, KvOperation> {
  const tales = talesOf(history);
  const result = new Map<KvOperation, KvOperation>();
  for (const operation of history) {
    const { input, outcome } = operation;
    const value = valueWrittenBy(input);
    const tale = input.type === "range" ? undefined : tales.get(input.key);
    if (outcome.type !== "unknown" || value === null || tale === undefined) result.set(operation, operation);
    else {
      const sighting = tale.values.get(value);
      if (sighting !== undefined && tale.writers.get(value) === 1) result.set(seenBy(operation, sighting), operation);
      else if (sighting !== undefined || !wasMetByNobody(tale, value)) result.set(operation, operation);
    }
  }
  return result;
}

function seenBy(operation: KvOperation, { version, until }: Sighting): KvOperation {
  const output: KvOutput = { type: "written", version, previous: "untold" };
  // Seen before it was called: that read cannot be explained, this write can.
  return { ...operation, outcome: { type: "ok", output }, returnedAt: Math.max(until, operation.calledAt) };
}

function wasMetByNobody(tale: KeyTale, value: string): boolean {
  return !tale.isUntold && !tale.wanted.has(value) && [...tale.met].every((version) => tale.explained.has(version));
}
