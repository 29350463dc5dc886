export type TransportErrorCode =
  | "not-connected"
  | "timeout"
  | "refused-by-peer"
  | "too-large"
  | "connection-lost"
  | "cannot-listen"
  | "bad-address"
  | "closed";

/** A question without an answer, or a transport that cannot work; what to do is in the message. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly code: TransportErrorCode;

  constructor(code: TransportErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
