import { APPLICATION_SCHEMAS } from "./application-schemas.ts";
import { LEDGER_SCHEMAS } from "./ledger-schemas.ts";
import { PROBLEMS, type ProblemKind } from "./problem.ts";
import type { Parameter, Route } from "./route.ts";
import { ROUTES } from "./routes.ts";
import { BASE64, CLIENT, COUNT, flag, HASH, KEY, NAME, nullable, NUMBER, object, text, TIME } from "./schema-parts.ts";

function list(name: string): object {
  return object({ items: { type: "array", items: { $ref: `#/components/schemas/${name}` } } });
}

const CONFLICT_KEYS: Readonly<Record<string, object>> = {
  conflictKeys: {
    type: "array",
    items: BASE64,
    description: "In a leaderless network: what the vertex claims for itself alone; absent where it claims nothing",
  },
};

/** What a node thinks of a peer. */
const REPORT: Readonly<Record<string, object>> = {
  score: { type: "number", minimum: 0, maximum: 1, description: "1 is spotless" },
  state: { type: "string", enum: ["good", "graylisted", "throttled", "banned"] },
  violations: { type: "object", additionalProperties: COUNT, description: "by type, since the node started" },
  bannedUntil: { type: ["integer", "null"], description: "milliseconds since 1970; null also while `ban` has no end" },
  ban: {
    anyOf: [
      { type: "null" },
      object({
        sinceMs: TIME,
        untilMs: nullable("integer"),
        reason: text,
        by: { type: "string", enum: ["operator", "automatic"] },
      }),
    ],
  },
};

const SCHEMAS: Readonly<Record<string, object>> = {
  Receipt: object({ hash: HASH, sequence: nullable("integer"), finalized: flag, finalityMs: nullable("number") }),
  Receipts: list("Receipt"),
  Vertex: object(
    {
      hash: HASH,
      creator: HASH,
      nonce: COUNT,
      timestamp: TIME,
      parents: { type: "array", items: HASH },
      payload: BASE64,
      finalized: flag,
      state: {
        type: "string",
        enum: ["pending", "finalized", "rejected"],
        description: "`rejected`: another vertex won a conflict set of it, for good",
      },
      confidence: {
        ...nullable("number"),
        description: "In a leaderless network, how sure the polls about it are or were, 0 to 1",
      },
      sequence: {
        ...nullable("integer"),
        description:
          "Its place in `/v1/finalized`: where a leader orders, in the order that all nodes share; in a leaderless network in this node's own order of acceptance",
      },
      height: nullable("integer"),
    },
    CONFLICT_KEYS,
  ),
  FinalizedItem: object(
    {
      sequence: COUNT,
      purpose: { type: "string", enum: ["application", "membership", "resolution", "dag"] },
      hash: HASH,
      creator: HASH,
      payload: BASE64,
      timestamp: TIME,
    },
    CONFLICT_KEYS,
  ),
  FinalizedPage: object({
    items: { type: "array", items: { $ref: "#/components/schemas/FinalizedItem" } },
    next: { ...COUNT, description: "`from` of the next page" },
  }),
  FinalityProof: object({ hash: HASH, proof: { ...text, contentEncoding: "base64" } }),
  EpochLinks: object({
    from: COUNT,
    epoch: { ...COUNT, description: "the one that goes on at this node" },
    links: { type: "array", items: { ...text, contentEncoding: "base64" } },
  }),
  Status: object({
    nodeId: HASH,
    engine: text,
    alpn: text,
    genesis: HASH,
    role: { type: "string", enum: ["validator", "observer"] },
    view: COUNT,
    viewActive: flag,
    leader: HASH,
    epoch: COUNT,
    validators: COUNT,
    faultTolerance: COUNT,
    quorum: COUNT,
    lastSequence: COUNT,
    lastBatch: COUNT,
    stableCheckpoint: COUNT,
    pending: COUNT,
    peers: COUNT,
    uptimeMs: COUNT,
    dag: {
      description: "How a leaderless engine stands; null where a leader orders",
      anyOf: [
        { type: "null" },
        object({
          undecidedBundles: COUNT,
          undecidedVertices: COUNT,
          conflicts: COUNT,
          pollsUnderWay: COUNT,
          polls: COUNT,
          queryTimeouts: COUNT,
          timeoutShare: { type: "number", minimum: 0, maximum: 1 },
          isPartitioned: flag,
          mayVote: flag,
        }),
      ],
    },
  }),
  Peer: object({
    nodeId: HASH,
    connected: flag,
    role: { type: ["string", "null"], enum: ["validator", "observer", null] },
    address: nullable("string"),
    direction: { type: ["string", "null"], enum: ["inbound", "outbound", null] },
    connectedSinceMs: { ...TIME, type: ["integer", "null"] },
    roundTripMs: nullable("number"),
    bytesSent: COUNT,
    bytesReceived: COUNT,
    queuedBytes: COUNT,
    ...REPORT,
  }),
  PeerReport: object({ nodeId: HASH, ...REPORT }),
  Peers: list("Peer"),
  Validator: object({ index: COUNT, nodeId: HASH, name: text, isLeader: flag, isSelf: flag, connected: flag }),
  Validators: list("Validator"),
  Membership: object({
    epoch: COUNT,
    afterBatch: { ...COUNT, description: "PBFT's sequence number of the batch that ended the epoch before" },
    policy: object({ min: COUNT, max: COUNT }),
    active: COUNT,
    faultTolerance: COUNT,
    quorum: COUNT,
    members: {
      type: "array",
      items: object({
        index: COUNT,
        nodeId: HASH,
        name: text,
        address: text,
        standing: { type: "string", enum: ["active", "standby", "inactive", "left", "dismissed", "convicted"] },
        condemned: {
          type: ["string", "null"],
          enum: ["evidence", "dismissed", "left", "inactivity", "reputation", null],
          description: "why it loses its place as soon as the minimum allows it",
        },
        reputationPpm: { type: "integer", minimum: 0, maximum: 1_000_000 },
        activeSinceEpoch: nullable("integer"),
        lastActiveEpoch: nullable("integer"),
        waiting: { ...nullable("integer"), description: "its place among those that wait for one, from 1" },
        isSelf: flag,
      }),
    },
    pending: {
      type: "array",
      items: object({
        kind: { type: "string", enum: ["admit", "dismiss"] },
        nodeId: HASH,
        name: text,
        address: text,
        approvals: { type: "array", items: HASH },
        needed: COUNT,
      }),
    },
  }),
  Proposal: object({
    kind: { type: "string", enum: ["admit", "dismiss", "leave"] },
    result: { type: "string", enum: ["applied", "noted", "ignored"] },
    reason: text,
    batch: COUNT,
    epoch: COUNT,
  }),
  ...LEDGER_SCHEMAS,
  ...APPLICATION_SCHEMAS,
  Health: object({ status: { type: "string", enum: ["alive"] } }),
  Readiness: object({ ready: flag, reasons: { type: "array", items: text } }),
  Problem: {
    type: "object",
    required: ["type", "title", "status", "detail"],
    properties: { type: text, title: text, status: COUNT, detail: text, instance: text },
  },
};

/** The OpenAPI 3.1 document of every route. */
export function openApiDocument(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of ROUTES) {
    const item = paths[route.path] ?? {};
    item[route.method.toLowerCase()] = operation(route);
    paths[route.path] = item;
  }
  paths["/v1/stream"] = { get: STREAM };
  return {
    openapi: "3.1.0",
    info: {
      title: "cretoai node",
      version: "1",
      description:
        "Submit payloads, read the total order that the validators agreed on. Errors are RFC 9457 problem documents.",
    },
    paths,
    components: { schemas: SCHEMAS },
  };
}

const STREAM: object = {
  summary: "WebSocket: subscriptions and submissions",
  description:
    'Send `{"subscribe":["finalized","proposed","rejected","validators"],"from":1}` (`from` replays the total order first, without gap or repetition), ' +
    '`{"subscribe":["changes"],"prefix":"users/","from":1}` where the application is the key-value store, ' +
    '`{"subscribe":["runs"],"prefix":"invoice-","from":1}` where it is that of workflows, ' +
    '`{"submit":"<base64>","id":1,"wait":"finalized"}` or `{"submitBatch":["<base64>"],"id":2,"wait":"accepted"}`. ' +
    "Messages have a `type`: `subscribed` (with `from`, where the subscription begins), `finalized`, `proposed`, `rejected` (vertices of a leaderless network that lost their conflict sets), `validators` (another epoch begins), " +
    '`changes` (`items` of `{"position","key","value","version"}`, `value` null where the key was deleted), ' +
    '`runs` (`items` of `{"position","run","state","steps","completed","ready"}`, `ready` the handlers of steps that the command made ready), `result`, `error`. ' +
    "The node keeps the last changes only: a `from` before them is the problem `too-old`; read the range anew, then subscribe. A client that falls too far behind is closed with 1013.",
  responses: { 101: { description: "Switching to WebSocket" } },
};

/** What varies in paths, beside hashes. */
const IN_PATH: Readonly<Record<string, object>> = {
  owner: NAME,
  account: NAME,
  key: KEY,
  client: CLIENT,
  number: NUMBER,
};

function operation(route: Route): object {
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => {
    return { name, in: "path", required: true, schema: IN_PATH[name] ?? HASH };
  });
  const all = [...inPath, ...parameters(route.query, "query"), ...parameters(route.headers, "header")];
  const responses: Record<string, object> = {};
  for (const [status, schema] of Object.entries(route.answers)) {
    responses[status] = {
      description: schema,
      content: { "application/json": { schema: { $ref: `#/components/schemas/${schema}` } } },
    };
  }
  for (const [status, kinds] of byStatus(route.problems)) responses[status] = problemAnswer(kinds);
  return {
    summary: route.summary,
    ...(all.length === 0 ? {} : { parameters: all }),
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: contentOf(route.body) } }),
    responses,
  };
}

function parameters(from: readonly Parameter[] | undefined, where: "query" | "header"): readonly object[] {
  return (from ?? []).map(({ name, description, schema }) => ({ name, in: where, description, schema }));
}

function byStatus(kinds: readonly ProblemKind[]): ReadonlyMap<string, readonly ProblemKind[]> {
  const map = new Map<string, ProblemKind[]>();
  for (const kind of kinds) {
    const status = String(PROBLEMS[kind].status);
    map.set(status, [...(map.get(status) ?? []), kind]);
  }
  return map;
}

function problemAnswer(kinds: readonly ProblemKind[]): object {
  return {
    description: kinds.map((kind) => `${PROBLEMS[kind].title} (/problems/${kind})`).join("; "),
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
  };
}

function contentOf(body: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(body).map(([type, schema]) => [type, { schema }]));
}
