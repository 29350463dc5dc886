import { loadConfig } from "../node/config.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

const DEFAULT_URL = "http://127.0.0.1:8080";

export interface TargetOptions {
  readonly url?: string;
  readonly config?: string;
}

/** The node that a command speaks to: by URL, by its configuration file, or the default address. */
export function targetUrl({ url, config }: TargetOptions): string {
  if (url !== undefined) return url.replace(/\/$/, "");
  if (config === undefined) return DEFAULT_URL;
  const { http_host: host, http_port: port } = loadConfig(config, process.env).api;
  return `http://${host === "0.0.0.0" ? "127.0.0.1" : host}:${port}`;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfterMs: number | null;
}

/** @throws CommandFailed with exit status 3 where nobody answers */
export async function call(url: string, path: string, init: RequestInit = {}): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(`${url}${path}`, init);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandFailed(
      `no node answers at ${url} (${why}); is it running, and is the address right?`,
      EXIT.unreachable,
    );
  }
  const text = await response.text();
  const retryAfter = response.headers.get("retry-after");
  return {
    status: response.status,
    body: parseBody(text),
    retryAfterMs: retryAfter === null ? null : Number(retryAfter) * 1_000,
  };
}

/** As `call`, and any status but success is a failure. */
export async function get(url: string, path: string): Promise<unknown> {
  const { status, body } = await call(url, path);
  if (status === 200) return body;
  throw new CommandFailed(
    `${url}${path} answered ${status}: ${detailOf(body)}`,
    status === 503 ? EXIT.notReady : EXIT.failed,
  );
}

export function detailOf(body: unknown): string {
  if (typeof body !== "object" || body === null) return String(body);
  const detail: unknown = Reflect.get(body, "detail");
  return typeof detail === "string" ? detail : JSON.stringify(body);
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
