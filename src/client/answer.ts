import { codeOfProblem, CretoError, type ProblemDocument } from "./creto-error.ts";

/** A page of a thousand large payloads in base64 fits; more than that is no answer of a node. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

const SEEN_ONLY_IN_DETAIL = 200;

/** The body as JSON. @throws CretoError `bad-answer`; whatever the connection throws */
export async function readJson(response: Response, node: string): Promise<unknown> {
  const text = await readText(response, node);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new CretoError("bad-answer", `${node} answered ${response.status}, and no JSON`, { node, cause: error });
  }
}

/** An answer of no success, as an error. */
export async function refusalOf(response: Response, node: string): Promise<CretoError> {
  const retryAfterMs = retryAfterOf(response.headers.get("retry-after"));
  const text = await readText(response, node);
  const problem = problemOf(text);
  if (problem !== null) {
    return new CretoError(codeOfProblem(problem.type), problem.detail, { problem, node, retryAfterMs });
  }
  // A proxy in between speaks for a node that is away.
  const { status } = response;
  const code =
    status === 429 ? "overloaded" : status === 504 ? "timeout" : status >= 502 ? "not-ready" : "unknown-problem";
  const said = text.slice(0, SEEN_ONLY_IN_DETAIL);
  return new CretoError(code, `${node} answered ${status} without a problem document: ${said}`, { node, retryAfterMs });
}

/** The problem in a JSON text, or in a value of JSON; null where it is none. */
export function problemOf(json: unknown): ProblemDocument | null {
  const value = typeof json === "string" ? parsed(json) : json;
  if (typeof value !== "object" || value === null) return null;
  const { type, title, status, detail, instance, ...extra } = value as Readonly<Record<string, unknown>>;
  if (typeof type !== "string" || typeof title !== "string" || typeof status !== "number") return null;
  const said = typeof detail === "string" ? detail : title;
  return { type, title, status, detail: said, extra: instance === undefined ? extra : { ...extra, instance } };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** Seconds or a date (RFC 9110 §10.2.3), in milliseconds from now; null where there is none. */
function retryAfterOf(header: string | null): number | null {
  if (header === null) return null;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

async function readText(response: Response, node: string): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    if (size > ANSWER_BYTES_MAX) {
      await reader.cancel();
      throw new CretoError("bad-answer", `${node} answers with more than ${ANSWER_BYTES_MAX} bytes`, { node });
    }
    text += decoder.decode(value, { stream: true });
  }
}
