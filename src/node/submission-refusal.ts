import { NodeError, type Submission } from "./service.ts";

export interface NodeLimits {
  /** Bytes of one vertex's payload. */
  readonly payloadBytesMax: number;
  /** Vertices of this node's clients that may wait for finality. */
  readonly pendingVerticesMax: number;
  /** Payloads of one submission. */
  readonly submissionVerticesMax: number;
}

/** Payload bytes of this node's clients that may wait for finality; peers hold as much of one creator. */
const PENDING_BYTES_MAX: number = 64 * 1024 * 1024;

/** How long a client that is refused for load should wait. */
const OVERLOAD_RETRY_MS = 500;

/** Why these payloads are not taken in, given what of this node waits for finality already; null where they are. */
export function submissionRefusal(
  payloads: readonly Uint8Array[],
  limits: NodeLimits,
  waiting: { readonly vertices: number; readonly bytes: number },
): NodeError | null {
  if (payloads.length === 0 || payloads.some((payload) => payload.length === 0)) {
    return new NodeError("payload-empty", "a vertex needs a payload of at least one byte");
  }
  if (payloads.length > limits.submissionVerticesMax) {
    const most = limits.submissionVerticesMax;
    return new NodeError(
      "batch-too-large",
      `${payloads.length} payloads in one submission, at most ${most}: send several`,
    );
  }
  const large = payloads.find((payload) => payload.length > limits.payloadBytesMax);
  if (large !== undefined) {
    return new NodeError(
      "payload-too-large",
      `a payload of ${large.length} bytes, at most ${limits.payloadBytesMax} are allowed: store it elsewhere and submit its hash`,
    );
  }
  if (waiting.bytes > PENDING_BYTES_MAX) {
    return new NodeError("overloaded", `${waiting.bytes} bytes of this node wait for finality: try again shortly`, {
      retryAfterMs: OVERLOAD_RETRY_MS,
    });
  }
  if (waiting.vertices + payloads.length <= limits.pendingVerticesMax) return null;
  return new NodeError(
    "overloaded",
    `${waiting.vertices} vertices of this node wait for finality, at most ${limits.pendingVerticesMax} may: try again shortly`,
    { retryAfterMs: OVERLOAD_RETRY_MS },
  );
}

export function refusedSubmission(error: NodeError): Submission {
  const accepted = Promise.reject(error);
  const finalized = Promise.reject(error);
  accepted.catch(() => undefined);
  finalized.catch(() => undefined);
  return { accepted, finalized };
}
