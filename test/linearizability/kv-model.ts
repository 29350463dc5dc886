import type { Operation } from "./history.ts";
import { evidenceOf, type KvEvidence, NO_EVIDENCE } from "./kv-evidence.ts";
import { isInRange, type KvInput, type KvOutput } from "./kv-operations.ts";
import {
  type Cell,
  EMPTY,
  expectedIn,
  type KeyEvidence,
  readIn,
  seenIn,
  surelyMatches,
  writtenTo,
} from "./kv-state.ts";
import { describeCell, describeOperation } from "./kv-text.ts";
import type { Model } from "./model.ts";

/** Keys that never were written are absent. In the order of the keys. */
export type KvState = ReadonlyMap<string, Cell>;

type ByKey = Exclude<KvInput, { readonly type: "range" }>;
type Range = Extract<KvInput, { readonly type: "range" }>;

/** The key-value store of `src/replication`, versions included: a key's version is that of its last write, and grows. */
export function kvModel(history: readonly Operation<KvInput, KvOutput>[]): Model<KvState, KvInput, KvOutput> {
  return modelWith(evidenceOf(history));
}

const modelWith = (evidence: KvEvidence): Model<KvState, KvInput, KvOutput> => ({
  initial: new Map(),
  step(state, input, output) {
    if (input.type === "range") return output === null ? null : rangeStep(state, input, output, evidence);
    const known = { evidence, key: input.key };
    const cell = state.get(input.key) ?? EMPTY;
    const after = output === null ? unheardStep(cell, input, known) : heardStep(cell, input, output, known);
    if (after === null || after === cell) return after === null ? null : state;
    return withCell(state, input.key, after);
  },
  keyOf,
  isReadOnly(input, output) {
    return input.type === "get" || input.type === "range" || output?.type === "conflict";
  },
  conflicts(left, right) {
    if (left.type === "range") return right.type !== "range" && isInRange(right.key, left);
    return right.type === "range" ? isInRange(left.key, right) : left.key === right.key;
  },
  overwrites(later, earlier) {
    const isPlain = earlier.type === "put" || earlier.type === "delete";
    return later.type === "put" && isPlain && later.key === earlier.key;
  },
  partition: partitionByKey,
  describe: (operation: Operation<KvInput, KvOutput>) => describeOperation(operation),
  describeState: (state) =>
    state.size === 0 ? "nothing" : [...state].map(([key, cell]) => `${key} = ${describeCell(cell)}`).join(", "),
});

/** Without what a history tells: slower, and the same verdicts. */
export const KV_MODEL: Model<KvState, KvInput, KvOutput> = modelWith(NO_EVIDENCE);

/** Null where it would do nothing: then it need not have happened. */
function unheardStep(cell: Cell, input: ByKey, known: KeyEvidence): Cell | null {
  if (input.type === "get") return null;
  const before = input.type === "compare-and-set" ? expectedIn(cell, input.expected, known) : cell;
  const next = input.type === "put" ? input.value : input.type === "delete" ? null : input.next;
  if (before === null) return null;
  const { evidence, key } = known;
  const isNeeded =
    next === null
      ? before.value !== null && evidence.canBeDeleted(key, before.floor)
      : evidence.canBeMet(key, next, before.floor);
  return isNeeded ? writtenTo(before, next, "untold") : null;
}

function heardStep(cell: Cell, input: ByKey, output: KvOutput, known: KeyEvidence): Cell | null {
  if (input.type === "get") {
    if (output.type !== "read") return null;
    return output.item === null
      ? seenIn(cell, "absent", known)
      : readIn(cell, output.item.value, output.item.version, known);
  }
  if (output.type === "conflict") {
    if (input.type !== "compare-and-set") return null;
    const seen = seenIn(cell, output.current, known);
    return seen === null || surelyMatches(seen, input.expected) ? null : seen;
  }
  if (output.type !== "written") return null;
  const seen = seenIn(cell, output.previous, known);
  if (seen === null) return null;
  if (input.type === "put") return writtenTo(seen, input.value, output.version);
  if (input.type === "delete") return writtenTo(seen, null, output.version);
  const before = expectedIn(seen, input.expected, known);
  return before === null ? null : writtenTo(before, input.next, output.version);
}

function rangeStep(state: KvState, input: Range, output: KvOutput, evidence: KvEvidence): KvState | null {
  if (output.type !== "items") return null;
  const present = [...state].filter(([key, { value }]) => value !== null && isInRange(key, input));
  if (input.reverse) present.reverse();
  if (output.items.length !== Math.min(present.length, input.limit)) return null;
  let result = state;
  for (const [at, item] of output.items.entries()) {
    const [key, cell] = present[at] ?? ["", EMPTY];
    const read = key === item.key ? readIn(cell, item.value, item.version, { evidence, key }) : null;
    if (read === null) return null;
    if (read !== cell) result = withCell(result, key, read);
  }
  return result;
}

function withCell(state: KvState, key: string, cell: Cell): KvState {
  const changed = new Map(state).set(key, cell);
  if (state.has(key)) return changed;
  return new Map([...changed].sort(([left], [right]) => (left < right ? -1 : 1)));
}

const keys = new WeakMap<KvState, string>();

/** States are asked for their key again and again. */
function keyOf(state: KvState): string {
  const known = keys.get(state);
  if (known !== undefined) return known;
  let text = "";
  for (const [key, { value, version, floor }] of state)
    if (value !== null || floor > 0) text += `${JSON.stringify([key, value, version, floor])}\n`;
  keys.set(state, text);
  return text;
}

/** Keys that a range covers belong together, with all ranges that overlap; every other key is a part of its own. */
function partitionByKey(inputs: readonly KvInput[]): (input: KvInput) => string {
  const spans: { from: string; to: string | null }[] = [];
  const ranges = inputs.filter((input) => input.type === "range");
  for (const { from, to } of ranges.toSorted((left, right) => (left.from < right.from ? -1 : 1))) {
    const last = spans.at(-1);
    if (last === undefined || (last.to !== null && last.to <= from)) spans.push({ from, to });
    else if (last.to !== null && (to === null || to > last.to)) last.to = to;
  }
  return (input) => {
    const at = input.type === "range" ? input.from : input.key;
    const span = spans.find((candidate) => isInRange(at, candidate));
    if (span !== undefined) return `${span.from}..${span.to ?? ""}`;
    return input.type === "range" ? `${input.from}..${input.to ?? ""}` : input.key;
  };
}
