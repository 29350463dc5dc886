import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate for one run of the process; it only carries TLS, peers authenticate by their own keys. */
export interface TlsCredentials {
  readonly key: KeyObject;
  /** PEM, around some 300 bytes of DER: large first flights meet QUIC's anti-amplification limit. */
  readonly certificate: Uint8Array;
}

const DAY_MS = 86_400_000;

/** Covers clocks that differ and processes that run for long. Nobody checks it: identity is proved inside the session. */
const VALID_DAYS = 3650;

/** ecdsa-with-SHA256, RFC 5758 §3.2: 1.2.840.10045.4.3.2. */
const ECDSA_WITH_SHA256 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);

/** commonName, RFC 5280 appendix A: 2.5.4.3. */
const COMMON_NAME = Uint8Array.of(0x06, 0x03, 0x55, 0x04, 0x03);

/**
 * Makes a self-signed P-256 certificate (RFC 5280), by hand: node's TLS takes no ML-DSA certificate, and a certificate
 * on disk would be one more secret to keep.
 */
export function createTlsCredentials(nowMs: number): TlsCredentials {
  const pair = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "der" },
  });
  const key = createPrivateKey({ key: pair.privateKey, format: "der", type: "pkcs8" });
  const name = sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, ascii("cretoai")))));
  const algorithm = sequence(ECDSA_WITH_SHA256);
  const serial = randomBytes(8);
  serial[0] = 0x40 | ((serial[0] ?? 0) & 0x3f);
  const body = sequence(
    der(0xa0, der(0x02, Uint8Array.of(2))),
    der(0x02, serial),
    algorithm,
    name,
    sequence(time(nowMs - DAY_MS), time(nowMs + VALID_DAYS * DAY_MS)),
    name,
    pair.publicKey,
  );
  const signature = sign("sha256", body, key);
  const certificate = sequence(body, algorithm, der(0x03, concat([Uint8Array.of(0), signature])));
  return { key, certificate: pem(certificate) };
}

function pem(content: Uint8Array): Uint8Array {
  const lines =
    Buffer.from(content)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return ascii(`-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`);
}

function time(atMs: number): Uint8Array {
  const text = new Date(atMs).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return der(0x18, ascii(text));
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return der(0x30, concat(parts));
}

/** One value in DER: tag, definite length, content. */
function der(tag: number, content: Uint8Array): Uint8Array {
  const { length } = content;
  const header =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return concat([Uint8Array.from(header), content]);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
