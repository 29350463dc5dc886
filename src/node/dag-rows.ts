import type { Codec } from "../codec/codec.ts";
import { mapped, struct, vec } from "../codec/composites.ts";
import { hash, u16, u32, u64, u8 } from "../codec/primitives.ts";
import type { LaneTip } from "../dag/lanes.ts";
import { BUNDLE_VERTICES_MAX } from "../dag/limits.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, Position, ValidatorIndex } from "../membership/ids.ts";
import { validatorIndexCodec } from "../membership/seal.ts";

const PLACES = ["open", "accepted", "rejected"] as const;

export type DagPlace = (typeof PLACES)[number];

/** How far a bundle is decided: `dag_status`, under the key of its bundle. Absent where nothing is. */
export interface DagStanding {
  readonly place: DagPlace;
  /** Vertices that are open though the place is accepted, ascending; none while the place is open. */
  readonly undecided: readonly number[];
  /** Vertices that lost, ascending. */
  readonly rejected: readonly number[];
  /** 1 + the larger height of its parents; genesis has height 0. 0 until the place is accepted. */
  readonly height: number;
}

/** Vertices of one bundle that took consecutive local places: `accepted`, under the first of them. */
export interface AcceptedRun {
  readonly bundle: Hash;
  readonly creator: ValidatorIndex;
  readonly firstNonce: Nonce;
  /** The first of them, by its number in the bundle. */
  readonly first: number;
  readonly count: number;
  readonly height: number;
  /** Milliseconds since 1970; monotone along the local order. */
  readonly timestampMs: number;
}

/** Up to where this node's own order of acceptance goes. */
export interface LocalOrder {
  /** The last vertex's place; 0 before the first. */
  readonly position: Position;
  readonly timestampMs: number;
}

const nonce: Codec<Nonce> = mapped(
  u64,
  (value) => value as Nonce,
  (value) => value,
);

const placeCodec: Codec<DagPlace> = {
  sizeMin: 1,
  encode: (writer, place) => writer.u8(PLACES.indexOf(place)),
  decode: (reader) => {
    const byte = u8.decode(reader);
    return PLACES[byte] ?? reader.fail("unknown-variant", `place ${byte} of ${PLACES.length}`);
  },
};

const indices: Codec<readonly number[]> = vec(u16, BUNDLE_VERTICES_MAX);

export const dagStandingCodec: Codec<DagStanding> = struct<DagStanding>({
  place: placeCodec,
  undecided: indices,
  rejected: indices,
  height: u64,
});

export const acceptedRunCodec: Codec<AcceptedRun> = struct<AcceptedRun>({
  bundle: hash,
  creator: validatorIndexCodec,
  firstNonce: nonce,
  first: u16,
  count: u32,
  height: u64,
  timestampMs: u64,
});

export const localOrderCodec: Codec<LocalOrder> = struct<LocalOrder>({
  position: mapped(
    u64,
    (value) => value as Position,
    (value) => value,
  ),
  timestampMs: u64,
});

export const laneTipCodec: Codec<LaneTip> = struct<LaneTip>({ nonce, tip: hash });

export const OPEN_STANDING: DagStanding = { place: "open", undecided: [], rejected: [], height: 0 };

/** Whether nothing of such a bundle is open. */
export function isSettled({ place, undecided }: DagStanding): boolean {
  return place === "rejected" || (place === "accepted" && undecided.length === 0);
}

/** The vertices of a bundle of `count` that such a standing says are accepted, ascending. */
export function acceptedOf({ place, undecided, rejected }: DagStanding, count: number): readonly number[] {
  if (place !== "accepted") return [];
  const others = new Set([...undecided, ...rejected]);
  return Array.from({ length: count }, (_, index) => index).filter((index) => !others.has(index));
}
