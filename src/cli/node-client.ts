import { loadConfig, type NodeConfig } from "../node/config.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

const DEFAULT_URL = "http://127.0.0.1:8080";

/** A node that is well answers in milliseconds. */
const ANSWER_MS_MAX = 10_000;

export interface TargetOptions {
  readonly url?: string;
  readonly config?: string;
}

/** The node that a command speaks to: by URL, by its configuration file, or the default address. */
export function targetUrl({ url, config }: TargetOptions): string {
  if (url !== undefined && config !== undefined)
    throw new CommandFailed("give --url or --config, not both", EXIT.usage);
  if (config !== undefined) return apiUrlOf(loadConfig(config, process.env));
  if (url === undefined) return DEFAULT_URL;
  if (!URL.canParse(url) || !/^https?:\/\//.test(url))
    throw new CommandFailed(`--url must be an address such as ${DEFAULT_URL}, not ${JSON.stringify(url)}`, EXIT.usage);
  return url.replace(/\/+$/, "");
}

/** Where a node of this configuration answers. */
export function apiUrlOf({ api, file }: NodeConfig): string {
  if (!api.http_enabled) throw new CommandFailed(`${file} switches the API off (api.http_enabled)`);
  if (api.http_port === 0)
    throw new CommandFailed(`${file} lets the node choose its API port: give --url, its log says`);
  return `http://${authority(api.http_host, api.http_port)}`;
}

export function metricsUrlOf({ metrics }: NodeConfig): string {
  return `http://${authority(metrics.host, metrics.port)}${metrics.endpoint}`;
}

/** An address of all interfaces is none to connect to. */
function authority(host: string, port: number): string {
  const target = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return target.includes(":") ? `[${target}]:${port}` : `${target}:${port}`;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfterMs: number | null;
}

/** @throws CommandFailed with exit status 3 where nobody answers */
export async function call(
  url: string,
  path: string,
  { timeoutMs = ANSWER_MS_MAX, ...init }: RequestInit & { readonly timeoutMs?: number } = {},
): Promise<Answer> {
  try {
    const response = await fetch(`${url}${path}`, { ...init, signal: AbortSignal.timeout(timeoutMs) });
    const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
    return {
      status: response.status,
      body: parseBody(await response.text()),
      retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : null,
    };
  } catch (error) {
    const isTimeout = error instanceof Error && error.name === "TimeoutError";
    const why = isTimeout ? `not within ${timeoutMs} ms` : error instanceof Error ? error.message : String(error);
    throw new CommandFailed(
      `no node answers at ${url} (${why}); is it running, and is the address right?`,
      EXIT.unreachable,
    );
  }
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
  // No problem document, so no node's API: a metrics port, a proxy, another program. Its page is of no use here.
  if (typeof body !== "object" || body === null) return "something other than a node's API is there (api.http_port)";
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
