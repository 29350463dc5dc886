import type { Codec } from "../codec/codec.ts";
import { option, struct } from "../codec/composites.ts";
import { hash, u16 } from "../codec/primitives.ts";
import type { Hash } from "../lib/hash.ts";

/** A thing that is decided: one vertex of a bundle, or, where `vertex` is null, the bundle's place in its lane. */
export interface Unit {
  readonly bundle: Hash;
  readonly vertex: number | null;
}

/** What the ordered log decided about a conflict that sampling left open. */
export interface Resolution {
  readonly winner: Unit;
  /** The conflict sets that it wins: every other member has lost. */
  readonly sets: readonly Hash[];
}

export const unitCodec: Codec<Unit> = struct<Unit>({ bundle: hash, vertex: option(u16) });

/** One text for each unit, to find it by. */
export function unitKey({ bundle, vertex }: Unit): string {
  return vertex === null ? bundle : `${bundle}/${vertex}`;
}

export function isSameUnit(left: Unit, right: Unit): boolean {
  return left.bundle === right.bundle && left.vertex === right.vertex;
}
