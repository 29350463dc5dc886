import { z } from "zod";
import type { NodeId, PublicKeys } from "./identity.ts";
import { nodeIdOf } from "./identity.ts";
import { KeyFileError } from "./key-file-error.ts";
import { ED25519_SEED_BYTES, type NodeSeeds } from "./key-pair.ts";
import { type EncryptedSeeds, NONCE_BYTES, SALT_BYTES, SEED_ENCRYPTION, TAG_BYTES } from "./seed-encryption.ts";
import { ED25519_PUBLIC_KEY_BYTES, ML_DSA_87_PUBLIC_KEY_BYTES, ML_DSA_87_SEED_BYTES } from "./signature.ts";

export const KEY_FILE_VERSION = 1;

export type StoredSeeds =
  | { readonly kind: "plain"; readonly seeds: NodeSeeds }
  | { readonly kind: "encrypted"; readonly encrypted: EncryptedSeeds };

/** What a key file says, before anyone has checked that the seeds belong to the public keys. */
export interface KeyFileContent {
  readonly nodeId: NodeId;
  readonly publicKeys: PublicKeys;
  readonly stored: StoredSeeds;
}

const TextShape = z.strictObject({
  version: z.literal(KEY_FILE_VERSION),
  algorithms: z.array(z.string()),
  nodeId: z.string().regex(/^[0-9a-f]{64}$/),
  publicKeys: z.strictObject({ mlDsa: z.string(), ed25519: z.string().nullable() }),
  seeds: z.discriminatedUnion("protection", [
    z.strictObject({ protection: z.literal("none"), mlDsa: z.string(), ed25519: z.string().nullable() }),
    z.strictObject({
      protection: z.literal(SEED_ENCRYPTION),
      salt: z.string(),
      nonce: z.string(),
      ciphertext: z.string(),
    }),
  ]),
});

type Text = z.infer<typeof TextShape>;

export function formatKeyFile(content: KeyFileContent): string {
  const { publicKeys, stored } = content;
  const text: Text = {
    version: KEY_FILE_VERSION,
    algorithms: algorithmsOf(publicKeys),
    nodeId: content.nodeId,
    publicKeys: { mlDsa: publicKeys.mlDsa.toBase64(), ed25519: publicKeys.ed25519?.toBase64() ?? null },
    seeds: stored.kind === "plain" ? formatPlain(stored.seeds) : formatEncrypted(stored.encrypted),
  };
  return `${JSON.stringify(text, null, 2)}\n`;
}

/** @throws KeyFileError `damaged`, `version` or `node-id-mismatch` */
export function parseKeyFile(path: string, json: string): KeyFileContent {
  const text = parseText(path, json);
  const hybrid = text.publicKeys.ed25519 !== null;
  const base64 = (name: string, value: string, size: number): Uint8Array => decodeBase64(path, name, value, size);
  const publicKeys: PublicKeys = {
    mlDsa: base64("publicKeys.mlDsa", text.publicKeys.mlDsa, ML_DSA_87_PUBLIC_KEY_BYTES),
    ed25519:
      text.publicKeys.ed25519 === null
        ? null
        : base64("publicKeys.ed25519", text.publicKeys.ed25519, ED25519_PUBLIC_KEY_BYTES),
  };
  if (text.algorithms.join() !== algorithmsOf(publicKeys).join()) throw damaged(path, "`algorithms` and keys disagree");
  if (nodeIdOf(publicKeys) !== text.nodeId) {
    throw new KeyFileError("node-id-mismatch", path, "`nodeId` is not that of the public keys; restore a backup");
  }
  return { nodeId: text.nodeId as NodeId, publicKeys, stored: parseStored(path, text.seeds, hybrid) };
}

/** The seeds as one string of bytes, the form in which they are encrypted. */
export function packSeeds(seeds: NodeSeeds): Uint8Array {
  const packed = new Uint8Array(ML_DSA_87_SEED_BYTES + (seeds.ed25519Seed?.length ?? 0));
  packed.set(seeds.mlDsaSeed);
  if (seeds.ed25519Seed !== null) packed.set(seeds.ed25519Seed, ML_DSA_87_SEED_BYTES);
  return packed;
}

export function unpackSeeds(packed: Uint8Array, hybrid: boolean): NodeSeeds {
  return {
    mlDsaSeed: packed.slice(0, ML_DSA_87_SEED_BYTES),
    ed25519Seed: hybrid ? packed.slice(ML_DSA_87_SEED_BYTES) : null,
  };
}

/** What the encryption of the seeds also vouches for, so that no file's ciphertext fits into another file. */
export function associatedBytes(nodeId: NodeId): Uint8Array {
  return new TextEncoder().encode(`cretoai/key-file/v${KEY_FILE_VERSION}\0${SEED_ENCRYPTION}\0${nodeId}`);
}

function parseText(path: string, json: string): Text {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw damaged(path, "not JSON", cause);
  }
  const versioned = z.object({ version: z.number() }).safeParse(value);
  if (versioned.success && versioned.data.version !== KEY_FILE_VERSION) {
    const found = versioned.data.version;
    throw new KeyFileError(
      "version",
      path,
      `key file version ${found}, but this program reads version ${KEY_FILE_VERSION}; use the release that wrote it`,
    );
  }
  const text = TextShape.safeParse(value);
  if (!text.success) throw damaged(path, z.prettifyError(text.error), text.error);
  return text.data;
}

function parseStored(path: string, seeds: Text["seeds"], hybrid: boolean): StoredSeeds {
  if (seeds.protection !== "none") {
    const sealedSize = ML_DSA_87_SEED_BYTES + (hybrid ? ED25519_SEED_BYTES : 0) + TAG_BYTES;
    const encrypted = {
      salt: decodeBase64(path, "seeds.salt", seeds.salt, SALT_BYTES),
      nonce: decodeBase64(path, "seeds.nonce", seeds.nonce, NONCE_BYTES),
      ciphertext: decodeBase64(path, "seeds.ciphertext", seeds.ciphertext, sealedSize),
    };
    return { kind: "encrypted", encrypted };
  }
  if ((seeds.ed25519 !== null) !== hybrid) throw damaged(path, "`seeds.ed25519` and `publicKeys.ed25519` disagree");
  const plain: NodeSeeds = {
    mlDsaSeed: decodeBase64(path, "seeds.mlDsa", seeds.mlDsa, ML_DSA_87_SEED_BYTES),
    ed25519Seed: seeds.ed25519 === null ? null : decodeBase64(path, "seeds.ed25519", seeds.ed25519, ED25519_SEED_BYTES),
  };
  return { kind: "plain", seeds: plain };
}

function formatPlain(seeds: NodeSeeds): Text["seeds"] {
  return { protection: "none", mlDsa: seeds.mlDsaSeed.toBase64(), ed25519: seeds.ed25519Seed?.toBase64() ?? null };
}

function formatEncrypted(encrypted: EncryptedSeeds): Text["seeds"] {
  return {
    protection: SEED_ENCRYPTION,
    salt: encrypted.salt.toBase64(),
    nonce: encrypted.nonce.toBase64(),
    ciphertext: encrypted.ciphertext.toBase64(),
  };
}

function algorithmsOf(keys: PublicKeys): string[] {
  return keys.ed25519 === null ? ["ML-DSA-87"] : ["ML-DSA-87", "Ed25519"];
}

function decodeBase64(path: string, name: string, value: string, size: number): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.fromBase64(value, { lastChunkHandling: "strict" });
  } catch (cause) {
    throw damaged(path, `\`${name}\` is not base64`, cause);
  }
  if (bytes.length !== size) throw damaged(path, `\`${name}\` has ${bytes.length} bytes, not ${size}`);
  return bytes;
}

function damaged(path: string, what: string, cause?: unknown): KeyFileError {
  return new KeyFileError("damaged", path, `not a whole key file (${what}); restore it from a backup`, { cause });
}
