import { CretoError } from "./creto-error.ts";
import { Fields } from "./fields.ts";
import { type CallOptions, type Patience, pause } from "./patience.ts";
import type { Transport } from "./transport.ts";
import { type Bytes, base64Of, bytesOf, checkedHash, type FinalReceipt, type Receipt, vertexOf } from "./vertices.ts";

export interface SubmitOptions extends CallOptions {
  /** `accepted`: durable at one node; `finalized`: ordered, or accepted for good in a leaderless network. */
  readonly wait?: "accepted" | "finalized";
  /**
   * A submission has no identity before it is accepted: where its answer is lost it is not sent again, unless two vertices
   * of the payload do no harm.
   */
  readonly retry?: "never" | "may-duplicate";
}

export interface SubmitOneOptions extends SubmitOptions {
  /** On a leaderless network: of all vertices with one of these, of 1 to 64 bytes, at most one is accepted. */
  readonly conflictKeys?: readonly Bytes[];
}

/** Questions at a time about the vertices of one batch. */
const QUESTIONS_MAX = 16;

const LENGTH_BYTES = 4;

/** Until a vertex is known that another node accepted: 50 ms, doubled up to a second. */
const UNKNOWN_MS = 50;
const UNKNOWN_MS_MAX = 1_000;

export async function submitOne(
  transport: Transport,
  payload: Bytes,
  { conflictKeys = [], wait, retry }: SubmitOneOptions,
  patience: Patience,
): Promise<Receipt | FinalReceipt> {
  const keyed = { payload: base64Of(payload), conflictKeys: conflictKeys.map(base64Of) };
  const body = conflictKeys.length > 0 ? keyed : bytesOf(payload);
  const isRepeatable = retry === "may-duplicate";
  const answer = await transport.ask({ method: "POST", path: "/v1/vertices", body, isRepeatable }, patience);
  const receipt = { hash: new Fields(answer.body, "receipt").text("hash"), node: answer.node.url };
  return wait === "finalized" ? await whenFinal(transport, receipt.hash, patience) : receipt;
}

export async function submitMany(
  transport: Transport,
  payloads: readonly Bytes[],
  { wait, retry }: SubmitOptions,
  patience: Patience,
): Promise<readonly (Receipt | FinalReceipt)[]> {
  if (payloads.length === 0) return [];
  const body = packed(payloads.map(bytesOf));
  const isRepeatable = retry === "may-duplicate";
  const answer = await transport.ask({ method: "POST", path: "/v1/vertices/batch", body, isRepeatable }, patience);
  const hashes = new Fields(answer.body, "receipts").list("items", (item) => item.text("hash"));
  if (wait !== "finalized") return hashes.map((hash) => ({ hash, node: answer.node.url }));
  // They lie in one lane in this order: when the last one is final, so are most, and the others' answers come at once.
  const last = hashes[hashes.length - 1];
  if (last !== undefined) await whenFinal(transport, last, patience);
  return await inTurns(hashes, (hash) => whenFinal(transport, hash, patience));
}

/** @throws CretoError `conflict` where another vertex won its conflict set; `timeout` */
export async function whenFinal(transport: Transport, hash: string, patience: Patience): Promise<FinalReceipt> {
  const path = `/v1/vertices/${checkedHash(hash)}`;
  for (let waitMs = UNKNOWN_MS; ; waitMs = Math.min(2 * waitMs, UNKNOWN_MS_MAX)) {
    try {
      const ask = { method: "GET", path, query: { wait: "finalized" }, isRepeatable: true, nodeWaits: true } as const;
      const { body, node } = await transport.ask(ask, patience);
      const { sequence } = vertexOf(new Fields(body, "vertex"));
      if (sequence !== null) return { hash, sequence, node: node.url };
    } catch (error) {
      // The node that accepted it may be away, and this one hear of it later.
      if (!(error instanceof CretoError) || error.code !== "unknown-vertex") throw error;
      if (patience.remainingMs <= waitMs) throw late(hash, error);
    }
    await pause(waitMs, patience.signal);
  }
}

function late(hash: string, { problem, node }: CretoError): CretoError {
  const what = `${node ?? "the node"} has not heard of the vertex ${hash} in all that time`;
  return new CretoError("timeout", `${what}: is the hash right, and does the node that accepted it run?`, {
    problem,
    node,
  });
}

/** Each payload behind its u32 little-endian length. */
function packed(payloads: readonly Uint8Array[]): Uint8Array {
  const body = new Uint8Array(payloads.reduce((sum, { length }) => sum + LENGTH_BYTES + length, 0));
  const view = new DataView(body.buffer);
  let at = 0;
  for (const payload of payloads) {
    view.setUint32(at, payload.length, true);
    body.set(payload, at + LENGTH_BYTES);
    at += LENGTH_BYTES + payload.length;
  }
  return body;
}

async function inTurns(
  hashes: readonly string[],
  ask: (hash: string) => Promise<FinalReceipt>,
): Promise<readonly FinalReceipt[]> {
  const answers = new Map<string, FinalReceipt>();
  const rest = hashes[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (const hash of rest) answers.set(hash, await ask(hash));
  };
  await Promise.all(Array.from({ length: Math.min(QUESTIONS_MAX, hashes.length) }, work));
  return hashes.flatMap((hash) => answers.get(hash) ?? []);
}
