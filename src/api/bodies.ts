import type { ClientPayload } from "../node/service.ts";
import { BATCH_PAYLOADS_MAX, BODY_BYTES_MAX } from "./limits.ts";
import { ApiProblem } from "./problem.ts";

const LENGTH_BYTES = 4;

/** RFC 4648 §4 with padding, and nothing else. */
export function base64Bytes(text: unknown, where: string): Uint8Array {
  if (typeof text !== "string") throw new ApiProblem("malformed", `${where} must be a text in base64`);
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch {
    throw new ApiProblem("malformed", `${where} is not base64 (RFC 4648 §4, with padding)`);
  }
}

/** The body, refused as soon as it is known to be too large. */
export async function readBody(request: Request): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > BODY_BYTES_MAX) throw tooLarge();
  if (request.body === null) return new Uint8Array(0);
  if (announced > 0) return await request.bytes();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** One payload: the body itself, or `{"payload": "<base64>"}`, perhaps with `"conflictKeys": ["<base64>", ...]`. */
export async function readPayload(request: Request): Promise<ClientPayload> {
  const body = await readBody(request);
  if (mediaType(request) !== "application/json") return { payload: body, conflictKeys: [] };
  const value = parseJson(body);
  const payload = base64Bytes(objectWith(value, "payload"), "payload");
  const keys: unknown = Reflect.get(value as object, "conflictKeys") ?? [];
  if (!Array.isArray(keys)) throw new ApiProblem("malformed", "conflictKeys must be a list of texts in base64");
  return { payload, conflictKeys: keys.map((key, index) => base64Bytes(key, `conflictKeys[${index}]`)) };
}

/** Many payloads: `{"payloads": ["<base64>", ...]}`, or each behind its u32 little-endian length. */
export async function readPayloads(request: Request): Promise<readonly Uint8Array[]> {
  const type = mediaType(request);
  const body = await readBody(request);
  if (type === "application/octet-stream") return splitPayloads(body);
  if (type !== "application/json") {
    throw new ApiProblem("unsupported-media-type", "a batch is application/json or application/octet-stream");
  }
  const payloads = objectWith(parseJson(body), "payloads");
  if (!Array.isArray(payloads)) throw new ApiProblem("malformed", "payloads must be a list of texts in base64");
  if (payloads.length > BATCH_PAYLOADS_MAX) throw tooMany(payloads.length);
  return payloads.map((payload, index) => base64Bytes(payload, `payloads[${index}]`));
}

export function splitPayloads(body: Uint8Array): readonly Uint8Array[] {
  const payloads: Uint8Array[] = [];
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;
  while (at < body.length) {
    const size = body.length - at >= LENGTH_BYTES ? view.getUint32(at, true) : -1;
    if (size < 0 || size > body.length - at - LENGTH_BYTES) {
      throw new ApiProblem("malformed", `payload ${payloads.length} runs past the end of the body at byte ${at}`);
    }
    if (payloads.length >= BATCH_PAYLOADS_MAX) throw tooMany(BATCH_PAYLOADS_MAX + 1);
    payloads.push(body.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + size));
    at += LENGTH_BYTES + size;
  }
  return payloads;
}

export function mediaType(request: Request): string {
  const header = request.headers.get("content-type") ?? "application/octet-stream";
  return header.split(";")[0]?.trim().toLowerCase() ?? "";
}

/**
 * A page in a browser on this machine can send forms to loopback, but no JSON without the API's leave (CORS preflight): so
 * that no web page bans a peer or changes the validator set.
 */
export function requireJson(request: Request): void {
  if (mediaType(request) === "application/json") return;
  throw new ApiProblem("unsupported-media-type", "send content-type: application/json, also without a body");
}

/** A JSON object with no other members than these; an empty body is an empty object. */
export async function readObject(
  request: Request,
  members: readonly string[],
): Promise<Readonly<Record<string, unknown>>> {
  requireJson(request);
  const body = await readBody(request);
  const value = body.length === 0 ? {} : parseJson(body);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiProblem("malformed", `the body must be an object with ${members.join(", ")}`);
  }
  const unknown = Object.keys(value).find((key) => !members.includes(key));
  if (unknown === undefined) return value as Readonly<Record<string, unknown>>;
  throw new ApiProblem("malformed", `the body has ${members.join(", ")}, not ${JSON.stringify(unknown)}`);
}

export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new ApiProblem("malformed", `the body is not JSON: ${error instanceof Error ? error.message : ""}`);
  }
}

function objectWith(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !(key in value)) {
    throw new ApiProblem("malformed", `the body must be an object with "${key}"`);
  }
  return Reflect.get(value, key);
}

function tooLarge(): ApiProblem {
  return new ApiProblem("payload-too-large", `the body is larger than ${BODY_BYTES_MAX} bytes: send less at a time`);
}

function tooMany(count: number): ApiProblem {
  return new ApiProblem(
    "batch-too-large",
    `${count} payloads, at most ${BATCH_PAYLOADS_MAX} in one batch: send several`,
  );
}
