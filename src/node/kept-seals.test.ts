import { describe, expect, test } from "bun:test";
import { hashOf } from "../crypto/hash.ts";
import { present } from "../lib/assert.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { Seal } from "../membership/seal.ts";
import { KEPT_SEALS_MAX, KeptSeals } from "./kept-seals.ts";

const rootOf = (number: number): ReturnType<typeof hashOf> =>
  hashOf("merkle-root", Uint8Array.of(number & 255, number >> 8));

/** A decoded seal: its signature is a view into a frame. */
function decoded(fill: number, leafCount = 3): Seal {
  const frame = new Uint8Array(50_000).fill(fill);
  const signature = { mlDsa: frame.subarray(10, 4_637), ed25519: frame.subarray(5_000, 5_064) };
  return { signer: 1 as ValidatorIndex, leafCount, signature };
}

describe("kept seals", () => {
  test("are one for all frames of a turn, and no view of any", () => {
    const seals = new KeptSeals();
    seals.add(decoded(7), rootOf(1));
    const kept = present(seals.get(decoded(7), rootOf(1)), "a kept seal");
    expect(seals.get(decoded(7), rootOf(1))).toBe(kept);
    expect(kept).toEqual(decoded(7));
    expect(kept.signature.mlDsa.buffer.byteLength).toBe(4_627);
    expect(kept.signature.ed25519?.buffer.byteLength).toBe(64);
  });

  test("are none for another signature, count or root", () => {
    const seals = new KeptSeals();
    seals.add(decoded(7), rootOf(1));
    expect(seals.get(decoded(8), rootOf(1))).toBeNull();
    expect(seals.get(decoded(7, 4), rootOf(1))).toBeNull();
    expect(seals.get(decoded(7), rootOf(2))).toBeNull();
    const { ed25519: _, ...mlDsa } = decoded(7).signature;
    expect(seals.get({ ...decoded(7), signature: { ...mlDsa, ed25519: null } }, rootOf(1))).toBeNull();
  });

  test("are bounded: the oldest go first", () => {
    const seals = new KeptSeals();
    const small: Seal = { ...decoded(7), signature: { mlDsa: new Uint8Array(1), ed25519: null } };
    for (let number = 0; number <= KEPT_SEALS_MAX; number++) seals.add(small, rootOf(number));
    expect(seals.get(small, rootOf(0))).toBeNull();
    expect(seals.get(small, rootOf(1))).not.toBeNull();
  });
});
