import { randomBytes } from "node:crypto";
import { link, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { KeyFileError } from "./key-file-error.ts";
import {
  associatedBytes,
  formatKeyFile,
  packSeeds,
  parseKeyFile,
  type StoredSeeds,
  unpackSeeds,
} from "./key-file-format.ts";
import { keyPairFromSeeds, type NodeKeyPair, type NodeSeeds } from "./key-pair.ts";
import { decryptSeeds, encryptSeeds } from "./seed-encryption.ts";

/** A key file has about 4 KB; whatever is much longer is none. */
const FILE_BYTES_MAX = 65_536;

export interface WriteKeyFileOptions {
  /** Encrypts the seeds; without one they lie in the file as they are, guarded by its mode alone. */
  readonly passphrase?: string;
  /** Whether a file of that name may be replaced; by default not, because a lost key is lost for ever. */
  readonly overwrite?: boolean;
}

export interface ReadKeyFileOptions {
  /** Needed when the seeds are encrypted, ignored when they are not. */
  readonly passphrase?: string;
}

/**
 * Writes a node's keys, mode 0600, and makes the folders above it, mode 0700, where they are missing. The file is there
 * whole and on disk, or not at all.
 * @throws KeyFileError `exists`, `passphrase-empty` or `io`
 */
export async function writeKeyFile(
  path: string,
  keyPair: NodeKeyPair,
  options: WriteKeyFileOptions = {},
): Promise<void> {
  const stored = await storedSeedsOf(path, keyPair, options.passphrase);
  const json = formatKeyFile({ nodeId: keyPair.nodeId, publicKeys: keyPair.publicKeys, stored });
  const temporary = `${path}.${randomBytes(8).toString("hex")}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeSynced(temporary, json);
    if (options.overwrite === true) await rename(temporary, path);
    else await linkNew(temporary, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    if (cause instanceof KeyFileError) throw cause;
    const message = `could not be written (${reasonOf(cause)}); check folder and free space`;
    throw new KeyFileError("io", path, message, { cause });
  } finally {
    // A failure to tidy up must not hide why the writing failed.
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** @throws KeyFileError */
export async function readKeyFile(path: string, options: ReadKeyFileOptions = {}): Promise<NodeKeyPair> {
  const content = parseKeyFile(path, await readPrivate(path));
  const hybrid = content.publicKeys.ed25519 !== null;
  const seeds =
    content.stored.kind === "plain"
      ? content.stored.seeds
      : unpackSeeds(await decrypted(path, content.nodeId, content.stored, options.passphrase), hybrid);
  const keyPair = keyPairFromSeeds(seeds);
  if (keyPair.nodeId !== content.nodeId) {
    throw new KeyFileError("node-id-mismatch", path, "the seeds are not those of `nodeId`; restore a backup");
  }
  return keyPair;
}

async function storedSeedsOf(path: string, keyPair: NodeKeyPair, passphrase: string | undefined): Promise<StoredSeeds> {
  const seeds: NodeSeeds = keyPair.seeds;
  if (passphrase === undefined) return { kind: "plain", seeds };
  if (passphrase === "") {
    throw new KeyFileError("passphrase-empty", path, "the passphrase is empty; give one, or none at all");
  }
  const encrypted = await encryptSeeds(packSeeds(seeds), passphrase, associatedBytes(keyPair.nodeId));
  return { kind: "encrypted", encrypted };
}

async function decrypted(
  path: string,
  nodeId: NodeKeyPair["nodeId"],
  stored: Extract<StoredSeeds, { kind: "encrypted" }>,
  passphrase: string | undefined,
): Promise<Uint8Array> {
  if (passphrase === undefined || passphrase === "") {
    throw new KeyFileError("passphrase-required", path, "the seeds are encrypted; give the passphrase");
  }
  const plain = await decryptSeeds(stored.encrypted, passphrase, associatedBytes(nodeId));
  if (plain !== null) return plain;
  const message = "the passphrase is wrong, or the encrypted seeds are damaged; try again, or restore a backup";
  throw new KeyFileError("passphrase-wrong", path, message);
}

/** Looks at the opened file, not at the name, so that nothing can be exchanged between the check and the reading. */
async function readPrivate(path: string): Promise<string> {
  try {
    const file = await open(path, "r");
    try {
      const { mode, size } = await file.stat();
      if ((mode & 0o077) !== 0) {
        const shown = (mode & 0o777).toString(8).padStart(3, "0");
        throw new KeyFileError("permissions", path, `mode ${shown} lets others at the key; run: chmod 600 ${path}`);
      }
      if (size > FILE_BYTES_MAX)
        throw new KeyFileError("damaged", path, `${size} bytes are no key file; check the name`);
      return await file.readFile("utf8");
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw readFailure(path, cause);
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A link fails where the name is taken, a rename would replace it: of two writers at once neither loses a key. */
async function linkNew(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (cause) {
    if (codeOf(cause) !== "EEXIST") throw cause;
    const message = "there is a file already; choose another name, or move it away";
    throw new KeyFileError("exists", path, message, { cause });
  }
}

/** Makes the new name itself durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function readFailure(path: string, cause: unknown): KeyFileError {
  if (cause instanceof KeyFileError) return cause;
  if (codeOf(cause) === "ENOENT") {
    const message = "there is no such key file; check the name, or make one with: cretoai-node keygen";
    return new KeyFileError("not-found", path, message, { cause });
  }
  return new KeyFileError("io", path, `could not be read (${reasonOf(cause)}); check its owner and mode`, { cause });
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && "code" in cause ? cause.code : undefined;
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
