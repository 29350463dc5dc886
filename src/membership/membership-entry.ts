import type { Codec } from "../codec/codec.ts";
import { option, struct, vec } from "../codec/composites.ts";
import { string, u8, u32 } from "../codec/primitives.ts";
import { assert } from "../lib/assert.ts";
import { ADDRESS_BYTES_MAX, type Candidate, NAME_BYTES_MAX, nodeIdCodec, publicKeysCodec } from "./candidate.ts";
import { epochCodec } from "./evidence.ts";
import type { Epoch } from "./ids.ts";
import { PPM } from "./reputation.ts";
import type { Validator } from "./validator-set.ts";

/** Where a validator of the roster stands. The order gives each its byte in the state; append only. */
const STANDINGS = ["active", "standby", "inactive", "left", "dismissed", "convicted"] as const;
export type Standing = (typeof STANDINGS)[number];

/**
 * Why an active validator loses its place, the most urgent first; the order gives each its byte; append only. The order is
 * relied on: what is proved comes before the operators' word, and that before what observers think (`isOpinion`).
 */
const CAUSES = ["evidence", "dismissed", "left", "inactivity", "reputation"] as const;
export type RemovalCause = (typeof CAUSES)[number];

/** Consecutive epochs in which a validator was active, both ends included. */
export interface Term {
  readonly since: Epoch;
  readonly until: Epoch;
}

/**
 * How many epochs back evidence reaches, and with it how long a validator's terms are remembered. A lie is found within
 * its epoch or soon after, because its two halves meet where both voted; after 256 further validator sets the signer's
 * votes count nowhere any more. Without a limit the state would have none either.
 */
export const EVIDENCE_EPOCHS_MAX = 256;

export interface MembershipEntry extends Validator {
  readonly address: string;
  readonly standing: Standing;
  /** Only while active: it loses its place as soon as the rules of a rotation allow it, and counts for n until then. */
  readonly condemned: RemovalCause | null;
  /** The first epoch of its newest term; null before the first term. */
  readonly activeSinceEpoch: Epoch | null;
  /** The last epoch of its newest term; null while that lasts. */
  readonly lastActiveEpoch: Epoch | null;
  /** Terms before the newest, oldest first, as far back as evidence reaches; every second epoch at most begins one. */
  readonly formerTerms: readonly Term[];
  /** What a quorum last held of it, 0 to 1,000,000; 1,000,000 at the start of a term. */
  readonly reputationPpm: number;
}

export const membershipEntryCodec: Codec<MembershipEntry> = struct<MembershipEntry>({
  nodeId: nodeIdCodec,
  publicKeys: publicKeysCodec,
  name: string(NAME_BYTES_MAX),
  address: string(ADDRESS_BYTES_MAX),
  standing: oneOf(STANDINGS),
  condemned: option(oneOf(CAUSES)),
  activeSinceEpoch: option(epochCodec),
  lastActiveEpoch: option(epochCodec),
  formerTerms: vec(struct<Term>({ since: epochCodec, until: epochCodec }), EVIDENCE_EPOCHS_MAX),
  reputationPpm: u32,
});

/** A node that was never a validator yet. The keys are copied: they may be a view into a whole bundle. */
export function newEntry(candidate: Candidate): MembershipEntry {
  const { nodeId, publicKeys, name, address } = candidate;
  return {
    nodeId,
    publicKeys: { mlDsa: publicKeys.mlDsa.slice(), ed25519: publicKeys.ed25519?.slice() ?? null },
    name,
    address,
    standing: "standby",
    condemned: null,
    activeSinceEpoch: null,
    lastActiveEpoch: null,
    formerTerms: [],
    reputationPpm: PPM,
  };
}

/** Its place begins with `epoch`. */
export function activated(entry: MembershipEntry, epoch: Epoch): MembershipEntry {
  const { activeSinceEpoch: since, lastActiveEpoch: until } = entry;
  const ended = since === null || until === null ? [] : [{ since, until }];
  return {
    ...entry,
    standing: "active",
    condemned: null,
    activeSinceEpoch: epoch,
    lastActiveEpoch: null,
    formerTerms: [...entry.formerTerms, ...ended].filter((term) => term.until + EVIDENCE_EPOCHS_MAX >= epoch),
    reputationPpm: PPM,
  };
}

/** Its place ended with `epoch`. */
export function deactivated(entry: MembershipEntry, cause: RemovalCause, epoch: Epoch): MembershipEntry {
  return { ...entry, standing: standingAfter(cause), condemned: null, lastActiveEpoch: epoch };
}

/** 0 is the most urgent. */
export function urgency(cause: RemovalCause): number {
  return CAUSES.indexOf(cause);
}

/** Whether this is what observers think of a validator, neither proved nor anybody's decision: it must never lower f. */
export function isOpinion(cause: RemovalCause): boolean {
  return cause === "inactivity" || cause === "reputation";
}

export function isConvicted(entry: MembershipEntry): boolean {
  return entry.standing === "convicted" || entry.condemned === "evidence";
}

/** Whether this was an active validator in that epoch, as far back as terms are remembered. */
export function wasActiveIn(entry: MembershipEntry, epoch: Epoch): boolean {
  if (entry.activeSinceEpoch === null) return false;
  if (epoch >= entry.activeSinceEpoch) return epoch <= (entry.lastActiveEpoch ?? epoch);
  return entry.formerTerms.some(({ since, until }) => since <= epoch && epoch <= until);
}

function standingAfter(cause: RemovalCause): Standing {
  switch (cause) {
    case "evidence":
      return "convicted";
    case "dismissed":
    case "left":
      return cause;
    case "inactivity":
    case "reputation":
      return "inactive";
  }
}

function oneOf<T extends string>(names: readonly T[]): Codec<T> {
  return {
    sizeMin: 1,
    encode: (writer, name) => {
      assert(names.includes(name), `one of ${names.join(", ")}, not ${name}`);
      u8.encode(writer, names.indexOf(name));
    },
    decode: (reader) => {
      const byte = reader.u8();
      return names[byte] ?? reader.fail("unknown-variant", `byte ${byte} of ${names.length} names`);
    },
  };
}
