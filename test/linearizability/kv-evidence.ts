import type { Operation } from "./history.ts";
import type { KvInput, KvOutput } from "./kv-operations.ts";

/** What a whole history says of versions: enough to tell at once what a write without an answer cannot have been. */
export interface KvEvidence {
  /** Whether a write of this value, whose answer nobody heard, can have had this version. */
  canBe(key: string, version: number, value: string): boolean;
}

/** Nothing is known. */
export const NO_EVIDENCE: KvEvidence = { canBe: () => true };

/**
 * A key has each version once: a version that an answered write got is no other write's, and one that was read with a value is
 * that of a write of this value. It only shortens the search: what it rules out would fail later, as versions grow.
 */
export function evidenceOf(history: readonly Operation<KvInput, KvOutput>[]): KvEvidence {
  const answered = new Set<string>();
  const values = new Map<string, string>();
  for (const { input, outcome } of history) {
    if (outcome.type !== "ok") continue;
    const { output } = outcome;
    if (output.type === "written" && input.type !== "range") answered.add(nameOf(input.key, output.version));
    if (output.type === "read" && output.item !== null && input.type === "get")
      values.set(nameOf(input.key, output.item.version), output.item.value);
    if (output.type === "items")
      for (const { key, value, version } of output.items) values.set(nameOf(key, version), value);
  }
  return {
    canBe: (key, version, value) => {
      const name = nameOf(key, version);
      return !answered.has(name) && (values.get(name) ?? value) === value;
    },
  };
}

function nameOf(key: string, version: number | "untold"): string {
  return `${version} ${key}`;
}
