import type { Codec } from "../codec/codec.ts";
import { mapped, union, variant, vec } from "../codec/composites.ts";
import { bytes, hash, u16, u64 } from "../codec/primitives.ts";
import { merklePath, merklePathLengthMax, merkleRoot, rootFromPath } from "../crypto/merkle.ts";
import { assert, present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import { epochCodec } from "../membership/evidence.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import { validatorIndexCodec } from "../membership/seal.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { bundleDigestOf, type HeldBundle } from "./bundle.ts";
import { conflictSetOf, forkSetOf, openEnvelope } from "./conflict-keys.ts";
import { BUNDLE_VERTICES_MAX, PARENTS_MAX, PAYLOAD_BYTES_MAX } from "./limits.ts";
import type { Unit } from "./unit.ts";
import { contentOf, vertexHeader, vertexIdWith } from "./vertex.ts";

/** What a `dag` bundle's digest binds beside its vertices. */
interface Head {
  readonly creator: ValidatorIndex;
  readonly term: Epoch;
  readonly firstNonce: Nonce;
  readonly count: number;
  readonly parents: readonly Hash[];
}

/**
 * Enough of a `dag` bundle to tell, given nothing else, its digest and which conflict sets one of its units belongs to.
 * It says nothing about who signed the bundle, or whether anybody holds it.
 */
export type UnitProof = PlaceProof | VertexProof;

export interface PlaceProof extends Head {
  readonly kind: "place";
  /** The Merkle root of the vertex ids. */
  readonly root: Hash;
}

export interface VertexProof extends Head {
  readonly kind: "vertex";
  readonly timestampMs: number;
  /** What all vertices of the bundle say of its payloads. */
  readonly content: Hash;
  readonly index: number;
  readonly payload: Uint8Array;
  /** From the vertex id to the bundle's root. */
  readonly path: readonly Hash[];
}

/**
 * A unit with what it can be in conflict about.
 *
 * A vertex is a member of the sets of its declared keys, and of no other; a place of its lane is a member of its fork set.
 * A vertex is not counted as a member of its bundle's fork set, though it dies with a place that loses: two vertices of
 * one bundle would then share a set without being in conflict, and a promise not to vote on a contested vertex's sets would
 * stop its bundle and the lane behind it, so that a rogue vertex would cost more than itself. Who judges must therefore
 * look at `place` too: where the log gave it to another bundle, the vertex has lost.
 */
export interface Member {
  readonly unit: Unit;
  readonly sets: readonly Hash[];
  /** The fork set of the unit's bundle. */
  readonly place: Hash;
}

const HEAD_FIELDS = {
  creator: validatorIndexCodec,
  term: epochCodec,
  firstNonce: mapped(
    u64,
    (value) => value as Nonce,
    (value) => value,
  ),
  count: u16,
  parents: vec(hash, PARENTS_MAX),
};

/** At most a payload and 512 bytes. */
export const unitProofCodec: Codec<UnitProof> = union<UnitProof>({
  place: variant<PlaceProof>("place", { ...HEAD_FIELDS, root: hash }),
  vertex: variant<VertexProof>("vertex", {
    ...HEAD_FIELDS,
    timestampMs: u64,
    content: hash,
    index: u16,
    payload: bytes(PAYLOAD_BYTES_MAX),
    path: vec(hash, merklePathLengthMax(BUNDLE_VERTICES_MAX)),
  }),
});

/** The proof of a held `dag` bundle's place (`vertex` null), or of one of its vertices. */
export function proveUnit({ bundle, ref, vertexIds }: HeldBundle, vertex: number | null): UnitProof {
  assert(ref.purpose === "dag", `a bundle of purpose dag, not ${ref.purpose}`);
  const { creator, term, firstNonce, count } = ref;
  const { timestampMs, parents } = bundle;
  const head: Head = { creator, term, firstNonce, count, parents };
  if (vertex === null) return { kind: "place", ...head, root: merkleRoot(vertexIds) };
  const payload = present(bundle.payloads[vertex], `payload ${vertex} of ${count}`);
  const path = merklePath(vertexIds, vertex);
  return { kind: "vertex", ...head, timestampMs, content: contentOf(bundle.payloads), index: vertex, payload, path };
}

/**
 * The unit that a proof is of. Null where it proves none, whoever made it: the creator is not in the roster, the fields
 * fit no bundle, or the vertex carries no envelope.
 *
 * Two proofs that open to one unit open to the same sets: the digest binds creator, term, first nonce, parents, count and root, the
 * root its leaves and their number, and a leaf its payload.
 */
export function openUnit(network: NetworkContext, proof: UnitProof): Member | null {
  const { count, firstNonce, parents } = proof;
  const [previous] = parents;
  if (previous === undefined || parents.length !== PARENTS_MAX) return null;
  if (!network.set.knows(proof.creator)) return null;
  if (count < 1 || count > BUNDLE_VERTICES_MAX || firstNonce < 1) return null;
  if (!Number.isSafeInteger(firstNonce + count)) return null;
  const root = proof.kind === "place" ? proof.root : rootOfVertex(network, proof);
  if (root === null) return null;
  const bundle = bundleDigestOf(network, { ...proof, purpose: "dag" }, { count, root });
  const place = forkSetOf({ ...proof, previous });
  if (proof.kind === "place") return { unit: { bundle, vertex: null }, sets: [place], place };
  const envelope = openEnvelope(proof.payload);
  if (envelope === null) return null;
  return { unit: { bundle, vertex: proof.index }, sets: envelope.conflictKeys.map(conflictSetOf), place };
}

function rootOfVertex(network: NetworkContext, proof: VertexProof): Hash | null {
  const { nodeId: creator } = network.set.at(proof.creator);
  const header = vertexHeader(network.genesis, { ...proof, creator }, proof.content);
  const id = vertexIdWith(header, (proof.firstNonce + proof.index) as Nonce, proof.payload);
  return rootFromPath(id, proof.index, proof.count, proof.path);
}
