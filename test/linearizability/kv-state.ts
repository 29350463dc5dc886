import type { KvEvidence } from "./kv-evidence.ts";
import type { Expected, Seen } from "./kv-operations.ts";

/** What is under one key. */
export interface Cell {
  readonly value: string | null;
  /** Null: it was written by an operation without an answer, and nobody has seen its version yet. */
  readonly version: number | null;
  /** The highest version that this key is known to have had: the next one is higher. */
  readonly floor: number;
}

/** What the history says of the versions of one key. */
export interface KeyEvidence {
  readonly evidence: KvEvidence;
  readonly key: string;
}

export const EMPTY: Cell = { value: null, version: null, floor: 0 };

/** The cell, its version known now if it was not; null where it cannot be what was seen. */
export function seenIn(cell: Cell, seen: Seen, { evidence, key }: KeyEvidence): Cell | null {
  if (seen === "untold") return cell;
  if (seen === "absent") return cell.value === null ? cell : null;
  if (cell.value === null) return null;
  if (cell.version !== null) return cell.version === seen ? cell : null;
  const canBe = seen > cell.floor && evidence.canBe(key, seen, cell.value, cell.floor);
  return canBe ? { value: cell.value, version: seen, floor: seen } : null;
}

/** As `seenIn`, for a value that was read with its version. */
export function readIn(cell: Cell, value: string, version: number | "untold", known: KeyEvidence): Cell | null {
  return cell.value === value ? seenIn(cell, version, known) : null;
}

/** The cell after a write; null where the version cannot be that of a write after all others. */
export function writtenTo(cell: Cell, value: string | null, version: number | "untold"): Cell | null {
  if (version === "untold") return { value, version: null, floor: cell.floor };
  return version > cell.floor ? { value, version: value === null ? null : version, floor: version } : null;
}

/** The cell as it must have been for a compare-and-set to succeed; null where it cannot have. */
export function expectedIn(cell: Cell, expected: Expected, known: KeyEvidence): Cell | null {
  switch (expected.type) {
    case "absent":
      return seenIn(cell, "absent", known);
    case "version":
      return seenIn(cell, expected.version, known);
    case "value":
      return cell.value === expected.value ? cell : null;
  }
}

/** Whether a compare-and-set surely succeeds: then it cannot have answered that it found something else. */
export function surelyMatches(cell: Cell, expected: Expected): boolean {
  switch (expected.type) {
    case "absent":
      return cell.value === null;
    case "version":
      return cell.value !== null && cell.version === expected.version;
    case "value":
      return cell.value === expected.value;
  }
}
