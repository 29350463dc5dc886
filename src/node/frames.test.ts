import { describe, expect, test } from "bun:test";
import { hashOf } from "../crypto/hash.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import type { Seal } from "../membership/seal.ts";
import { type Addressed, type Receivers, sealedFrames } from "./frames.ts";

const SEAL: Seal = {
  signer: 0 as ValidatorIndex,
  leafCount: 3,
  signature: { mlDsa: new Uint8Array(1), ed25519: null },
};

function statement(to: Receivers, byte: number): Parameters<typeof sealedFrames>[2][number] {
  const body = new Uint8Array([byte]);
  return { lane: "consensus", to, body, leaf: hashOf("statement", body) };
}

/** Which bodies each frame carries, by receivers. */
function bodies(frames: readonly Addressed[]): readonly (readonly [Receivers, readonly number[]])[] {
  return frames.map(({ to, frame }) => {
    if (frame.kind !== "sealed") throw new Error("a sealed frame");
    return [to, frame.items.flatMap((item) => (item.kind === "body" ? [...item.body] : []))];
  });
}

const peers = (...places: readonly number[]): readonly ValidatorIndex[] => places as readonly ValidatorIndex[];

describe("the frames of one turn", () => {
  test("a statement to several is one frame that all of them get", () => {
    const frames = sealedFrames(SEAL, 0 as Epoch, [statement(peers(1, 2), 7), statement("all", 8)]);
    expect(bodies(frames)).toEqual([
      ["all", [8]],
      [peers(1, 2), [7]],
    ]);
  });

  test("who gets one statement more has a frame of its own, with leaves for the rest", () => {
    const frames = sealedFrames(SEAL, 0 as Epoch, [
      statement(peers(1, 2, 3), 7),
      statement(2 as ValidatorIndex, 9),
      statement(peers(3), 10),
    ]);
    expect(bodies(frames)).toEqual([
      [peers(1), [7]],
      [peers(2), [7, 9]],
      [peers(3), [7, 10]],
    ]);
    for (const { frame } of frames) if (frame.kind === "sealed") expect(frame.items).toHaveLength(3);
  });
});
