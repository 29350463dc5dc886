import { equalBytes } from "../lib/bytes.ts";
import type { Hash } from "../lib/hash.ts";
import type { Seal } from "../membership/seal.ts";

/** Seals that were verified lately. A seal recurs: on both lanes, in every vote of its turn, in certificates. 20 MB. */
export const KEPT_SEALS_MAX = 4096;

/**
 * Seals by what they sign, each once and in bytes of its own: a decoded one is a view that keeps its whole frame in memory,
 * and each of a turn's frames brings another. The oldest are forgotten.
 */
export class KeptSeals {
  readonly #seals = new Map<string, Seal>();

  /** The kept seal of these very signature bytes; null where there is none. */
  get(seal: Seal, root: Hash): Seal | null {
    const known = this.#seals.get(keyOf(seal, root));
    return known !== undefined && sameSeal(known, seal) ? known : null;
  }

  /** Keeps a copy, which replaces another seal of that signer and root. */
  add(seal: Seal, root: Hash): void {
    const key = keyOf(seal, root);
    this.#seals.delete(key);
    this.#seals.set(key, copyOf(seal));
    if (this.#seals.size <= KEPT_SEALS_MAX) return;
    const oldest = this.#seals.keys().next();
    if (oldest.done !== true) this.#seals.delete(oldest.value);
  }
}

/** The same seal without the frame that it came in. */
export function copyOf({ signer, leafCount, signature }: Seal): Seal {
  const { mlDsa, ed25519 } = signature;
  return { signer, leafCount, signature: { mlDsa: mlDsa.slice(), ed25519: ed25519?.slice() ?? null } };
}

function keyOf({ signer }: Seal, root: Hash): string {
  return `${signer}/${root}`;
}

function sameSeal(left: Seal, right: Seal): boolean {
  if (left === right) return true;
  if (left.leafCount !== right.leafCount) return false;
  const [leftEd, rightEd] = [left.signature.ed25519, right.signature.ed25519];
  if ((leftEd === null) !== (rightEd === null)) return false;
  if (leftEd !== null && rightEd !== null && !equalBytes(leftEd, rightEd)) return false;
  return equalBytes(left.signature.mlDsa, right.signature.mlDsa);
}
