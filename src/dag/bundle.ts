import type { Codec } from "../codec/codec.ts";
import { mapped, struct, vec } from "../codec/composites.ts";
import { bytes, hash, u64 } from "../codec/primitives.ts";
import { Writer } from "../codec/writer.ts";
import { hashOf } from "../crypto/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import { assert, present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import { epochCodec } from "../membership/evidence.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import { validatorIndexCodec } from "../membership/seal.ts";
import type { Statement } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import {
  BUNDLE_PAYLOAD_BYTES_MAX,
  BUNDLE_VERTICES_MAX,
  PARENTS_MAX,
  PAYLOAD_BYTES_MAX,
  RESOLUTION_PAYLOAD_BYTES_MAX,
} from "./limits.ts";
import { contentOf, type Vertex, vertexHeader, vertexIdWith } from "./vertex.ts";

/**
 * `application` and `membership` bundles wait in their creator's lane until the log orders them, as do those of purpose
 * `resolution`, which carry reports of conflicts that stay open (`report.ts`). A `dag` bundle holds clients' payloads of a
 * leaderless network, which its own engine decides, vertex by vertex. The order is that of the wire.
 */
const PURPOSES = ["application", "membership", "dag", "resolution"] as const;

export type BundlePurpose = (typeof PURPOSES)[number];

/**
 * The vertices that one creator made in one turn: what is signed, spread, stored and proposed as a whole (Narwhal's
 * batches, Danezis et al. 2022, §3; Autobahn's lanes, Giridharan et al. 2024, §5). They have consecutive nonces and share
 * time and parents. A creator's bundles form a lane: each names the last vertex of the one before as its first parent.
 */
export interface Bundle {
  readonly creator: ValidatorIndex;
  /** The first epoch of its creator's term; see `ValidatorSet.termOf`. */
  readonly term: Epoch;
  /** Clients' payloads, commands about the validator set, or reports: never mixed, so that no client can say one. */
  readonly purpose: BundlePurpose;
  readonly firstNonce: Nonce;
  readonly timestampMs: number;
  readonly parents: readonly Hash[];
  readonly payloads: readonly Uint8Array[];
}

/** What ordering needs to know of a bundle whose body is held. */
export interface BundleRef {
  readonly digest: Hash;
  readonly purpose: BundlePurpose;
  readonly creator: ValidatorIndex;
  readonly term: Epoch;
  readonly firstNonce: Nonce;
  readonly count: number;
  /** The lane's vertex before this bundle: `parents[0]`. */
  readonly previous: Hash;
  /** The bundle's last vertex. */
  readonly tip: Hash;
}

/** A bundle with its ids computed; made only by `holdBundle`, so the ids are right. */
export interface HeldBundle {
  readonly bundle: Bundle;
  readonly ref: BundleRef;
  readonly vertexIds: readonly Hash[];
}

/** A bundle without what it carries: its first fields on the wire. */
export type BundleHeader = Omit<Bundle, "parents" | "payloads">;

const purposeCodec: Codec<BundlePurpose> = {
  sizeMin: 1,
  encode: (writer, purpose) => writer.u8(PURPOSES.indexOf(purpose)),
  decode: (reader) => {
    const byte = reader.u8();
    return PURPOSES[byte] ?? reader.fail("unknown-variant", `purpose ${byte} of ${PURPOSES.length}`);
  },
};

const HEADER_FIELDS = {
  creator: validatorIndexCodec,
  term: epochCodec,
  purpose: purposeCodec,
  firstNonce: mapped(
    u64,
    (nonce) => nonce as Nonce,
    (nonce) => nonce,
  ),
  timestampMs: u64,
};

/** Reads the header and leaves the rest, for who need not walk the payloads. */
export const bundleHeaderCodec: Codec<BundleHeader> = struct<BundleHeader>(HEADER_FIELDS);

const parentsCodec = vec(hash, PARENTS_MAX);

const payloadsCodec: Codec<Bundle["payloads"]> = vec(bytes(PAYLOAD_BYTES_MAX), BUNDLE_VERTICES_MAX);

const reportsCodec: Codec<Bundle["payloads"]> = vec(bytes(RESOLUTION_PAYLOAD_BYTES_MAX), BUNDLE_VERTICES_MAX);

function payloadsCodecOf({ purpose }: Pick<Bundle, "purpose">): Codec<Bundle["payloads"]> {
  return purpose === "resolution" ? reportsCodec : payloadsCodec;
}

export const bundleCodec: Codec<Bundle> = {
  sizeMin: bundleHeaderCodec.sizeMin + parentsCodec.sizeMin + payloadsCodec.sizeMin,
  encode: (writer, bundle) => {
    bundleHeaderCodec.encode(writer, bundle);
    parentsCodec.encode(writer, bundle.parents);
    payloadsCodecOf(bundle).encode(writer, bundle.payloads);
  },
  decode: (reader) => {
    const header = bundleHeaderCodec.decode(reader);
    const parents = parentsCodec.decode(reader);
    return { ...header, parents, payloads: payloadsCodecOf(header).decode(reader) };
  },
};

/** Why a decoded bundle is not acceptable from anybody; null where it is well formed. */
export function bundleFault(network: NetworkContext, bundle: Bundle): string | null {
  if (!network.set.knows(bundle.creator)) return `creator ${bundle.creator} is not in the roster`;
  if (bundle.payloads.length === 0) return "a bundle without vertices";
  if (bundle.firstNonce < 1) return "nonces count from 1";
  if (!Number.isSafeInteger(bundle.firstNonce + bundle.payloads.length)) return "the nonces run past 2^53";
  const parents = bundle.purpose === "dag" ? 2 : 1;
  if (bundle.parents.length !== parents)
    return `${bundle.parents.length} parents of a ${bundle.purpose} bundle: ${parents} are named, the lane's last vertex first`;
  const total = bundle.payloads.reduce((sum, payload) => sum + payload.length, 0);
  if (total > BUNDLE_PAYLOAD_BYTES_MAX) return `${total} payload bytes, at most ${BUNDLE_PAYLOAD_BYTES_MAX}`;
  return null;
}

/** Computes every id of a well-formed bundle. */
export function holdBundle(network: NetworkContext, bundle: Bundle): HeldBundle {
  const fault = bundleFault(network, bundle);
  assert(fault === null, `a well-formed bundle: ${fault}`);
  const creator = network.set.at(bundle.creator).nodeId;
  const content = bundle.purpose === "dag" ? contentOf(bundle.payloads) : null;
  const header = vertexHeader(network.genesis, { ...bundle, creator }, content);
  const vertexIds = bundle.payloads.map((payload, index) => {
    return vertexIdWith(header, (bundle.firstNonce + index) as Nonce, payload);
  });
  const ref: BundleRef = {
    digest: bundleDigest(network, bundle, merkleRoot(vertexIds)),
    purpose: bundle.purpose,
    creator: bundle.creator,
    term: bundle.term,
    firstNonce: bundle.firstNonce,
    count: bundle.payloads.length,
    previous: present(bundle.parents[0], "a lane parent"),
    tip: present(vertexIds.at(-1), "a bundle's last vertex"),
  };
  return { bundle, ref, vertexIds };
}

export function vertexAt(bundle: Bundle, creator: NodeId, index: number): Vertex {
  return {
    creator,
    nonce: (bundle.firstNonce + index) as Nonce,
    timestampMs: bundle.timestampMs,
    parents: bundle.parents,
    payload: present(bundle.payloads[index], `payload ${index}`),
  };
}

/**
 * What a creator signs when it makes a bundle. Two bundles of one creator's term at one nonce are equivocation; the
 * leaderless lane counts its nonces apart from the ordered one.
 */
export function bundleStatement(ref: BundleRef): Statement {
  const phase = ref.purpose === "dag" ? "vertex" : "bundle";
  return { phase, view: ref.term, sequence: ref.firstNonce, digest: ref.digest };
}

/** What a bundle's digest says of it beside its vertices. */
export type BundleHead = Pick<Bundle, "creator" | "term" | "purpose" | "firstNonce" | "parents">;

/** The Merkle root of the vertex ids, bound to creator, term, purpose, nonces and time; a vertex is proved by its path to it. */
function bundleDigest(network: NetworkContext, bundle: Bundle, root: Hash): Hash {
  return bundleDigestOf(network, bundle, { count: bundle.payloads.length, root });
}

/** The digest of a bundle of which only the Merkle root of its vertex ids is known. */
export function bundleDigestOf(
  network: NetworkContext,
  head: BundleHead,
  vertices: { readonly count: number; readonly root: Hash },
): Hash {
  const writer = new Writer(128);
  writer.hash(network.genesis);
  writer.hash(network.set.at(head.creator).nodeId);
  writer.u64(head.term);
  writer.u8(PURPOSES.indexOf(head.purpose));
  writer.u64(head.firstNonce);
  writer.u64(vertices.count);
  writer.hash(vertices.root);
  // What a leaderless bundle's place conflicts with follows from its first parent: shown without any of its vertices.
  if (head.purpose === "dag") for (const parent of head.parents) writer.hash(parent);
  return hashOf("bundle", writer.finish());
}
