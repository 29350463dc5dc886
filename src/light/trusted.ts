import { type Codec, decode, encode } from "../codec/codec.ts";
import { struct } from "../codec/composites.ts";
import { hash } from "../codec/primitives.ts";
import { nodeIdOf } from "../crypto/identity.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch } from "../membership/ids.ts";
import {
  earlierSetsOf,
  type MembershipState,
  membershipStateCodec,
  validatorSetOf,
} from "../membership/membership-state.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { LightError } from "./light-error.ts";

/** The validators whose quorum is believed: those of the genesis file, or those that `followEpochs` came to. */
export interface Trusted {
  readonly genesis: Hash;
  readonly membership: MembershipState;
}

const trustedCodec: Codec<Trusted> = struct<Trusted>({ genesis: hash, membership: membershipStateCodec });

/** Null where that epoch is a later one, or further back than the membership remembers. */
export function networkOf({ genesis, membership }: Trusted, epoch: Epoch): NetworkContext | null {
  if (epoch === membership.epoch) return { genesis, set: validatorSetOf(membership) };
  const set = earlierSetsOf(membership).find((earlier) => earlier.epoch === epoch);
  return set === undefined ? null : { genesis, set };
}

/** To be kept, so that the next check begins where this one came to. Whoever can change it chooses whom to believe. */
export function encodeTrusted(trusted: Trusted): Uint8Array {
  return encode(trustedCodec, trusted, 4_096);
}

/** @throws LightError `malformed` */
export function decodeTrusted(bytes: Uint8Array): Trusted {
  let trusted: Trusted;
  try {
    trusted = decode(trustedCodec, bytes);
  } catch (cause) {
    throw new LightError("malformed", `these are no trusted validators: ${String(cause)}`, { cause });
  }
  const fault = membershipFault(trusted.membership);
  if (fault !== null) throw new LightError("malformed", `these are no trusted validators: ${fault}`);
  return trusted;
}

/** What decoding leaves open; null where a validator set can be made of it. */
export function membershipFault({ entries, rosterSize }: MembershipState): string | null {
  const roster = entries.slice(0, rosterSize);
  if (rosterSize > entries.length) return "more validators than entries";
  if (new Set(roster.map(({ nodeId }) => nodeId)).size !== roster.length) return "a validator twice";
  if (roster.some(({ nodeId, publicKeys }) => nodeIdOf(publicKeys) !== nodeId)) return "keys of another validator";
  const isAnyActive = roster.some(({ standing }) => standing === "active");
  return isAnyActive ? null : "no active validator";
}
