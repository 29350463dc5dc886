export type KeyFileErrorCode =
  | "exists"
  | "not-found"
  | "permissions"
  | "damaged"
  | "version"
  | "node-id-mismatch"
  | "passphrase-required"
  | "passphrase-wrong"
  | "passphrase-empty"
  | "io";

/** Why a key file was not written or not read; the message says what to do next. */
export class KeyFileError extends Error {
  override readonly name = "KeyFileError";
  readonly code: KeyFileErrorCode;
  readonly path: string;

  constructor(code: KeyFileErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.code = code;
    this.path = path;
  }
}
