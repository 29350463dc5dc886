/** What the pure Avalanche engines promise, as the checker names it. */
export const DAG_INVARIANTS = [
  /** No two conflicting vertices or bundles accepted by correct members; what one accepted no other rejected. */
  "agreement",
  /** A vertex is accepted after its bundle's place, that after both parents; votes go the same way. */
  "ancestors-first",
  /** A member accepts at most one member of a set in an epoch. */
  "one-accept",
  /** A member commits to what q distinct validators accepted. */
  "certified-commit",
  /** Final is what q distinct validators committed to, the log decided, or f + 1 validators claim. */
  "proved-final",
  /** After a report no vote on the subject's sets until the log has decided. */
  "promise-kept",
  /** A report about a subject carries the certificate that its sender voted upon for a rival of it. */
  "honest-report",
  /** In a later epoch nobody votes before q validators of the one before were heard. */
  "gate",
  /** An accept that neither patience nor the log forced rests on as many polls as sampling asks for. */
  "sampled-accept",
  /** Everything that reached a correct member with its ancestry is decided everywhere, and what is virtuous is accepted. */
  "liveness",
  /** No engine stops with an assertion. */
  "no-failure",
] as const;

export type DagInvariant = (typeof DAG_INVARIANTS)[number];

/** A broken promise; the run ends with it. */
export class DagViolation extends Error {
  override readonly name = "DagViolation";
  readonly code: DagInvariant;

  constructor(code: DagInvariant, message: string) {
    super(message);
    this.code = code;
  }
}
