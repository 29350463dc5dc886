import type { Operation } from "./history.ts";
import type { KvInput, KvItem, KvOutput } from "./kv-operations.ts";

type KvOperation = Operation<KvInput, KvOutput>;

interface Sighting {
  readonly version: number | "untold";
  /** The earliest return of a read that saw it. */
  readonly until: number;
}

/** What the answers say of one key. */
interface KeyTale {
  readonly values: Map<string, Sighting>;
  /** How many operations would write the value. */
  readonly writers: Map<string, number>;
  /** Versions of answered writes, and those that were read with their value. */
  readonly explained: Set<number>;
  /** Versions that were met otherwise. */
  readonly met: Set<number>;
  /** Values that a compare-and-set wanted to find. */
  readonly wanted: Set<string>;
  /** Some answer does not say what was there before. */
  isUntold: boolean;
}

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

function valueWrittenBy(input: KvInput): string | null {
  return input.type === "put" ? input.value : input.type === "compare-and-set" ? input.next : null;
}

function talesOf(history: readonly KvOperation[]): ReadonlyMap<string, KeyTale> {
  const tales = new Map<string, KeyTale>();
  const taleOf = (key: string): KeyTale => {
    const known = tales.get(key);
    if (known !== undefined) return known;
    const tale: KeyTale = {
      values: new Map(),
      writers: new Map(),
      explained: new Set(),
      met: new Set(),
      wanted: new Set(),
      isUntold: false,
    };
    tales.set(key, tale);
    return tale;
  };
  for (const operation of history) {
    const { input, outcome } = operation;
    if (outcome.type === "failed") continue;
    if (input.type !== "range") noteInput(taleOf(input.key), input);
    if (outcome.type !== "ok") continue;
    const { output } = outcome;
    if (output.type === "items")
      for (const item of output.items) noteItem(taleOf(item.key), item, operation.returnedAt);
    else if (input.type !== "range") noteOutput(taleOf(input.key), output, operation.returnedAt);
  }
  return tales;
}

function noteInput(tale: KeyTale, input: Exclude<KvInput, { type: "range" }>): void {
  const value = valueWrittenBy(input);
  if (value !== null) tale.writers.set(value, (tale.writers.get(value) ?? 0) + 1);
  if (input.type !== "compare-and-set") return;
  if (input.expected.type === "value") tale.wanted.add(input.expected.value);
  if (input.expected.type === "version") tale.met.add(input.expected.version);
}

function noteOutput(tale: KeyTale, output: Exclude<KvOutput, { type: "items" }>, returnedAt: number): void {
  if (output.type === "read") {
    if (output.item !== null) noteItem(tale, output.item, returnedAt);
    return;
  }
  if (output.type === "written" && output.version !== "untold") tale.explained.add(output.version);
  const met = output.type === "written" ? output.previous : output.current;
  if (met === "untold") tale.isUntold = true;
  else if (met !== "absent") tale.met.add(met);
}

function noteItem(tale: KeyTale, { value, version }: Omit<KvItem, "key">, returnedAt: number): void {
  const known = tale.values.get(value);
  if (known === undefined || returnedAt < known.until) tale.values.set(value, { version, until: returnedAt });
  if (version !== "untold") tale.explained.add(version);
}
