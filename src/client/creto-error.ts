/** The problems that a node answers with (RFC 9457), by the last part of their type. */
export const PROBLEM_CODES = [
  "malformed",
  "payload-empty",
  "malformed-candidate",
  "conflict-keys-refused",
  "malformed-keys",
  "malformed-transfer",
  "malformed-question",
  "foreign-origin",
  "not-owner",
  "not-found",
  "unknown-vertex",
  "unknown-validator",
  "unknown-command",
  "no-application",
  "no-ledger",
  "no-application",
  "no-such-key",
  "method-not-allowed",
  "not-applicable",
  "at-minimum",
  "conflict",
  "transfers-only",
  "commands-only",
  "number-used",
  "number-forgotten",
  "number-ahead",
  "insufficient-balance",
  "insufficient-allowance",
  "allowance-changed",
  "ledger-full",
  "needs-total-order",
  "version-conflict",
  "malformed-question",
  "query-refused",
  "too-old",
  "not-provable",
  "payload-too-large",
  "batch-too-large",
  "unsupported-media-type",
  "overloaded",
  "internal",
  "observer",
  "not-ready",
  "stopping",
  "storage-failed",
  "timeout",
] as const;

/** What this library finds out by itself. */
export const CLIENT_CODES = [
  /** No node took the request: the addresses, the network, or the nodes are the reason. */
  "unreachable",
  /** The request went out, its answer never came, and to repeat it could do it twice. */
  "outcome-unknown",
  /** The caller's signal was aborted. */
  "aborted",
  /** `close()` was called. */
  "closed",
  /** An answer that no node of this version gives. */
  "bad-answer",
  /** A problem of a type that this version of the library does not know. */
  "unknown-problem",
  /** No node proved it: what they showed is forged, of another network, or is no proof. */
  "not-proved",
  /** The node belongs to another network than the one before it. */
  "wrong-network",
  /** This runtime has no WebSocket: give one to `connect`. */
  "no-websocket",
  /** An argument of the caller's. */
  "invalid-argument",
  /** `session.onNumber` failed: the command was not sent. */
  "session-hook-failed",
  /** The workflow application refused: see `WorkflowRefused`. */
  "workflow-refused",
] as const;

export type ProblemCode = (typeof PROBLEM_CODES)[number];
export type CretoErrorCode = ProblemCode | (typeof CLIENT_CODES)[number];

/** A node's RFC 9457 problem document, with the members that only some problems have in `extra`. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly extra: Readonly<Record<string, unknown>>;
}

export interface CretoErrorDetails {
  readonly problem?: ProblemDocument | null;
  readonly node?: string | null;
  readonly retryAfterMs?: number | null;
  readonly mayHaveHappened?: boolean;
  readonly cause?: unknown;
}

/** What another attempt of the same call may well get past. */
const RETRYABLE: readonly CretoErrorCode[] = [
  "overloaded",
  "observer",
  "not-ready",
  "stopping",
  "storage-failed",
  "timeout",
  "unreachable",
  "outcome-unknown",
];

/** The only error that this library throws, or rejects with. */
export class CretoError extends Error {
  override readonly name = "CretoError";
  readonly code: CretoErrorCode;
  /** What the node said; null where no node said anything. */
  readonly problem: ProblemDocument | null;
  /** The address of the node that it is about, where it is about one. */
  readonly node: string | null;
  /** The node asked to be left alone this long, in milliseconds. */
  readonly retryAfterMs: number | null;
  /** A request went out of which nobody can say what became: to repeat it may do it a second time. */
  readonly mayHaveHappened: boolean;

  constructor(code: CretoErrorCode, message: string, details: CretoErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.problem = details.problem ?? null;
    this.node = details.node ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
    this.mayHaveHappened = details.mayHaveHappened ?? false;
  }

  /** Whether the same call may succeed later. See `mayHaveHappened` before a plain submission is repeated. */
  get isRetryable(): boolean {
    return RETRYABLE.includes(this.code);
  }
}

/** The same error, where an attempt before it was sent and never answered. */
export function asUncertain(error: CretoError): CretoError {
  const { code, message, problem, node, retryAfterMs, cause } = error;
  return new CretoError(code, message, { problem, node, retryAfterMs, cause, mayHaveHappened: true });
}

export function codeOfProblem(type: string): CretoErrorCode {
  const last = type.slice(type.lastIndexOf("/") + 1);
  return PROBLEM_CODES.find((code) => code === last) ?? "unknown-problem";
}
