import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";

/**
 * Encryption of a few bytes under a passphrase: scrypt (RFC 7914) gives the key, AES-256-GCM (NIST SP 800-38D) encrypts.
 * The parameters are fixed; a file that wants others is of another version.
 */
export const SEED_ENCRYPTION = "scrypt-131072-8-1-aes-256-gcm";

/** 128 MB and about half a second for every guess (OWASP's first choice for scrypt). */
const SCRYPT_COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 192 * 1024 * 1024 };

export const SALT_BYTES = 16;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

export interface EncryptedSeeds {
  /** 16 bytes, fresh for every file, so that key and nonce never meet twice. */
  readonly salt: Uint8Array;
  /** 12 bytes. */
  readonly nonce: Uint8Array;
  /** As long as the plain text, then 16 bytes of tag. */
  readonly ciphertext: Uint8Array;
}

export async function encryptSeeds(
  plain: Uint8Array,
  passphrase: string,
  associated: Uint8Array,
): Promise<EncryptedSeeds> {
  const salt = new Uint8Array(randomBytes(SALT_BYTES));
  const nonce = new Uint8Array(randomBytes(NONCE_BYTES));
  const key = await deriveKey(passphrase, salt);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(associated);
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  key.fill(0);
  return { salt, nonce, ciphertext: new Uint8Array(ciphertext) };
}

/** The plain text, or null when passphrase, ciphertext or associated bytes are not those of the encryption. */
export async function decryptSeeds(
  encrypted: EncryptedSeeds,
  passphrase: string,
  associated: Uint8Array,
): Promise<Uint8Array | null> {
  const key = await deriveKey(passphrase, encrypted.salt);
  const textSize = encrypted.ciphertext.length - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", key, encrypted.nonce, { authTagLength: TAG_BYTES })
    .setAAD(associated)
    .setAuthTag(encrypted.ciphertext.subarray(textSize));
  try {
    const plain = Buffer.concat([decipher.update(encrypted.ciphertext.subarray(0, textSize)), decipher.final()]);
    return new Uint8Array(plain);
  } catch {
    return null;
  } finally {
    key.fill(0);
  }
}

/** One spelling of the passphrase whatever the keyboard composed (Unicode NFKC). */
function deriveKey(passphrase: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize("NFKC"), salt, 32, SCRYPT_COST, (error, key) => {
      // Bun gives undefined where Node gives null.
      if (error) reject(error);
      else resolve(key);
    });
  });
}
