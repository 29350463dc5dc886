import { type Codec, encode } from "../codec/codec.ts";
import { mapped, option, struct } from "../codec/composites.ts";
import { fixedBytes, hash, string } from "../codec/primitives.ts";
import { type NodeId, nodeIdOf, type PublicKeys } from "../crypto/identity.ts";
import { ED25519_PUBLIC_KEY_BYTES, ML_DSA_87_PUBLIC_KEY_BYTES } from "../crypto/signature.ts";
import type { NetworkContext } from "./validator-set.ts";

/** Bytes in UTF-8 of a name, as in the genesis file. */
export const NAME_BYTES_MAX = 256;

/** A DNS name has at most 255 bytes (RFC 1035 §2.3.4); then a colon and a port. */
export const ADDRESS_BYTES_MAX = 262;

/** A node that validators may approve of: all that the others need to verify it and to find it. */
export interface Candidate {
  readonly nodeId: NodeId;
  readonly publicKeys: PublicKeys;
  /** For people; 1 to 256 bytes, or empty for a validator that comes back. */
  readonly name: string;
  /** `host:port` of its QUIC socket: where others look for it first; empty for a validator that comes back to where it was. */
  readonly address: string;
}

export const nodeIdCodec: Codec<NodeId> = mapped(
  hash,
  (id) => id as NodeId,
  (id) => id,
);

export const publicKeysCodec: Codec<PublicKeys> = struct<PublicKeys>({
  mlDsa: fixedBytes(ML_DSA_87_PUBLIC_KEY_BYTES),
  ed25519: option(fixedBytes(ED25519_PUBLIC_KEY_BYTES)),
});

export const candidateCodec: Codec<Candidate> = struct<Candidate>({
  nodeId: nodeIdCodec,
  publicKeys: publicKeysCodec,
  name: string(NAME_BYTES_MAX),
  address: string(ADDRESS_BYTES_MAX),
});

/** A host without spaces (an IPv6 address in brackets) and a port from 1 to 65535. */
const ADDRESS = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:[\]/]+):([1-9][0-9]{0,4})$/;
const CONTROL = /\p{Cc}/u;

/** Why nobody can approve of this candidate; null where it is well formed. */
export function candidateFault(network: NetworkContext, candidate: Candidate): string | null {
  const { publicKeys, name, address } = candidate;
  if (publicKeys.mlDsa.length !== ML_DSA_87_PUBLIC_KEY_BYTES) return "an ML-DSA-87 public key of a wrong length";
  if (publicKeys.ed25519 !== null && publicKeys.ed25519.length !== ED25519_PUBLIC_KEY_BYTES) {
    return "an Ed25519 public key of a wrong length";
  }
  const isHybrid = network.set.roster.some((validator) => validator.publicKeys.ed25519 !== null);
  if (isHybrid !== (publicKeys.ed25519 !== null)) {
    return isHybrid ? "this network's validators have an Ed25519 key too" : "this network has no Ed25519 keys";
  }
  if (nodeIdOf(publicKeys) !== candidate.nodeId) return `node id ${candidate.nodeId} is not that of the public keys`;
  // Of a validator that comes back both are known; empty says that they stay.
  const isKnown = network.set.placeOf(candidate.nodeId) !== null;
  if ((name === "" && !isKnown) || utf8Length(name, NAME_BYTES_MAX) > NAME_BYTES_MAX || CONTROL.test(name)) {
    return `a name has 1 to ${NAME_BYTES_MAX} bytes and no control characters`;
  }
  if (address === "" && isKnown) return null;
  const port = Number(ADDRESS.exec(address)?.[1] ?? 0);
  if (port < 1 || port > 0xffff || utf8Length(address, ADDRESS_BYTES_MAX) > ADDRESS_BYTES_MAX) {
    return "an address is host:port, with a port from 1 to 65535";
  }
  return null;
}

/** Exact up to the limit, and above it somewhere above it: a character has one to three bytes for each UTF-16 unit. */
function utf8Length(text: string, limit: number): number {
  return text.length > limit ? text.length : encode(string(3 * limit), text).length - 8;
}
