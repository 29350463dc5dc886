import { type Codec, decode, encode } from "../codec/codec.ts";
import { struct } from "../codec/composites.ts";
import { bytes } from "../codec/primitives.ts";
import { membershipDigest, type MembershipState, membershipStateCodec } from "../membership/membership-state.ts";
import type { ExecutionState } from "../replication/executor.ts";
import { checkCertificate, type SignatureCheck } from "./certified.ts";
import { LightError } from "./light-error.ts";
import { type StateCertificate, stateCertificateCodec } from "./state-certificate.ts";
import { membershipFault, type Trusted } from "./trusted.ts";

/** How one epoch ended: a quorum of its validators certifies the state with the validators of the next one. */
export interface EpochLink {
  readonly certificate: StateCertificate;
  /** An encoded `MembershipState`: the state names its digest. */
  readonly membership: Uint8Array;
}

/** About 2.8 kB for each validator that the network ever had, with reports and approvals. */
const MEMBERSHIP_BYTES_MAX = 8 * 1024 * 1024;

export const epochLinkCodec: Codec<EpochLink> = struct<EpochLink>({
  certificate: stateCertificateCodec,
  membership: bytes(MEMBERSHIP_BYTES_MAX),
});

export function encodeLink(link: EpochLink): Uint8Array {
  return encode(epochLinkCodec, link, link.membership.length + 5_000 * link.certificate.proofs.length);
}

/**
 * The validators that come after these links, each of which follows the one before it.
 * @throws LightError for the first that does not hold; nothing behind it was looked at
 */
export function followEpochs(trusted: Trusted, links: readonly Uint8Array[], check: SignatureCheck): Trusted {
  return links.reduce((from, bytes_) => followEpoch(from, bytes_, check), trusted);
}

function followEpoch(trusted: Trusted, bytes_: Uint8Array, check: SignatureCheck): Trusted {
  const link = decodeLink(bytes_);
  const { epoch } = trusted.membership;
  const { state } = checkCertificate(trusted, link.certificate, check);
  if (link.certificate.epoch !== epoch) {
    throw new LightError("wrong-epoch", `the end of epoch ${link.certificate.epoch}, where that of ${epoch} is next`);
  }
  if (state.epoch !== epoch + 1 || state.epochBase !== state.sequence) {
    throw new LightError("not-proved", `a state after batch ${state.sequence} at which epoch ${epoch} did not end`);
  }
  return { genesis: trusted.genesis, membership: membershipIn(link, state) };
}

function membershipIn(link: EpochLink, state: ExecutionState): MembershipState {
  const membership = decodeWith(() => decode(membershipStateCodec, link.membership));
  if (membershipDigest(membership) !== state.membership || membership.epoch !== state.epoch) {
    throw new LightError("not-proved", `the validators are not those of epoch ${state.epoch} that were certified`);
  }
  const fault = membershipFault(membership);
  if (fault !== null) throw new LightError("malformed", `the validators of epoch ${state.epoch}: ${fault}`);
  return membership;
}

function decodeLink(bytes_: Uint8Array): EpochLink {
  return decodeWith(() => decode(epochLinkCodec, bytes_));
}

function decodeWith<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new LightError("malformed", `this is no link to the next epoch: ${String(cause)}`, { cause });
  }
}
