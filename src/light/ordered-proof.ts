import type { Codec } from "../codec/codec.ts";
import { mapped, struct, variant, vec } from "../codec/composites.ts";
import { bytes, hash, u32, u64 } from "../codec/primitives.ts";
import { merklePathLengthMax, rootFromPath } from "../crypto/merkle.ts";
import { bundleDigestOf, type BundleHeader, bundleHeaderCodec } from "../dag/bundle.ts";
import { BATCH_BUNDLES_MAX, BUNDLE_VERTICES_MAX, PARENTS_MAX, RESOLUTION_PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import { vertexHeader, vertexIdWith } from "../dag/vertex.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, Position, Sequence } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { executedLeaf, executedOf, historyAfter, type HistoryLink } from "../replication/executor.ts";
import { checkCertificate, type SignatureCheck } from "./certified.ts";
import { LightError } from "./light-error.ts";
import { type StateCertificate, stateCertificateCodec } from "./state-certificate.ts";
import type { Trusted } from "./trusted.ts";
import type { OrderedVerdict } from "./verdict.ts";

/** Batches between the vertex's own and the state that proves it; of 64 bytes each. */
export const HISTORY_LINKS_MAX = 4_096;

/** A vertex with its place in its bundle. */
export interface ProvenVertex {
  readonly header: BundleHeader;
  readonly parents: readonly Hash[];
  readonly count: number;
  readonly index: number;
  readonly payload: Uint8Array;
  /** From the vertex's id to the root over all of its bundle. */
  readonly path: readonly Hash[];
}

/**
 * That a vertex is final at a position: it lies in a bundle, the bundle took its place when a batch was executed, and that
 * execution is a part of the history of a state that a quorum certified.
 */
export interface OrderedProof {
  readonly kind: "ordered";
  readonly vertex: ProvenVertex;
  /** The place of the bundle's first vertex in the total order. */
  readonly firstPosition: Position;
  /** The bundle among those that its batch executed. */
  readonly executedIndex: number;
  readonly executedCount: number;
  readonly executedPath: readonly Hash[];
  /** The chain before the batch. */
  readonly historyBefore: Hash;
  readonly batch: Hash;
  /** The batches after it, up to the state. */
  readonly links: readonly HistoryLink[];
  readonly certificate: StateCertificate;
}

const provenVertexCodec: Codec<ProvenVertex> = struct<ProvenVertex>({
  header: bundleHeaderCodec,
  parents: vec(hash, PARENTS_MAX),
  count: u32,
  index: u32,
  payload: bytes(RESOLUTION_PAYLOAD_BYTES_MAX),
  path: vec(hash, merklePathLengthMax(BUNDLE_VERTICES_MAX)),
});

export const orderedProofCodec: Codec<OrderedProof> = variant<OrderedProof>("ordered", {
  vertex: provenVertexCodec,
  firstPosition: mapped(
    u64,
    (value) => value as Position,
    (value) => value,
  ),
  executedIndex: u32,
  executedCount: u32,
  executedPath: vec(hash, merklePathLengthMax(BATCH_BUNDLES_MAX)),
  historyBefore: hash,
  batch: hash,
  links: vec(struct<HistoryLink>({ batch: hash, executed: hash }), HISTORY_LINKS_MAX),
  certificate: stateCertificateCodec,
});

/**
 * Proves that the vertex of this hash is final, by the trusted validators alone.
 * @throws LightError where it is not proved, whatever the reason
 */
export function verifyOrdered(
  trusted: Trusted,
  wanted: Hash,
  proof: OrderedProof,
  check: SignatureCheck,
): OrderedVerdict {
  const { vertex, firstPosition, certificate } = proof;
  const { state, network, signers } = checkCertificate(trusted, certificate, check);
  const { id, bundle } = vertexIn(network, vertex);
  if (id !== wanted) throw new LightError("wrong-vertex", `the proof is of vertex ${id}, not of ${wanted}`);
  if (historyWith(proof, bundle) !== state.history) {
    throw new LightError("not-proved", `vertex ${id} is not in the history that was certified`);
  }
  const batch = (state.sequence - proof.links.length) as Sequence;
  const position = (firstPosition + vertex.index) as Position;
  if (batch < 1 || !Number.isSafeInteger(position)) throw new LightError("not-proved", "a place before the first");
  const { set } = network;
  return {
    kind: "ordered",
    hash: id,
    position,
    batch,
    creator: set.at(vertex.header.creator).nodeId,
    nonce: (vertex.header.firstNonce + vertex.index) as Nonce,
    purpose: vertex.header.purpose,
    payload: vertex.payload,
    epoch: set.epoch,
    certifiedBatch: state.sequence,
    signers,
    quorum: set.quorum,
    validators: set.size,
  };
}

function vertexIn(network: NetworkContext, vertex: ProvenVertex): { readonly id: Hash; readonly bundle: Hash } {
  const { header, parents, index, count, payload, path } = vertex;
  const fault = (why: string): LightError => new LightError("malformed", `the vertex in the proof: ${why}`);
  if (!network.set.knows(header.creator)) throw fault(`creator ${header.creator} is not in the roster`);
  if (header.purpose === "dag")
    throw fault("a leaderless network's are in no total order, their proofs are of another kind");
  if (count < 1 || count > BUNDLE_VERTICES_MAX || index >= count) throw fault(`vertex ${index} of ${count}`);
  if (header.firstNonce < 1 || !Number.isSafeInteger(header.firstNonce + count)) throw fault("nonces out of range");
  const creator = network.set.at(header.creator).nodeId;
  const shared = vertexHeader(network.genesis, { ...header, creator, parents });
  const id = vertexIdWith(shared, (header.firstNonce + index) as Nonce, payload);
  const root = rootFromPath(id, index, count, path);
  if (root === null) throw fault("its path fits no bundle");
  return { id, bundle: bundleDigestOf(network, { ...header, parents }, { count, root }) };
}

/** The end of the chain of histories in which this bundle was executed as the proof says. */
function historyWith(proof: OrderedProof, bundle: Hash): Hash | null {
  const { firstPosition, executedIndex, executedCount, executedPath, historyBefore, batch, links } = proof;
  const leaf = executedLeaf({ bundle, firstPosition });
  const root = rootFromPath(leaf, executedIndex, executedCount, executedPath);
  if (root === null) return null;
  const after = historyAfter(historyBefore, { batch, executed: executedOf(root) });
  return links.reduce((history, link) => historyAfter(history, link), after);
}
