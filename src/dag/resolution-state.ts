import { type Codec, encode } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { bool, hash } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import type { Hash } from "../lib/hash.ts";
import { epochCodec } from "../membership/evidence.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import { validatorIndexCodec } from "../membership/seal.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";
import { CONFLICT_KEYS_MAX } from "./conflict-keys.ts";
import { type Resolution, type Unit, unitCodec } from "./unit.ts";
import type { Member } from "./unit-proof.ts";

/** How much the state may hold. */
export interface ResolutionBounds {
  /**
   * Open subjects of one reporter: its newest count, and it is no reporter any more of the one that was opened first. A
   * report that counts no more is never unsafe; its maker has to say it again.
   */
  readonly openPerReporter: number;
  /**
   * Rulings. Those of earlier epochs go first, the oldest before. Those of this epoch stay: a unit that lost may have been
   * certified, and its certificate would bring it back if nobody remembered. Where all are of this epoch, nothing further
   * is ruled before the next begins: conflicts stay open, at the cost of who made them.
   */
  readonly rulings: number;
}

/** At 100 validators that all report different subjects 2 MB are open; 8,192 rulings are 2 MB at most. */
export const RESOLUTION_BOUNDS: ResolutionBounds = { openPerReporter: 64, rulings: 8_192 };

/** A conflict that fewer than a quorum have reported. */
export interface OpenSubject {
  readonly subject: Member;
  /** Validators of this epoch, ascending. */
  readonly reporters: readonly ValidatorIndex[];
  /** The subject and units that conflict with it, of which a report carried a certificate, in the order of the reports. */
  readonly certified: readonly Member[];
}

/** What was decided about one unit. */
export interface Ruling {
  readonly epoch: Epoch;
  readonly unit: Unit;
  /** Whether it won `sets`, which are then all of its sets; else it lost, and `sets` is empty. */
  readonly won: boolean;
  readonly sets: readonly Hash[];
}

/**
 * What execution remembers of open conflicts; equal on every correct replica after the same sequence.
 *
 * Invariants: no set is won by two rulings; no open subject shares a set with a winner, or has a ruling of its own.
 */
export interface ResolutionState {
  /** In the order in which they were opened. */
  readonly open: readonly OpenSubject[];
  /** Oldest first. */
  readonly rulings: readonly Ruling[];
}

const setsCodec = vec(hash, CONFLICT_KEYS_MAX);

const memberCodec: Codec<Member> = struct<Member>({ unit: unitCodec, sets: setsCodec, place: hash });

export const resolutionStateCodec: Codec<ResolutionState> = struct<ResolutionState>({
  open: vec(
    struct<OpenSubject>({
      subject: memberCodec,
      reporters: vec(validatorIndexCodec, VALIDATORS_MAX),
      certified: vec(memberCodec, CONFLICT_KEYS_MAX + 1),
    }),
    VALIDATORS_MAX * RESOLUTION_BOUNDS.openPerReporter,
  ),
  rulings: vec(
    struct<Ruling>({ epoch: epochCodec, unit: unitCodec, won: bool, sets: setsCodec }),
    RESOLUTION_BOUNDS.rulings,
  ),
});

export const NO_RESOLUTIONS: ResolutionState = { open: [], rulings: [] };

/** States never change, and most batches leave theirs as it is: each is hashed once. */
const DIGESTS = new WeakMap<ResolutionState, Hash>();

/** Null where nothing is open and nothing was ever decided: an ordered network's state is then what it always was. */
export function resolutionDigest(state: ResolutionState): Hash | null {
  if (state.open.length === 0 && state.rulings.length === 0) return null;
  const known = DIGESTS.get(state);
  if (known !== undefined) return known;
  const digest = hashOf("resolution", encode(resolutionStateCodec, state, 4_096));
  DIGESTS.set(state, digest);
  return digest;
}

/** What the next epoch begins with: who reports did so in its own epoch, so nothing is open. */
export function withoutReports(state: ResolutionState): ResolutionState {
  return state.open.length === 0 ? state : { ...state, open: [] };
}

/** All that is remembered of what was decided, oldest first, for an engine that begins. */
export function rulingsOf({ rulings }: ResolutionState): {
  readonly decided: readonly Resolution[];
  readonly lost: readonly Unit[];
} {
  return {
    decided: rulings.filter(({ won }) => won).map(({ unit, sets }) => ({ winner: unit, sets })),
    lost: rulings.filter(({ won }) => !won).map(({ unit }) => unit),
  };
}
