import type { Server } from "bun";
import type { ApplicationService } from "../node/application-service.ts";
import type { Log } from "../node/observer.ts";
import {
  type Intake,
  type LedgerService,
  NodeError,
  type NodeService,
  type OrderedLedgerService,
  type PeerControl,
  type ProofService,
} from "../node/service.ts";
import { DOCS_FILES, DOCS_PAGE, docsFile } from "./docs-page.ts";
import { json } from "./handlers.ts";
import { BODY_BYTES_MAX } from "./limits.ts";
import { isWelcomeOrigin } from "./origin.ts";
import { openApiDocument } from "./openapi.ts";
import { OwnClients } from "./own-clients.ts";
import { ApiProblem, problemOf, problemResponse } from "./problem.ts";
import type { Route } from "./route.ts";
import { ROUTES } from "./routes.ts";
import { newStream, onStreamClose, onStreamMessage, type StreamState } from "./stream.ts";

export interface ApiOptions {
  readonly service: NodeService;
  /** Left out where nobody keeps scores: the peer routes then tell of connections only. */
  readonly peerControl?: PeerControl;
  /** Left out where payloads go to the node as they are. */
  readonly intake?: Intake;
  /** Left out where the network runs no ledger. */
  readonly ledger?: LedgerService | OrderedLedgerService;
  /** Left out where nobody is to be shown proofs. */
  readonly proofs?: ProofService;
  /** Left out where the network runs no replicated application. */
  readonly application?: ApplicationService;
  readonly host: string;
  /** 0 takes a free one; see `url`. */
  readonly port: number;
  readonly cors: { readonly enabled: boolean; readonly origins: readonly string[] };
  readonly log: Log;
  readonly metrics: { onRequest(route: string, status: number, seconds: number): void };
}

export interface ApiServer {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Requests may wait for finality this long without a byte (seconds; Bun allows 255 at most). */
const IDLE_TIMEOUT_S = 180;

/** How long requests under way may take to end when the node stops. */
const CLOSE_MS = 500;

/** What pages of welcome origins may send beside what every page may. */
const REQUEST_HEADERS = "content-type, if-match, if-none-match, x-cretoai-client, x-cretoai-number";

/**
 * The API over HTTP and WebSocket.
 * @throws Error where the address cannot be listened on; the message says which key to change
 */
export async function createApiServer(options: ApiOptions): Promise<ApiServer> {
  const { host } = options;
  let server: Server<StreamState>;
  try {
    server = serve(options);
  } catch (error) {
    throw new Error(
      `the API cannot listen on ${host}:${options.port} (${String(error)}): choose another api.http_port`,
      { cause: error },
    );
  }
  return await Promise.resolve({
    url: `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`,
    port: server.port ?? 0,
    close: async () => {
      await Promise.race([server.stop(false), new Promise((resolve) => setTimeout(resolve, CLOSE_MS))]);
      await server.stop(true);
    },
  });
}

function serve(options: ApiOptions): Server<StreamState> {
  const { service, host, log } = options;
  const intake = options.intake ?? plainIntake(service);
  const application = options.application ?? null;
  const ownClients = new OwnClients();
  const documents = JSON.stringify(openApiDocument());
  return Bun.serve<StreamState>({
    hostname: host,
    port: options.port,
    maxRequestBodySize: BODY_BYTES_MAX + 1024,
    idleTimeout: IDLE_TIMEOUT_S,
    development: false,
    fetch: async (request, bun) => {
      const startedMs = performance.now();
      const at = pathOf(request.url);
      const isStream = at.path === "/v1/stream" && isWelcome(options, request);
      if (isStream && bun.upgrade(request, { data: newStream({ service, intake, application }) })) return undefined;
      const route = findRoute(at.path);
      const response = await respond({ ...options, intake, ownClients }, request, { ...at, route, documents });
      const name = route.match?.path ?? "other";
      options.metrics.onRequest(name, response.status, (performance.now() - startedMs) / 1_000);
      return withCors(options, request, response);
    },
    error: (error) => {
      log("error", "api.failed", { error: String(error) });
      return problemResponse(problemOf(error), "/");
    },
    websocket: {
      maxPayloadLength: BODY_BYTES_MAX,
      backpressureLimit: 64 * 1024 * 1024,
      message: (socket, message) => {
        void onStreamMessage(socket, message);
      },
      close: (socket) => onStreamClose(socket),
    },
  });
}

interface Found {
  readonly match: Route | null;
  /** Methods of the path's other routes. */
  readonly methods: readonly string[];
  readonly parameter: string;
  readonly candidates: readonly Route[];
}

async function respond(
  options: ApiOptions & { readonly intake: Intake; readonly ownClients: OwnClients },
  request: Request,
  at: { readonly path: string; readonly query: string; readonly route: Found; readonly documents: string },
): Promise<Response> {
  const { service, intake, ledger, application, proofs, ownClients, peerControl, log } = options;
  try {
    if (request.method === "OPTIONS") return new Response(null, { status: 204 });
    if (!isReading(request) && !isWelcome(options, request)) throw foreignOrigin(request);
    const route = at.route.candidates.find((candidate) => candidate.method === request.method);
    if (route !== undefined) {
      return await route.handle({
        service,
        intake,
        ledger: ledger ?? null,
        application: application ?? null,
        proofs: proofs ?? null,
        ownClients,
        peerControl: peerControl ?? null,
        request,
        query: new URLSearchParams(at.query),
        parameter: at.route.parameter,
      });
    }
    const page = isReading(request) ? staticPage(at.path, at.documents) : null;
    if (page !== null) return page;
    if (at.route.candidates.length > 0 || at.path === "/v1/stream") {
      const allowed = at.path === "/v1/stream" ? "GET (as a WebSocket)" : at.route.methods.join(", ");
      throw new ApiProblem("method-not-allowed", `${at.path} takes ${allowed}`);
    }
    throw new ApiProblem("not-found", `there is no ${at.path}; /openapi.json lists every route, /docs explains them`);
  } catch (error) {
    const problem = problemOf(error);
    if (problem.status === 500) log("error", "api.failed", { path: at.path, error: String(error) });
    return problemResponse(problem, at.path);
  }
}

/** Without an application in between: a network that orders everything, whose payloads are opaque. */
function plainIntake(service: NodeService): Intake {
  return {
    submit: (items) => {
      if (items.some(({ conflictKeys }) => conflictKeys.length > 0))
        throw new NodeError("conflict-keys-refused", "this network orders everything: leave the conflict keys out");
      return service.submit(items.map(({ payload }) => payload));
    },
    open: (vertexPayload) => ({ payload: vertexPayload, conflictKeys: [] }),
  };
}

function isReading({ method }: Request): boolean {
  return method === "GET" || method === "HEAD";
}

function isWelcome({ cors }: ApiOptions, { headers }: Request): boolean {
  return isWelcomeOrigin(headers.get("origin"), headers.get("host"), cors);
}

function foreignOrigin({ headers }: Request): ApiProblem {
  const origin = headers.get("origin") ?? "";
  return new ApiProblem(
    "foreign-origin",
    `a page of ${origin} may not change anything at this node: add its origin to api.cors_origins to let it`,
  );
}

function staticPage(path: string, documents: string): Response | null {
  if (path === "/openapi.json") return new Response(documents, { headers: { "content-type": "application/json" } });
  if (path === "/docs") return new Response(DOCS_PAGE, { headers: { "content-type": "text/html; charset=utf-8" } });
  const type = DOCS_FILES[path];
  if (type !== undefined) return new Response(Bun.file(docsFile(path)), { headers: { "content-type": type } });
  if (path !== "/") return null;
  return json({
    name: "cretoai",
    docs: "/docs",
    openapi: "/openapi.json",
    routes: ROUTES.map(({ method, path: at }) => `${method} ${at}`),
  });
}

const BY_PATH: ReadonlyMap<string, readonly Route[]> = Map.groupBy(ROUTES, ({ path }) => path);

/** Paths with a part that varies, or several in a row, split around them. */
const VARYING = [...BY_PATH].flatMap(([path, routes]) => {
  const [, before, varying, after] = /^([^{]*)(\{.+\})([^}]*)$/.exec(path) ?? [];
  if (before === undefined || varying === undefined || after === undefined) return [];
  const slashes = routes.some(({ isWhole }) => isWhole) ? null : varying.split("/").length - 1;
  return [{ before, after, slashes, routes }];
});

function findRoute(path: string): Found {
  const exact = BY_PATH.get(path);
  if (exact !== undefined) return found(exact, "");
  for (const { before, after, slashes, routes } of VARYING) {
    if (!path.startsWith(before) || !path.endsWith(after) || path.length < before.length + after.length) continue;
    const parameter = path.slice(before.length, path.length - after.length);
    if (slashes === null || parameter.split(/\/|%2f/i).length - 1 === slashes) return found(routes, parameter);
  }
  return found([], "");
}

function found(candidates: readonly Route[], parameter: string): Found {
  return { match: candidates[0] ?? null, methods: candidates.map(({ method }) => method), parameter, candidates };
}

/** By hand: `new URL` costs more than the rest of a small request. */
function pathOf(url: string): { readonly path: string; readonly query: string } {
  const start = url.indexOf("/", url.indexOf("//") + 2);
  const question = url.indexOf("?", start);
  if (question < 0) return { path: url.slice(start), query: "" };
  return { path: url.slice(start, question), query: url.slice(question + 1) };
}

function withCors({ cors }: ApiOptions, request: Request, response: Response): Response {
  const origin = request.headers.get("origin");
  if (!cors.enabled || origin === null) return response;
  if (!cors.origins.includes("*") && !cors.origins.includes(origin)) return response;
  response.headers.set("access-control-allow-origin", cors.origins.includes("*") ? "*" : origin);
  response.headers.set("access-control-allow-methods", "GET, POST, PUT, DELETE, OPTIONS");
  response.headers.set("access-control-allow-headers", REQUEST_HEADERS);
  response.headers.set("access-control-expose-headers", "etag, retry-after");
  response.headers.append("vary", "origin");
  return response;
}
