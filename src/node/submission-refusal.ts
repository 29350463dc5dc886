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

/**
 * Vertices that may wait for finality in a leaderless network as a whole, where every node keeps the open ones of all in memory: about
 * 200 MiB when nothing is decided for long. Each of n nodes takes its n-th part from its clients.
 */
const LEADERLESS_PENDING_MAX = 200_000;

/** How long a client that is refused for load should wait. */
const OVERLOAD_RETRY_MS = 500;

/** What of a node's clients waits for finality. */
export interface WaitingOfNode {
  readonly vertices: number;
  readonly bytes: number;
  /** In a leaderless network how many validators it has; else null. */
  readonly leaderlessSize: number | null;
}

/** Why these payloads are not taken in, given what waits already; null where they are. */
export function submissionRefusal(
  payloads: readonly Uint8Array[],
  limits: NodeLimits,
  waiting: WaitingOfNode,
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
  const share = Math.floor(LEADERLESS_PENDING_MAX / (waiting.leaderlessSize ?? 1));
  const most = waiting.leaderlessSize === null ? limits.pendingVerticesMax : Math.min(limits.pendingVerticesMax, share);
  if (waiting.vertices + payloads.length <= most) return null;
  return new NodeError(
    "overloaded",
    `${waiting.vertices} vertices of this node wait for finality, at most ${most} may: try again shortly`,
    { retryAfterMs: OVERLOAD_RETRY_MS },
  );
}

export function observerError(): NodeError {
  return new NodeError("observer", "this node is an observer, and nobody orders its words: ask a validator");
}

export function refusedSubmission(error: NodeError): Submission {
  const accepted = Promise.reject(error);
  const finalized = Promise.reject(error);
  accepted.catch(() => undefined);
  finalized.catch(() => undefined);
  return { accepted, finalized };
}
