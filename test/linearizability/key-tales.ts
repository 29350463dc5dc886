import type { Operation } from "./history.ts";
import type { KvInput, KvItem, KvOutput, Seen } from "./kv-operations.ts";

type KvOperation = Operation<KvInput, KvOutput>;

export interface Sighting {
  readonly version: number | "untold";
  /** The earliest return of a read that saw it. */
  readonly until: number;
}

/** What the answers say of one key. */
export interface KeyTale {
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
  /** Some read does not say the version of what it saw. */
  isReadUntold: boolean;
  /** Versions of answered writes. */
  readonly answered: Set<number>;
  /** What they found there. */
  readonly previousOf: Map<number, Seen>;
  /** Versions that were read, with their value. */
  readonly valueAt: Map<number, string>;
}

export function valueWrittenBy(input: KvInput): string | null {
  return input.type === "put" ? input.value : input.type === "compare-and-set" ? input.next : null;
}

export function talesOf(history: readonly KvOperation[]): ReadonlyMap<string, KeyTale> {
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
      isReadUntold: false,
      answered: new Set(),
      previousOf: new Map(),
      valueAt: new Map(),
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
  if (output.type === "written" && output.version !== "untold") {
    tale.explained.add(output.version);
    tale.answered.add(output.version);
    tale.previousOf.set(output.version, output.previous);
  }
  const met = output.type === "written" ? output.previous : output.current;
  if (met === "untold") tale.isUntold = true;
  else if (met !== "absent") tale.met.add(met);
}

function noteItem(tale: KeyTale, { value, version }: Omit<KvItem, "key">, returnedAt: number): void {
  const known = tale.values.get(value);
  if (known === undefined || returnedAt < known.until) tale.values.set(value, { version, until: returnedAt });
  if (version === "untold") tale.isReadUntold = true;
  else {
    tale.explained.add(version);
    if (!tale.valueAt.has(version)) tale.valueAt.set(version, value);
  }
}
