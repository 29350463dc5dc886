import { readJson, refusalOf } from "./answer.ts";
import { asUncertain, CretoError, type CretoErrorCode } from "./creto-error.ts";
import { NodePool, type PooledNode } from "./node-pool.ts";
import { Patience, reasonOf } from "./patience.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Ask {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object goes as JSON. */
  readonly body?: Uint8Array | object;
  /** To send it twice is as good as once. Where it is not, only what surely was not taken in is sent again. */
  readonly isRepeatable: boolean;
  /** Lets the node wait at most a turn of waiting, shorter than the patience, as `timeoutMs`: a node that hangs is found out. */
  readonly nodeWaits?: boolean;
  /** One attempt may take all of the patience; the node says itself when it has waited for too long. */
  readonly isPatient?: boolean;
  /** The only node that will do. */
  readonly pinned?: PooledNode | null;
}

export interface Answer {
  readonly body: unknown;
  readonly status: number;
  readonly node: PooledNode;
}

const PROBE: Ask = { method: "GET", path: "/health", isRepeatable: true };

/** Nothing was taken in: whatever was asked may be asked again. */
const REFUSED: readonly CretoErrorCode[] = ["overloaded", "not-ready", "observer"];

/** What passes, or is this one node's trouble. */
export const PASSING: readonly CretoErrorCode[] = [
  "overloaded",
  "not-ready",
  "observer",
  "stopping",
  "storage-failed",
  "timeout",
  "unreachable",
  "outcome-unknown",
];

/** Nobody listens there: what was to be sent was not. As Node and Bun name it; browsers do not tell. */
const NOT_SENT = ["ECONNREFUSED", "ConnectionRefused", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"];

/** Sends requests to the nodes of a pool, again where that is safe, until one answers or the patience ends. */
export class Transport {
  readonly pool: NodePool;
  readonly #fetch: Fetch;
  /** How long a node may take for an answer that it need not wait for. */
  readonly attemptMs: number;

  constructor(pool: NodePool, fetch: Fetch, attemptMs: number) {
    this.pool = pool;
    this.#fetch = fetch;
    this.attemptMs = attemptMs;
  }

  /** To the same nodes, with an opinion of its own of them: what fails here is no reason to leave a node alone there. */
  aside(): Transport {
    const urls = this.pool.nodes.map(({ url }) => url);
    return new Transport(new NodePool(urls), this.#fetch, this.attemptMs);
  }

  /** @throws CretoError what the last node said, when no more can be tried */
  async ask(ask: Ask, patience: Patience): Promise<Answer> {
    let last: CretoError | null = null;
    for (;;) {
      const node = await this.#next(ask, patience, last);
      const question = this.#isProbed(node, ask) ? PROBE : ask;
      const failure = await this.#attempt(node, question, patience);
      if (!(failure instanceof CretoError)) {
        if (question === ask) return failure;
        continue;
      }
      last = combined(last, failure);
      if (patience.ended !== null) throw this.#givenUp(patience.ended, last);
      if (!isRetried(question, failure)) throw last;
      // Also where a node waited in vain: cut off from a quorum, it would do so for ever, and another one may not be.
      this.pool.failed(node, failure.retryAfterMs);
    }
  }

  /** One question to one node, without another attempt. @throws CretoError */
  async askOnce(ask: Ask, node: PooledNode, patience: Patience): Promise<Answer> {
    const answer = await this.#attempt(node, ask, patience);
    if (answer instanceof CretoError) throw answer;
    return answer;
  }

  /**
   * Browsers do not tell a node that is away from a connection that broke: what may be sent once only goes to a node that
   * answered before, so that one that is away is left without a doubt.
   */
  #isProbed(node: PooledNode, { isRepeatable }: Ask): boolean {
    return !isRepeatable && !this.pool.isProven(node);
  }

  async #next(ask: Ask, patience: Patience, last: CretoError | null): Promise<PooledNode> {
    try {
      return await this.pool.pick(patience, ask.pinned ?? null);
    } catch (error) {
      throw error instanceof CretoError ? this.#givenUp(error, last) : error;
    }
  }

  /** What ended the patience, or rather what kept the call from its result until then. */
  #givenUp(ended: CretoError, last: CretoError | null): CretoError {
    if (last === null) return ended;
    const { problem, node, mayHaveHappened, retryAfterMs } = last;
    const isDeadline = ended.code === "timeout";
    const code = isDeadline ? last.code : ended.code;
    const message = last.message === ended.message ? last.message : `${ended.message}: ${last.message}`;
    return new CretoError(code, message, { problem, node, retryAfterMs, mayHaveHappened, cause: ended.cause ?? last });
  }

  async #attempt(node: PooledNode, ask: Ask, patience: Patience): Promise<Answer | CretoError> {
    const nodeWaitMs = ask.nodeWaits === true ? Math.ceil(Math.min(patience.remainingMs, this.attemptMs)) : 0;
    // What may not be sent twice is waited for as long as its caller wants.
    const limitMs = ask.isRepeatable && ask.isPatient !== true ? this.attemptMs + nodeWaitMs : Number.POSITIVE_INFINITY;
    const attempt = new Patience(limitMs, patience.signal);
    try {
      const response = await this.#fetch(urlOf(node, ask, nodeWaitMs), initOf(ask, attempt.signal));
      if (!response.ok) return doubted(ask, await refusalOf(response, node.url), response.status);
      const body = await readJson(response, node.url);
      this.pool.succeeded(node);
      return { body, status: response.status, node };
    } catch (error) {
      return failureOf(error, { node, ask, patience, attempt });
    } finally {
      attempt.release();
    }
  }
}

interface Failed {
  readonly node: PooledNode;
  readonly ask: Ask;
  readonly patience: Patience;
  readonly attempt: Patience;
}

function failureOf(error: unknown, { node, ask, patience, attempt }: Failed): CretoError {
  if (error instanceof CretoError && error.code === "bad-answer") return error;
  const details = { node: node.url, cause: error, mayHaveHappened: ask.method !== "GET" };
  const { ended } = patience;
  if (ended !== null) return new CretoError(ended.code, ended.message, { ...details, cause: ended.cause ?? error });
  if (attempt.signal.aborted) {
    return new CretoError("unreachable", `${node.url}: ${reasonOf(attempt.signal).message}`, details);
  }
  const why = error instanceof Error ? error.message : String(error);
  if (isNotSent(error)) {
    return new CretoError("unreachable", `nobody answers at ${node.url} (${why}): is the node running?`, {
      ...details,
      mayHaveHappened: false,
    });
  }
  if (ask.isRepeatable) return new CretoError("unreachable", `the connection to ${node.url} broke: ${why}`, details);
  const what = `the connection to ${node.url} broke (${why}): it may have taken the request in, or not`;
  return new CretoError("outcome-unknown", `${what}. Look before you send it again`, details);
}

function isNotSent(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const code: unknown = Reflect.get(error, "code");
  return (typeof code === "string" && NOT_SENT.includes(code)) || isNotSent(Reflect.get(error, "cause"));
}

function isRetried({ isRepeatable, isPatient }: Ask, { code, mayHaveHappened }: CretoError): boolean {
  if (isPatient === true && code === "timeout") return false;
  if (isRepeatable) return PASSING.includes(code);
  return !mayHaveHappened && (REFUSED.includes(code) || code === "unreachable");
}

/** A refusal by the node itself says that nothing was taken in; an error of it, or of a proxy, does not. */
function doubted({ method }: Ask, refusal: CretoError, status: number): CretoError {
  const isSure = method === "GET" || status < 500 || (refusal.problem !== null && REFUSED.includes(refusal.code));
  return isSure ? refusal : asUncertain(refusal);
}

/** An attempt that was sent and not answered stays a doubt, whatever the next one says. */
function combined(last: CretoError | null, failure: CretoError): CretoError {
  return last?.mayHaveHappened === true && !failure.mayHaveHappened ? asUncertain(failure) : failure;
}

function urlOf(node: PooledNode, { path, query = {} }: Ask, nodeWaitMs: number): string {
  const wait = nodeWaitMs > 0 ? { timeoutMs: nodeWaitMs } : {};
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, ...wait })) {
    if (value !== undefined) said.set(name, String(value));
  }
  return said.size === 0 ? node.url + path : `${node.url}${path}?${said}`;
}

function initOf({ method, headers = {}, body }: Ask, signal: AbortSignal): RequestInit {
  if (body === undefined) return { method, headers: { ...headers }, signal };
  const isBytes = body instanceof Uint8Array;
  const type = isBytes ? "application/octet-stream" : "application/json";
  return {
    method,
    headers: { "content-type": type, ...headers },
    // A copy, because a request's body may not lie in shared memory.
    body: isBytes ? new Uint8Array(body) : JSON.stringify(body),
    signal,
  };
}
