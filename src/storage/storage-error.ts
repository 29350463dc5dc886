import type { Column } from "../node/ports.ts";

export type StorageErrorCode =
  | "missing"
  | "locked"
  | "foreign"
  | "wrong-network"
  | "unsupported-format"
  | "corrupt"
  | "disk-full"
  | "permission"
  | "io"
  | "scan-too-large"
  | "overloaded"
  | "malformed-batch"
  | "worker-died"
  | "closed";

/** What the operator does next, by code. */
const NEXT_STEPS: Readonly<Record<StorageErrorCode, string>> = {
  missing: "Check the configured storage path, or start once with creation allowed to begin with an empty database.",
  locked: "Another process has this database open. Stop it, or give each node a storage path of its own.",
  foreign:
    "Point the storage path at an empty folder or at a folder that this node created; nothing in it was changed.",
  "wrong-network":
    "Use the genesis file that this database was created with, or another storage path for this network.",
  "unsupported-format": "Start the version of the node that wrote this database, or a newer one.",
  corrupt: "Keep a copy of the folder, then let this node start from an empty one and catch up from its peers.",
  "disk-full": "Free space on this volume, then restart the node: writes stay refused until the database is reopened.",
  permission: "Give the node's user read and write permission on the storage path.",
  io: "Look for disk errors in the system log (dmesg), then restart the node.",
  "scan-too-large": "Ask for fewer rows at a time.",
  overloaded:
    "The disk does not keep up with what the node wants to write. Use a faster disk or lower the load, then restart the node.",
  "malformed-batch": "This is a bug of the node, please report it. Restart the node.",
  "worker-died": "The database thread ended. The log holds the reason. Restart the node.",
  closed: "The database was closed; nothing is to be done when the node is stopping.",
};

export interface StorageErrorDetails {
  readonly path?: string;
  readonly column?: Column;
  readonly cause?: unknown;
}

/** A failure of the disk, the folder or the database; the message ends with the operator's next step. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly code: StorageErrorCode;
  readonly nextStep: string;
  readonly path: string | null;
  readonly column: Column | null;

  constructor(code: StorageErrorCode, message: string, details: StorageErrorDetails = {}) {
    const where = [
      details.column === undefined ? "" : ` in column ${details.column}`,
      details.path === undefined ? "" : ` at ${details.path}`,
    ].join("");
    super(`${message}${where}. ${NEXT_STEPS[code]}`, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.nextStep = NEXT_STEPS[code];
    this.path = details.path ?? null;
    this.column = details.column ?? null;
  }
}

/** The typed form of what RocksDB or the file system threw while we did `action` ("read", "open the database", ...). */
export function toStorageError(error: unknown, action: string, details: StorageErrorDetails): StorageError {
  if (error instanceof StorageError) return error;
  const { code, message } = failureOf(error);
  return new StorageError(classify(code, message), `cannot ${action}: ${message}`, { ...details, cause: error });
}

/** The code and message of anything thrown, in a form that survives the way between two threads. */
export function failureOf(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof Error)) return { code: "", message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return { code, message: error.message };
}

/** RocksDB tells many causes apart only in its text, which quotes the system's `strerror`. */
export function classify(code: string, message: string): StorageErrorCode {
  if (code === "LEVEL_LOCKED") return "locked";
  if (code === "LEVEL_CORRUPTION") return "corrupt";
  if (code === "ENOSPC" || code === "EDQUOT" || /No space left on device|Disk quota exceeded/.test(message))
    return "disk-full";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") return "permission";
  if (/Permission denied|Read-only file system/.test(message)) return "permission";
  if (/Column famil(y|ies) not/.test(message)) return "foreign";
  // A table or manifest that the database lists and the folder no longer has; the second is the first file it looks for.
  if (/CURRENT: does not exist/.test(message)) return "corrupt";
  if (code === "LEVEL_IO_ERROR" && /No such file or directory/.test(message)) return "corrupt";
  return "io";
}
