export type ApplicationFlaw =
  /** Something else than CommandRejected came out of `apply`, or anything out of `snapshot`, `restore` or `stateHash`. */
  | "threw"
  /** It asked for a clock, randomness, the network or a timer. */
  | "ambient"
  /** An answer that is no bytes or too many, a hash that is not 32 bytes, a chunk that is too large. */
  | "bad-bytes"
  /** Two instances that had the same commands differ. */
  | "not-deterministic"
  /** A refused command, or a question, changed the state. */
  | "changed-state"
  /** The state changes when the host uses a command's or a chunk's bytes for something else. */
  | "kept-bytes"
  /** Two states have one hash. */
  | "coarse-hash"
  /** A snapshot is read after more commands, and has some of them in it. */
  | "late-snapshot"
  /** A restored application is not what it was. */
  | "bad-restore";

/** What a check found; the message says at which command, and what to do. */
export class ApplicationCheckFailed extends Error {
  override readonly name = "ApplicationCheckFailed";
  readonly code: ApplicationFlaw;

  constructor(code: ApplicationFlaw, message: string, options?: { readonly cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}
