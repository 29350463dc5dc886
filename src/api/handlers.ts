import { isHash } from "../lib/hash.ts";
import type { ApplicationService } from "../node/application-service.ts";
import type {
  ClientPayload,
  FinalizedItem,
  FinalizedReceipt,
  Intake,
  LedgerService,
  NodeService,
  OrderedLedgerService,
  PeerControl,
  ProofService,
  ProposedItem,
  RejectedItem,
  Submission,
  VertexView,
} from "../node/service.ts";
import { readPayload, readPayloads } from "./bodies.ts";
import { PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, WAIT_MS_DEFAULT, WAIT_MS_MAX } from "./limits.ts";
import type { OwnClients } from "./own-clients.ts";
import { ApiProblem } from "./problem.ts";

/** What every route gets. */
export interface Call {
  readonly service: NodeService;
  readonly intake: Intake;
  /** Null where the network runs none. */
  readonly ledger: LedgerService | OrderedLedgerService | null;
  /** Null where the network runs none. */
  readonly application: ApplicationService | null;
  /** Null where the node has none to show. */
  readonly proofs: ProofService | null;
  readonly ownClients: OwnClients;
  readonly peerControl: PeerControl | null;
  readonly request: Request;
  readonly query: URLSearchParams;
  /** The part of the path that varies; empty where none does. */
  readonly parameter: string;
}

/** What is answered for one vertex that was taken in. */
export interface ReceiptView {
  readonly hash: string;
  readonly sequence: number | null;
  readonly finalized: boolean;
  readonly finalityMs: number | null;
}

export async function postVertex(call: Call): Promise<Response> {
  const waitMs = waitOf(call.query);
  const submission = call.intake.submit([await readPayload(call.request)]);
  const [receipt] = await settle(submission, waitMs);
  return json(receipt, waitMs === null ? 202 : 200);
}

export async function postBatch(call: Call): Promise<Response> {
  const waitMs = waitOf(call.query);
  const submission = call.intake.submit((await readPayloads(call.request)).map(withoutKeys));
  return json({ items: await settle(submission, waitMs) }, waitMs === null ? 202 : 200);
}

export function withoutKeys(payload: Uint8Array): ClientPayload {
  return { payload, conflictKeys: [] };
}

export async function getVertex(call: Call): Promise<Response> {
  if (!isHash(call.parameter)) throw new ApiProblem("malformed", "a hash is 64 lower-case hexadecimal digits");
  const waitMs = waitOf(call.query);
  if (waitMs !== null) await call.service.whenFinalized(call.parameter, { timeoutMs: waitMs });
  const vertex = await call.service.vertex(call.parameter);
  if (vertex === null) throw new ApiProblem("unknown-vertex", `no vertex ${call.parameter} is known at this node`);
  return json(vertexBody(call.intake, vertex));
}

export async function getFinalized({ service, intake, query }: Call): Promise<Response> {
  const from = numberOf(query, "from", { min: 1, max: Number.MAX_SAFE_INTEGER, fallback: 1 });
  const limit = numberOf(query, "limit", { min: 1, max: PAGE_ITEMS_MAX, fallback: PAGE_ITEMS_DEFAULT });
  const items = await service.finalized({ from, limit });
  return json({ items: items.map((item) => finalizedBody(intake, item)), next: from + items.length });
}

export function getStatus({ service }: Call): Response {
  return json(service.status());
}

export function getValidators({ service }: Call): Response {
  return json({ items: service.validators() });
}

export function getHealth(): Response {
  return json({ status: "alive" });
}

export function getReady({ service }: Call): Response {
  const readiness = service.readiness();
  if (readiness.ready) return json(readiness);
  throw new ApiProblem("not-ready", readiness.reasons.join("; "), {
    retryAfterMs: 1_000,
    extra: { reasons: readiness.reasons },
  });
}

/** Waits for durability, and for finality where that is wanted. */
export async function settle(submission: Submission, waitMs: number | null): Promise<readonly ReceiptView[]> {
  const hashes = await submission.accepted;
  if (waitMs === null) return hashes.map((hash) => ({ hash, sequence: null, finalized: false, finalityMs: null }));
  const receipts = await within(submission.finalized, waitMs, hashes);
  return receipts.map(receiptBody);
}

function receiptBody({ hash, sequence, finalityMs }: FinalizedReceipt): ReceiptView {
  return {
    hash,
    sequence,
    finalized: true,
    finalityMs: finalityMs === null ? null : Math.round(finalityMs * 100) / 100,
  };
}

export function finalizedBody(intake: Intake, item: FinalizedItem): Readonly<Record<string, unknown>> {
  const { sequence, purpose, hash, creator, payload, timestampMs } = item;
  return { sequence, purpose, hash, creator, ...contentBody(intake, payload), timestamp: timestampMs };
}

export function proposedBody(intake: Intake, item: ProposedItem): Readonly<Record<string, unknown>> {
  const { hash, creator, payload, timestampMs } = item;
  return { hash, creator, ...contentBody(intake, payload), timestamp: timestampMs };
}

function vertexBody(intake: Intake, vertex: VertexView): Readonly<Record<string, unknown>> {
  const { hash, creator, nonce, timestampMs, parents, payload, ...fate } = vertex;
  return { hash, creator, nonce, timestamp: timestampMs, parents, ...contentBody(intake, payload), ...fate };
}

/** The client's payload; in a leaderless network also the conflict keys that it declared. */
function contentBody(intake: Intake, vertexPayload: Uint8Array): Readonly<Record<string, unknown>> {
  const { payload, conflictKeys } = intake.open(vertexPayload);
  const keys = conflictKeys.map((key) => key.toBase64());
  return { payload: payload.toBase64(), ...(keys.length === 0 ? {} : { conflictKeys: keys }) };
}

export function rejectedBody({ hash, creator, winner }: RejectedItem): Readonly<Record<string, unknown>> {
  return { hash, creator, winner };
}

/** How long the caller wants to wait for finality; null where it does not. */
export function waitOf(query: URLSearchParams): number | null {
  const wait = query.get("wait");
  if (wait !== null && wait !== "finalized") throw new ApiProblem("malformed", 'wait must be "finalized"');
  const timeoutMs = numberOf(query, "timeoutMs", { min: 1, max: WAIT_MS_MAX, fallback: WAIT_MS_DEFAULT });
  return wait === null ? null : timeoutMs;
}

export function numberOf(
  query: URLSearchParams,
  name: string,
  range: { readonly min: number; readonly max: number; readonly fallback: number },
): number {
  const text = query.get(name);
  if (text === null) return range.fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < range.min || value > range.max) {
    throw new ApiProblem("malformed", `${name} must be a whole number from ${range.min} to ${range.max}`);
  }
  return value;
}

export async function within<T>(work: Promise<T>, timeoutMs: number, hashes: readonly string[]): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const [hash] = hashes;
    timeout.reject(
      new ApiProblem("timeout", `accepted, but not final after ${timeoutMs} ms: ask for it later by its hash`, {
        extra: hashes.length === 1 ? { hash } : { hashes },
      }),
    );
  }, timeoutMs);
  try {
    return await Promise.race([work, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json" } });
}
