import { decode, encode } from "../codec/codec.ts";
import type { CheckpointCertificate } from "../consensus/engine.ts";
import { checkpointCertificateCodec } from "../consensus/pbft/codec.ts";
import type { Batch } from "../dag/batch.ts";
import { unreachable } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { BundlePool } from "./bundle-pool.ts";
import type { Ledger } from "./ledger.ts";
import {
  ANSWER_BODIES_MAX,
  ANSWER_BYTES_SOFT_MAX,
  batchesAnswerCodec,
  bundlesAnswerCodec,
  committedAnswerCodec,
  type ProvenBody,
  questionCodec,
  type WitnessAnswer,
  witnessAnswerCodec,
} from "./wire.ts";

interface AnswerSources {
  readonly ledger: Ledger;
  readonly pool: BundlePool;
  readonly checkpoint: CheckpointCertificate | null;
  /** Of the present engine: the content of proposals that are open. */
  readonly epochs: { readonly engine: { batchOf(digest: Hash): Batch | undefined } };
  /** What this node heard a validator say. */
  heardOf(validator: ValidatorIndex): WitnessAnswer["statements"];
  /** A validator's newest bundle that is held. */
  newestOf(validator: ValidatorIndex): Promise<ProvenBody | null>;
}

/**
 * The answer to a peer's question, bounded in bodies and bytes whatever was asked.
 * @throws DecodeError for a malformed question; the transport tells the peer
 */
export async function answerQuestion(body: Uint8Array, sources: AnswerSources): Promise<Uint8Array> {
  const question = decode(questionCodec, body);
  switch (question.kind) {
    case "bundles":
      return encode(bundlesAnswerCodec, { bundles: await bundlesOf(question.digests, sources) });
    case "batches": {
      const batches = question.digests
        .map((digest) => sources.epochs.engine.batchOf(digest))
        .filter((batch) => batch !== undefined);
      return encode(batchesAnswerCodec, { batches: batches.slice(0, ANSWER_BODIES_MAX) });
    }
    case "committed": {
      const rows = await sources.ledger.committed(question.from, ANSWER_BODIES_MAX);
      const slots = upToSoftMax(rows, (row) => row.length);
      return encode(committedAnswerCodec, { slots, checkpoint: encodedCheckpoint(sources) });
    }
    case "witness":
      return encode(witnessAnswerCodec, {
        statements: sources.heardOf(question.validator),
        bundle: await sources.newestOf(question.validator),
        checkpoint: encodedCheckpoint(sources),
      });
    default:
      return unreachable(question);
  }
}

function encodedCheckpoint({ checkpoint }: AnswerSources): Uint8Array | null {
  return checkpoint === null ? null : encode(checkpointCertificateCodec, checkpoint);
}

async function bundlesOf(digests: readonly Hash[], { pool }: AnswerSources): Promise<readonly ProvenBody[]> {
  const bodies: ProvenBody[] = [];
  let bytes = 0;
  for (const digest of digests.slice(0, ANSWER_BODIES_MAX)) {
    const stored = await pool.find(digest);
    if (stored === null) continue;
    bodies.push({ body: stored.body, proof: stored.proof });
    bytes += stored.body.length;
    if (bytes > ANSWER_BYTES_SOFT_MAX) break;
  }
  return bodies;
}

/** The longest head whose sizes stay within the limit; at least one item. */
function upToSoftMax<T>(items: readonly T[], sizeOf: (item: T) => number): readonly T[] {
  let bytes = 0;
  const end = items.findIndex((item) => {
    bytes += sizeOf(item);
    return bytes > ANSWER_BYTES_SOFT_MAX;
  });
  return end < 0 ? items : items.slice(0, Math.max(1, end));
}
