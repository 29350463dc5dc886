export type LightErrorCode =
  /** The bytes are no proof, link or trusted set. */
  | "malformed"
  /** The validators that would have to sign are not the trusted ones: follow the epochs first, or it is another network. */
  | "wrong-epoch"
  /** Fewer than a quorum of distinct validators of the epoch signed. */
  | "no-quorum"
  /** A signature, or the path to it, does not hold: forged, or of another network. */
  | "bad-signature"
  /** It is about another vertex than the one asked for. */
  | "wrong-vertex"
  /** What is signed does not say what the proof is about. */
  | "not-proved";

/** Why something is not proved. Never "probably": whoever gets one knows nothing about the vertex. */
export class LightError extends Error {
  override readonly name = "LightError";
  readonly code: LightErrorCode;

  constructor(code: LightErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
