/** A broken promise of the protocol: the finding of a run. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly invariant: Invariant;

  constructor(invariant: Invariant, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}

/** What every event is checked against; `docs/fault-matrix.md` says which fault attacks which. */
export const INVARIANTS = [
  "agreement",
  "validity",
  "exactly-once",
  "no-contradiction",
  "durable-before-visible",
  "prefix-consistency",
  "state-equality",
  "lock-respected",
  "view-monotone",
  "watermarks",
  "monotone-time",
  "no-false-blame",
  "no-failure",
  "application-root",
  "application-answer",
  "linearizable-reads",
  "ledger-total",
  "liveness",
] as const;
export type Invariant = (typeof INVARIANTS)[number];

/** The first byte of what a Byzantine validator puts into its own lane. */
export const LIARS_MARK = 0xfb;

/** What a client's payload is known by: each is distinct in its first bytes. */
export function textOf(payload: Uint8Array): string {
  return String.fromCharCode(...payload.subarray(0, 24));
}
