import { open, readdir, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Hash, isHash } from "../lib/hash.ts";
import { StorageError, toStorageError } from "./storage-error.ts";

/**
 * The file `FORMAT` says whose database a folder holds. It is written last, after RocksDB has made its files, so a folder
 * with a marker always has a database; and it names RocksDB's own identity, so that the two cannot be mixed up.
 */
interface FormatMarker {
  /** Hash of the genesis: one network's database is never read as another's. */
  readonly network: Hash;
  /** RocksDB's identity of the database. */
  readonly database: string;
}

/**
 * Raised when rows or columns change their meaning. 2: epochs, terms, and certificates that name them. 3: columns of
 * leaderless networks, which a release that does not know them cannot open. 4: votes of others have rows of their own there,
 * which the rows of own votes name; those of format 3 are read, too.
 */
const FORMAT_VERSION = 4;

/** What else this release opens; it becomes the present format by being opened (missing columns are made). */
const FORMAT_VERSION_MIN = 2;

const MARKER_FILE = "FORMAT";
export const DATABASE_FOLDER = "rocksdb";

export type FolderState =
  | { readonly kind: "absent" }
  | { readonly kind: "unmarked" }
  | { readonly kind: "marked"; readonly marker: FormatMarker; readonly isCurrent: boolean };

/**
 * What the folder is: nothing or empty, a database whose creation was cut short, or one of ours.
 * @throws StorageError `foreign`, `unsupported-format`, `permission`, `io`
 */
export async function inspectFolder(path: string): Promise<FolderState> {
  const names = await readdir(path).catch((error: unknown): string[] => {
    if (isMissing(error)) return [];
    throw toStorageError(error, "read the storage folder", { path });
  });
  if (names.includes(MARKER_FILE)) return { kind: "marked", ...(await readMarker(path)) };
  const strange = names.find((name) => name !== DATABASE_FOLDER && name !== `${MARKER_FILE}.tmp`);
  if (strange !== undefined) {
    throw new StorageError("foreign", `the folder holds files that are not ours (${strange})`, { path });
  }
  return names.includes(DATABASE_FOLDER) ? { kind: "unmarked" } : { kind: "absent" };
}

/** Writes the marker so that after a power cut it is there whole or not at all. */
export async function writeMarker(path: string, marker: FormatMarker): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT_VERSION, network: marker.network, database: marker.database })}\n`;
  const temporary = join(path, `${MARKER_FILE}.tmp`);
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(path, MARKER_FILE));
    await syncFolder(path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw toStorageError(error, "write the format marker", { path });
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function readMarker(path: string): Promise<{ readonly marker: FormatMarker; readonly isCurrent: boolean }> {
  const text = await readFile(join(path, MARKER_FILE), "utf8").catch((error: unknown) => {
    throw toStorageError(error, "read the format marker", { path });
  });
  const { format, network, database } = parseFields(text);
  const isReadable = typeof format === "number" && format >= FORMAT_VERSION_MIN && format <= FORMAT_VERSION;
  if (typeof format === "number" && !isReadable) {
    throw new StorageError(
      "unsupported-format",
      `the database has format ${format}, this node reads ${FORMAT_VERSION_MIN} to ${FORMAT_VERSION}`,
      { path },
    );
  }
  if (!isReadable || typeof network !== "string" || !isHash(network) || typeof database !== "string") {
    throw new StorageError("foreign", `the file ${MARKER_FILE} is not one that this node writes`, { path });
  }
  return { marker: { network, database }, isCurrent: format === FORMAT_VERSION };
}

function parseFields(text: string): { format?: unknown; network?: unknown; database?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
