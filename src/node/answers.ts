import { decode, encode } from "../codec/codec.ts";
import type { DagClaim } from "../consensus/dag-engine.ts";
import type { CheckpointCertificate } from "../consensus/engine.ts";
import { checkpointCertificateCodec } from "../consensus/log-codec.ts";
import type { Batch } from "../dag/batch.ts";
import { unreachable } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { BundlePool } from "./bundle-pool.ts";
import type { DagLedger } from "./dag-ledger.ts";
import type { DagPool } from "./dag-pool.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import { NOTHING_ACCEPTED } from "./acceptance-proofs.ts";
import type { StateProofs } from "./state-proofs.ts";
import type { StateOffers } from "./transfer/state-offers.ts";
import {
  acceptedAnswerCodec,
  ANSWER_BODIES_MAX,
  ANSWER_BYTES_SOFT_MAX,
  batchesAnswerCodec,
  bundlesAnswerCodec,
  certifiedAnswerCodec,
  committedAnswerCodec,
  DAG_ITEMS_MAX,
  type DagAnswer,
  dagAnswerCodec,
  type DagItem,
  pieceAnswerCodec,
  type ProvenBody,
  type Question,
  questionCodec,
  snapshotAnswerCodec,
  stateAnswerCodec,
  type WitnessAnswer,
  witnessAnswerCodec,
} from "./wire.ts";

/** Bundles read at a time. */
const DAG_PAGE_ROWS = 32;

/** About what a bundle's proof takes: a hybrid signature and its path. */
const PROOF_BYTES = 5_500;

/** Head and certificate of a snapshot of four validators; a guess. */
const OFFER_BYTES = 65_536;

const PIECE_FRAMING_BYTES = 16;

interface AnswerSources {
  readonly ledger: Ledger;
  readonly pool: BundlePool;
  readonly checkpoint: CheckpointCertificate | null;
  /** Of the present engine: the content of proposals that are open. */
  readonly epochs: {
    readonly engine: { batchOf(digest: Hash): Batch | undefined };
    readonly network: NetworkContext;
  };
  /** Null in a network that orders everything. */
  readonly dag: DagSources | null;
  readonly proofs: Pick<StateProofs, "answer" | "ledger" | "acceptance">;
  readonly offers: StateOffers;
  /** What this node heard a validator say. */
  heardOf(validator: ValidatorIndex): WitnessAnswer["statements"];
  /** A validator's newest bundle that is held. */
  newestOf(validator: ValidatorIndex): Promise<ProvenBody | null>;
}

/** What of the DAG is in memory and on the disk. */
export interface DagSources {
  readonly pool: DagPool;
  readonly ledger: DagLedger;
  claimOf(bundle: Hash, isForEpoch: boolean): DagClaim | null;
  passed(): readonly Epoch[];
  /** A validator's newest bundle that is held. */
  newestOf(validator: ValidatorIndex): Promise<ProvenBody | null>;
  /** Resolves when all that this node has taken in so far is on the disk. */
  whenDurable(): Promise<void>;
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
      const first = rows.length > 0 ? question.from : (await sources.ledger.logStart()).sequence;
      return encode(committedAnswerCodec, { slots, checkpoint: encodedCheckpoint(sources), first });
    }
    case "witness":
      return encode(witnessAnswerCodec, {
        statements: sources.heardOf(question.validator),
        bundle: await sources.newestOf(question.validator),
        dagBundle: (await sources.dag?.newestOf(question.validator)) ?? null,
        checkpoint: encodedCheckpoint(sources),
      });
    case "vertices":
      return encode(bundlesAnswerCodec, { bundles: await tipsOf(question.tips, sources) });
    case "dag":
      return encode(dagAnswerCodec, await dagOf(question, sources), ANSWER_BYTES_SOFT_MAX / 8);
    case "state": {
      const proofs = await sources.proofs.answer(question.epoch, question.sequence);
      return encode(stateAnswerCodec, { proofs }, PROOF_BYTES * proofs.length);
    }
    case "certified": {
      const certificate = await sources.proofs.ledger.encodedBetween(question.from, question.to);
      return encode(certifiedAnswerCodec, { certificate }, 64 + (certificate?.length ?? 0));
    }
    case "accepted": {
      const answer = (await sources.proofs.acceptance?.answer(question.epoch, question.vertices)) ?? NOTHING_ACCEPTED;
      return encode(acceptedAnswerCodec, answer, PROOF_BYTES);
    }
    case "snapshot":
    case "chunk":
    case "epoch-end":
      return await answerAboutState(question, sources.offers);
    default:
      return unreachable(question);
  }
}

async function answerAboutState(
  question: Extract<Question, { readonly kind: "snapshot" | "chunk" | "epoch-end" }>,
  offers: StateOffers,
): Promise<Uint8Array> {
  if (question.kind === "snapshot") {
    return encode(snapshotAnswerCodec, { offer: await offers.newest(question.above) }, OFFER_BYTES);
  }
  const piece =
    question.kind === "chunk"
      ? await offers.chunk(question.sequence, question.number)
      : await offers.epochEnd(question.epoch);
  return encode(pieceAnswerCodec, { piece }, (piece?.length ?? 0) + PIECE_FRAMING_BYTES);
}

function encodedCheckpoint({ checkpoint }: AnswerSources): Uint8Array | null {
  return checkpoint === null ? null : encode(checkpointCertificateCodec, checkpoint);
}

async function bundlesOf(digests: readonly Hash[], { pool, dag }: AnswerSources): Promise<readonly ProvenBody[]> {
  return await bodiesOf(digests, async (digest) => {
    return (await pool.find(digest)) ?? dag?.pool.get(digest)?.stored ?? (await dag?.ledger.bundle(digest)) ?? null;
  });
}

async function tipsOf(tips: readonly Hash[], { dag }: AnswerSources): Promise<readonly ProvenBody[]> {
  return await bodiesOf(tips, async (tip) => dag?.pool.byTip(tip)?.stored ?? (await dag?.ledger.byTip(tip)) ?? null);
}

async function bodiesOf(
  hashes: readonly Hash[],
  find: (hash: Hash) => Promise<StoredBundle | null>,
): Promise<readonly ProvenBody[]> {
  const bodies: ProvenBody[] = [];
  let bytes = 0;
  for (const hash of hashes.slice(0, ANSWER_BODIES_MAX)) {
    const stored = await find(hash);
    if (stored === null) continue;
    bodies.push({ body: stored.body, proof: stored.proof });
    bytes += stored.body.length;
    if (bytes > ANSWER_BYTES_SOFT_MAX) break;
  }
  return bodies;
}

/** What lies above the asker's frontier, from one creator on, as far as it fits; long settled bundles as well. */
async function dagOf(
  { above, start, isForEpoch }: Extract<Question, { readonly kind: "dag" }>,
  { dag, epochs }: AnswerSources,
): Promise<DagAnswer> {
  // Read first: what is said here is at least as new as the epoch that it names, and nothing that was voted on is left out.
  const { epoch, roster } = epochs.network.set;
  const passed = dag?.passed() ?? [];
  await dag?.whenDurable();
  const items: DagItem[] = [];
  let bytes = 0;
  for (let creator = start; dag !== null && creator < roster.length; creator++) {
    let from: number = above[creator] ?? 0;
    for (;;) {
      const page = await dag.ledger.lane(creator, from, DAG_PAGE_ROWS);
      for (const { stored, standing } of page) {
        const { body, proof } = stored;
        const claim = dag.claimOf(stored.held.ref.digest, isForEpoch);
        const { undecided, rejected } = claim ?? standing;
        const certified = claim?.certified ?? [];
        const state = claim?.state ?? standing.place;
        items.push({ bundle: { body, proof }, state, undecided, rejected, certified });
        bytes += body.length + PROOF_BYTES * certified.reduce((sum, { votes }) => sum + votes.length, 1);
        const isFull = bytes > ANSWER_BYTES_SOFT_MAX || items.length >= DAG_ITEMS_MAX;
        if (isFull) return { epoch, passed, items, isLast: false };
      }
      const last = page.at(-1);
      if (last === undefined || page.length < DAG_PAGE_ROWS) break;
      from = last.stored.held.ref.firstNonce;
    }
  }
  return { epoch, passed, items, isLast: true };
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
