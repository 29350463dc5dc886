import { createHash, createHmac } from "node:crypto";

/** RFC 9266: the label of TLS 1.3 channel bindings. */
const LABEL = "EXPORTER-Channel-Binding";
const BINDING_BYTES = 32;

/**
 * The channel binding of a TLS 1.3 session from its key-log line `EXPORTER_SECRET <client random> <secret>`: the exporter
 * of RFC 8446 §7.5 with RFC 9266's label and no context. Null for other lines. The secret itself goes nowhere else.
 */
export function channelBinding(keyLogLine: string): Uint8Array | null {
  const [label, , secretHex] = keyLogLine.trim().split(" ");
  if (label !== "EXPORTER_SECRET" || secretHex === undefined) return null;
  const secret = Uint8Array.fromHex(secretHex);
  const algorithm = secret.length === 48 ? "sha384" : "sha256";
  const empty = createHash(algorithm).update("").digest();
  const derived = expandLabel(algorithm, secret, LABEL, empty, empty.length);
  return expandLabel(algorithm, derived, "exporter", empty, BINDING_BYTES);
}

/** HKDF-Expand-Label, RFC 8446 §7.1; one block is enough for what is asked here. */
function expandLabel(
  algorithm: string,
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Uint8Array {
  const name = Buffer.from(`tls13 ${label}`, "ascii");
  const info = Buffer.concat([
    Uint8Array.of(length >> 8, length & 0xff, name.length),
    name,
    Uint8Array.of(context.length),
    context,
    Uint8Array.of(1),
  ]);
  return Uint8Array.from(createHmac(algorithm, secret).update(info).digest().subarray(0, length));
}
