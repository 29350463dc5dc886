import { NodeError, type NodeErrorCode } from "../node/service.ts";

/** An answer that is an error, as RFC 9457 describes it. */
export interface Problem {
  /** Relative to the API's root; `/docs` explains each. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** What was wrong here, and what to do. */
  readonly detail: string;
  readonly retryAfterMs?: number;
  /** More members, as RFC 9457 §3.2 allows. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** Every kind of problem that the API answers with. */
export const PROBLEMS = {
  malformed: { status: 400, title: "The request is malformed" },
  "payload-empty": { status: 400, title: "A payload is empty" },
  "malformed-candidate": { status: 400, title: "This cannot become a validator" },
  "conflict-keys-refused": { status: 400, title: "This network takes no conflict keys" },
  "malformed-keys": { status: 400, title: "The conflict keys are malformed" },
  "malformed-transfer": { status: 400, title: "This cannot be a transfer" },
  "malformed-question": { status: 400, title: "The application cannot read the question" },
  "foreign-origin": { status: 403, title: "A page of another origin may not do this" },
  "not-owner": { status: 403, title: "The account belongs to another node" },
  "not-found": { status: 404, title: "There is nothing here" },
  "unknown-vertex": { status: 404, title: "No such vertex is known here" },
  "unknown-validator": { status: 404, title: "No such validator is known here" },
  "no-ledger": { status: 404, title: "This network runs no ledger" },
  "no-application": { status: 404, title: "This network runs no such application" },
  "unknown-command": { status: 404, title: "No such command is remembered" },
  "no-such-key": { status: 404, title: "There is no such key" },
  "method-not-allowed": { status: 405, title: "This path does not take that method" },
  "not-applicable": { status: 409, title: "The validator set is not such that this could change it" },
  "at-minimum": { status: 409, title: "The network would go below its minimum of validators" },
  conflict: { status: 409, title: "Another vertex won the conflict set" },
  "transfers-only": { status: 409, title: "This network takes transfers only" },
  "commands-only": { status: 409, title: "This network takes commands only" },
  "number-used": { status: 409, title: "Something else has that number" },
  "number-forgotten": { status: 409, title: "The command's number is too old" },
  "number-ahead": { status: 409, title: "Another number comes first" },
  "insufficient-balance": { status: 409, title: "The account has too little" },
  "insufficient-allowance": { status: 409, title: "The spender may move too little" },
  "allowance-changed": { status: 409, title: "The allowance is not what it was expected to be" },
  "ledger-full": { status: 409, title: "The ledger has no room for that" },
  "needs-total-order": { status: 409, title: "This network has no total order" },
  "not-provable": { status: 409, title: "This node has no proof of it" },
  "too-old": { status: 410, title: "What is so old is not kept any more" },
  "version-conflict": { status: 412, title: "The key is not as it was expected to be" },
  "payload-too-large": { status: 413, title: "A payload is too large" },
  "batch-too-large": { status: 413, title: "The batch is too large" },
  "unsupported-media-type": { status: 415, title: "The content type is not supported" },
  "query-refused": { status: 422, title: "The application refuses the question" },
  overloaded: { status: 429, title: "Too many vertices wait for finality" },
  internal: { status: 500, title: "The node failed to answer" },
  observer: { status: 503, title: "This node is an observer" },
  "not-ready": { status: 503, title: "This node cannot finalize now" },
  stopping: { status: 503, title: "This node is stopping" },
  "storage-failed": { status: 503, title: "This node's storage failed" },
  timeout: { status: 504, title: "Not final yet" },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly title: string }>>;

export type ProblemKind = keyof typeof PROBLEMS;

/** Thrown by handlers, answered as a problem document. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  readonly problem: Problem;

  constructor(kind: ProblemKind, detail: string, options: Pick<Problem, "retryAfterMs" | "extra"> = {}) {
    super(detail);
    this.problem = { type: `/problems/${kind}`, ...PROBLEMS[kind], detail, ...options };
  }
}

const KIND_OF: Readonly<Record<NodeErrorCode, ProblemKind>> = {
  overloaded: "overloaded",
  "not-ready": "not-ready",
  "payload-too-large": "payload-too-large",
  "payload-empty": "payload-empty",
  "batch-too-large": "batch-too-large",
  timeout: "timeout",
  stopping: "stopping",
  "storage-failed": "storage-failed",
  observer: "observer",
  "malformed-candidate": "malformed-candidate",
  "unknown-validator": "unknown-validator",
  "not-applicable": "not-applicable",
  "at-minimum": "at-minimum",
  "conflict-keys-refused": "conflict-keys-refused",
  "malformed-keys": "malformed-keys",
  conflict: "conflict",
  "transfers-only": "transfers-only",
  "malformed-transfer": "malformed-transfer",
  "not-owner": "not-owner",
  "number-used": "number-used",
  "insufficient-balance": "insufficient-balance",
  "commands-only": "commands-only",
  "number-forgotten": "number-forgotten",
  "malformed-question": "malformed-question",
  "query-refused": "query-refused",
  "too-old": "too-old",
  "not-provable": "not-provable",
};

/** The problem that an error is; what is not expected says nothing about the inside. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiProblem) return error.problem;
  if (error instanceof NodeError) {
    const retry = error.retryAfterMs === null ? {} : { retryAfterMs: error.retryAfterMs };
    return new ApiProblem(KIND_OF[error.code], error.message, retry).problem;
  }
  return new ApiProblem("internal", "the node could not answer; its log says why").problem;
}

/** The members of the document, without what is a header. */
export function problemBody(problem: Problem, instance: string | null): Readonly<Record<string, unknown>> {
  const { type, title, status, detail, extra } = problem;
  return { type, title, status, detail, ...(instance === null ? {} : { instance }), ...extra };
}

export function problemResponse(problem: Problem, instance: string): Response {
  const headers = new Headers({ "content-type": "application/problem+json" });
  // Whole seconds (RFC 9110 §10.2.3), at least one.
  if (problem.retryAfterMs !== undefined)
    headers.set("retry-after", String(Math.max(1, Math.ceil(problem.retryAfterMs / 1_000))));
  return new Response(JSON.stringify(problemBody(problem, instance)), { status: problem.status, headers });
}
