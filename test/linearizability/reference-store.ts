import { type Expected, isInRange, type KvInput, type KvItem, type KvOutput } from "./kv-operations.ts";

type Value = Omit<KvItem, "key"> & { readonly version: number };
type Snapshot = ReadonlyMap<string, Value>;

/** Older states than that are forgotten: no lag is longer. */
const HISTORY_MAX = 256;

/** The store done plainly, one operation after the other; it shares nothing with the model it is checked by. */
export class ReferenceStore {
  #values: Snapshot = new Map();
  #position = 0;
  readonly #history: Snapshot[] = [new Map()];

  apply(input: KvInput): KvOutput {
    if (input.type === "get" || input.type === "range") return this.readBehind(input, 0);
    this.#position++;
    const before = this.#values.get(input.key);
    if (input.type === "compare-and-set" && !matches(before, input.expected))
      return { type: "conflict", current: before?.version ?? "absent" };
    const next = input.type === "delete" ? null : input.type === "put" ? input.value : input.next;
    const values = new Map(this.#values);
    if (next === null) values.delete(input.key);
    else values.set(input.key, { value: next, version: this.#position });
    this.#keep(values);
    return { type: "written", version: this.#position, previous: before?.version ?? "absent" };
  }

  /** What `apply` would answer, without doing it: a lost update. */
  pretend(input: KvInput): KvOutput {
    const values = this.#values;
    const output = this.apply(input);
    this.#keep(values);
    return output;
  }

  /** A read as of that many writes ago: stale unless 0. */
  readBehind(input: KvInput, writes: number): KvOutput {
    const values = this.#history[Math.max(0, this.#history.length - 1 - writes)] ?? this.#values;
    if (input.type === "get") return { type: "read", item: values.get(input.key) ?? null };
    if (input.type !== "range") throw new Error(`${input.type} is no read`);
    const items = [...values]
      .filter(([key]) => isInRange(key, input))
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, { value, version }]) => ({ key, value, version }));
    return { type: "items", items: (input.reverse ? items.reverse() : items).slice(0, input.limit) };
  }

  #keep(values: Snapshot): void {
    this.#values = values;
    this.#history.push(values);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
  }
}

function matches(value: Value | undefined, expected: Expected): boolean {
  switch (expected.type) {
    case "absent":
      return value === undefined;
    case "version":
      return value?.version === expected.version;
    case "value":
      return value?.value === expected.value;
  }
}
