import type { Codec } from "../codec/codec.ts";
import { mapped, option, struct, union, variant, vec } from "../codec/composites.ts";
import { bool, bytes, hash, u16, u32, u64 } from "../codec/primitives.ts";
import { CERTIFICATES_MAX, dagCertificateCodec } from "../consensus/dag-certificate.ts";
import type { DagCertificate, DagClaim } from "../consensus/dag-engine.ts";
import type { PeerStatus } from "../consensus/engine.ts";
import { unreachable } from "../lib/assert.ts";
import { type Batch, batchCodec } from "../dag/batch.ts";
import { BUNDLE_VERTICES_MAX } from "../dag/limits.ts";
import { HASH_BYTES, type Hash } from "../lib/hash.ts";
import { epochCodec, statementCodec } from "../membership/evidence.ts";
import type { Epoch, Nonce, Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import {
  type Proof,
  proofCodec,
  SEAL_LEAVES_MAX,
  type Seal,
  sealCodec,
  validatorIndexCodec,
} from "../membership/seal.ts";
import type { HeardStatement } from "./witnesses.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";

/**
 * What nodes say to each other over an authenticated connection. Frames travel on the lanes, questions and answers on
 * streams of their own. On the consensus lane a body is an engine's message, on the dissemination lane a bundle.
 */

/** The most bytes of one frame, question or answer: the largest view change of a full window fits. */
export const FRAME_BYTES_MAX: number = 16 * 1024 * 1024;

/** Bodies of one answer; the asker asks again for the rest. */
export const ANSWER_BODIES_MAX = 64;

/** Bundles of one answer about the DAG; the asker asks again for the rest. */
export const DAG_ITEMS_MAX = 512;

/** A vote and a view. */
const WITNESS_STATEMENTS_MAX = 2;

/** Asked for at a time. */
export const ASKED_DIGESTS_MAX = 256;

/** Vertices of one question whether they are accepted: one signature answers for all of them. */
export const ACCEPTED_ASKED_MAX = 64;

/** Bytes after which an answer is closed, so that one question cannot make a node read its whole disk. */
export const ANSWER_BYTES_SOFT_MAX: number = 4 * 1024 * 1024;

export type Frame = SealedFrame | RelayedFrame | StatusFrame;

/** Of what the sender said in one turn a part, with what is needed to find the root that the seal signs. */
export interface SealedFrame {
  readonly kind: "sealed";
  /** The sender's epoch, unsigned: a peer that is in another one passes the statements over instead of blaming. */
  readonly epoch: Epoch;
  readonly seal: Seal;
  readonly items: readonly FrameItem[];
  /** Digests of the turn's tree beside the paths of the items (`MerkleTree.complement`), one behind the other. */
  readonly complement: Uint8Array;
}

export interface FrameItem {
  /** Its statement's place among the turn's leaves; strictly ascending in a frame. */
  readonly index: number;
  readonly body: Uint8Array;
}

/** Messages of others, each with its own proof. */
export interface RelayedFrame {
  readonly kind: "relayed";
  readonly epoch: Epoch;
  readonly messages: readonly ProvenBody[];
}

export interface ProvenBody {
  readonly body: Uint8Array;
  readonly proof: Proof;
}

/** A hint about the sender, unsigned. */
export interface StatusFrame {
  readonly kind: "status";
  readonly epoch: Epoch;
  readonly status: PeerStatus;
  /** For each validator's lane, up to which nonce the sender holds it without a gap. */
  readonly lanes: readonly Nonce[];
}

export type Question =
  | { readonly kind: "bundles"; readonly digests: readonly Hash[] }
  | { readonly kind: "batches"; readonly digests: readonly Hash[] }
  | { readonly kind: "committed"; readonly from: Sequence }
  /** What the asked one heard this validator say, with its own signatures. */
  | { readonly kind: "witness"; readonly validator: ValidatorIndex }
  /** Bundles of a leaderless network by their last vertices; the answer is that to `bundles`. */
  | { readonly kind: "vertices"; readonly tips: readonly Hash[] }
  /** Bundles of a leaderless network above these nonces of each lane, from one creator on, and how far each is decided. */
  | {
      readonly kind: "dag";
      readonly above: readonly Nonce[];
      readonly start: ValidatorIndex;
      /** Whether the asker begins an epoch, and must hear what earlier ones certified. */
      readonly isForEpoch: boolean;
    }
  /** The signed word of validators of this epoch that they have executed up to this sequence, and with which state. */
  | { readonly kind: "state"; readonly epoch: Epoch; readonly sequence: Sequence }
  /** The newest snapshot of a state above this one that a quorum certified as a checkpoint. */
  | { readonly kind: "snapshot"; readonly above: Sequence }
  /** A chunk of the snapshot after this batch, by its number in the manifest's order, from 1. */
  | { readonly kind: "chunk"; readonly sequence: Sequence; readonly number: number }
  /** How an epoch ended, and with which validators the next one began. */
  | { readonly kind: "epoch-end"; readonly epoch: Epoch }
  /** The last certificate that the asked one keeps of a state after one of these batches, both ends among them. */
  | { readonly kind: "certified"; readonly from: Sequence; readonly to: Sequence }
  /** The signed word of a validator of this epoch that it has accepted these vertices. */
  | { readonly kind: "accepted"; readonly epoch: Epoch; readonly vertices: readonly Hash[] };

/** What is asked about a leaderless network's bundles. */
export type AboutDag = Omit<Extract<Question, { readonly kind: "dag" }>, "kind">;

export interface BundlesAnswer {
  readonly bundles: readonly ProvenBody[];
}

/** A bundle of a leaderless network, and what its sender says of it (`DagClaim`). */
export interface DagItem {
  readonly bundle: ProvenBody;
  readonly state: DagClaim["state"];
  readonly undecided: readonly number[];
  readonly rejected: readonly number[];
  /** What it knows to be certified, for who begins an epoch; else nothing. */
  readonly certified: readonly DagCertificate[];
}

export interface DagAnswer {
  readonly epoch: Epoch;
  /** Epochs in which it came to vote. */
  readonly passed: readonly Epoch[];
  /** Ascending by creator and nonce. */
  readonly items: readonly DagItem[];
  /** Nothing lies behind these. */
  readonly isLast: boolean;
}

export interface BatchesAnswer {
  readonly batches: readonly Batch[];
}

export interface WitnessAnswer {
  /** Its furthest vote and its highest view, as far as they were heard. */
  readonly statements: readonly HeardStatement[];
  /** Its newest bundle that is held. */
  readonly bundle: ProvenBody | null;
  /** Its newest bundle of a leaderless network that is held. */
  readonly dagBundle: ProvenBody | null;
  /** The newest stable checkpoint certificate, encoded. */
  readonly checkpoint: Uint8Array | null;
}

export interface CommittedAnswer {
  /** Encoded `CommittedSlot`s, ascending without gaps. */
  readonly slots: readonly Uint8Array[];
  /** The newest stable checkpoint certificate, encoded. */
  readonly checkpoint: Uint8Array | null;
  /** What was asked for, where it is there; else where the answerer's log begins: for what lies before there are snapshots. */
  readonly first: Sequence;
}

/** What of a snapshot is proved by its certificate, and the manifest that its root must bear out. */
export interface SnapshotOffer {
  /** An encoded `StateCertificate`. */
  readonly certificate: Uint8Array;
  /** An encoded `MembershipState`: the certified state names its digest. */
  readonly membership: Uint8Array;
  /** An encoded `Manifest`. */
  readonly manifest: Uint8Array;
}

const nonceCodec: Codec<Nonce> = mapped(
  u64,
  (value) => value as Nonce,
  (value) => value,
);
const viewCodec: Codec<View> = mapped(
  u64,
  (value) => value as View,
  (value) => value,
);
const sequenceCodec: Codec<Sequence> = mapped(
  u64,
  (value) => value as Sequence,
  (value) => value,
);
const body: Codec<Uint8Array> = bytes(FRAME_BYTES_MAX);

const statusCodec: Codec<PeerStatus> = struct<PeerStatus>({
  view: viewCodec,
  active: bool,
  executed: sequenceCodec,
  stable: sequenceCodec,
});

export const provenBodyCodec: Codec<ProvenBody> = struct<ProvenBody>({ body, proof: proofCodec });

export const frameCodec: Codec<Frame> = union<Frame>({
  sealed: variant<SealedFrame>("sealed", {
    epoch: epochCodec,
    seal: sealCodec,
    items: vec(struct<FrameItem>({ index: u16, body }), SEAL_LEAVES_MAX),
    complement: bytes(HASH_BYTES * SEAL_LEAVES_MAX),
  }),
  relayed: variant<RelayedFrame>("relayed", { epoch: epochCodec, messages: vec(provenBodyCodec, ANSWER_BODIES_MAX) }),
  status: variant<StatusFrame>("status", {
    epoch: epochCodec,
    status: statusCodec,
    lanes: vec(nonceCodec, VALIDATORS_MAX),
  }),
});

/** About how many bytes a frame takes. */
export function frameSizeHint(frame: Frame): number {
  switch (frame.kind) {
    case "sealed":
      return frame.items.reduce((sum, item) => sum + item.body.length + 16, 5_000 + frame.complement.length);
    case "relayed":
      return frame.messages.reduce((sum, { body: bytes_ }) => sum + bytes_.length + 6_000, 16);
    case "status":
      return 64 + 16 * frame.lanes.length;
    default:
      return unreachable(frame);
  }
}

export const questionCodec: Codec<Question> = union<Question>({
  bundles: variant("bundles", { digests: vec(hash, ASKED_DIGESTS_MAX) }),
  batches: variant("batches", { digests: vec(hash, ASKED_DIGESTS_MAX) }),
  committed: variant("committed", { from: sequenceCodec }),
  witness: variant("witness", { validator: validatorIndexCodec }),
  vertices: variant("vertices", { tips: vec(hash, ASKED_DIGESTS_MAX) }),
  dag: variant("dag", { above: vec(nonceCodec, VALIDATORS_MAX), start: validatorIndexCodec, isForEpoch: bool }),
  state: variant("state", { epoch: epochCodec, sequence: sequenceCodec }),
  snapshot: variant("snapshot", { above: sequenceCodec }),
  chunk: variant("chunk", { sequence: sequenceCodec, number: u32 }),
  "epoch-end": variant("epoch-end", { epoch: epochCodec }),
  certified: variant("certified", { from: sequenceCodec, to: sequenceCodec }),
  accepted: variant("accepted", { epoch: epochCodec, vertices: vec(hash, ACCEPTED_ASKED_MAX) }),
});

/** The answerer's own word, or a quorum's; nothing where it did not execute it as a validator. */
export interface StateAnswer {
  readonly proofs: readonly Proof[];
}

export const stateAnswerCodec: Codec<StateAnswer> = struct<StateAnswer>({ proofs: vec(proofCodec, VALIDATORS_MAX) });

export interface CertifiedAnswer {
  /** An encoded `StateCertificate`; null where the answerer keeps none of these. */
  readonly certificate: Uint8Array | null;
}

export const certifiedAnswerCodec: Codec<CertifiedAnswer> = struct<CertifiedAnswer>({ certificate: option(body) });

export interface AcceptedAnswer {
  /** Of the vertices that were asked about, those that the answerer has accepted; ascending. */
  readonly indices: readonly number[];
  /** Over one statement for each of them, in that order; null where there are none, or it is no validator of that epoch. */
  readonly seal: Seal | null;
}

export const acceptedAnswerCodec: Codec<AcceptedAnswer> = struct<AcceptedAnswer>({
  indices: vec(u16, ACCEPTED_ASKED_MAX),
  seal: option(sealCodec),
});

export const bundlesAnswerCodec: Codec<BundlesAnswer> = struct<BundlesAnswer>({
  bundles: vec(provenBodyCodec, ANSWER_BODIES_MAX),
});

const CLAIM_STATES = ["open", "certified", "accepted", "rejected"] as const;

const claimStateCodec: Codec<DagClaim["state"]> = {
  sizeMin: 1,
  encode: (writer, state) => writer.u8(CLAIM_STATES.indexOf(state)),
  decode: (reader) => {
    const byte = reader.u8();
    return CLAIM_STATES[byte] ?? reader.fail("unknown-variant", `state ${byte} of ${CLAIM_STATES.length}`);
  },
};

const vertexIndices: Codec<readonly number[]> = vec(u16, BUNDLE_VERTICES_MAX);

export const dagAnswerCodec: Codec<DagAnswer> = struct<DagAnswer>({
  epoch: epochCodec,
  passed: vec(epochCodec, CERTIFICATES_MAX),
  items: vec(
    struct<DagItem>({
      bundle: provenBodyCodec,
      state: claimStateCodec,
      undecided: vertexIndices,
      rejected: vertexIndices,
      certified: vec(dagCertificateCodec, CERTIFICATES_MAX),
    }),
    DAG_ITEMS_MAX,
  ),
  isLast: bool,
});

export const batchesAnswerCodec: Codec<BatchesAnswer> = struct<BatchesAnswer>({
  batches: vec(batchCodec, ANSWER_BODIES_MAX),
});

export const witnessAnswerCodec: Codec<WitnessAnswer> = struct<WitnessAnswer>({
  statements: vec(
    struct<HeardStatement>({ epoch: epochCodec, statement: statementCodec, proof: proofCodec }),
    WITNESS_STATEMENTS_MAX,
  ),
  bundle: option(provenBodyCodec),
  dagBundle: option(provenBodyCodec),
  checkpoint: option(body),
});

export const committedAnswerCodec: Codec<CommittedAnswer> = struct<CommittedAnswer>({
  slots: vec(body, ANSWER_BODIES_MAX),
  checkpoint: option(body),
  first: sequenceCodec,
});

export const snapshotAnswerCodec: Codec<{ readonly offer: SnapshotOffer | null }> = struct<{
  offer: SnapshotOffer | null;
}>({ offer: option(struct<SnapshotOffer>({ certificate: body, membership: body, manifest: body })) });

/** One chunk, or one encoded `EpochLink`; null where the answerer has none. */
export const pieceAnswerCodec: Codec<{ readonly piece: Uint8Array | null }> = struct<{ piece: Uint8Array | null }>({
  piece: option(body),
});
