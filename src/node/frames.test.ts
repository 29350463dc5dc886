import { describe, expect, test } from "bun:test";
import { hashOf } from "../crypto/hash.ts";
import { MerkleTree } from "../crypto/merkle.ts";
import { PartialTree } from "../crypto/partial-tree.ts";
import { present } from "../lib/assert.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import type { Seal } from "../membership/seal.ts";
import { type Addressed, type Receivers, type SealedTurn, sealedFrames } from "./frames.ts";

type Sealable = Parameters<typeof sealedFrames>[2][number];

function sealed(statements: readonly Sealable[]): SealedTurn {
  const signature = { mlDsa: new Uint8Array(1), ed25519: null };
  const seal: Seal = { signer: 0 as ValidatorIndex, leafCount: statements.length, signature };
  return { seal, tree: new MerkleTree(statements.map(({ leaf }) => leaf)) };
}

function framesOf(...statements: readonly Sealable[]): readonly Addressed[] {
  return sealedFrames(sealed(statements), 0 as Epoch, statements);
}

function statement(to: Receivers, byte: number): Sealable {
  const body = new Uint8Array([byte]);
  return { lane: "consensus", to, body, leaf: hashOf("statement", body) };
}

/** Which bodies each frame carries, by receivers. */
function bodies(frames: readonly Addressed[]): readonly (readonly [Receivers, readonly number[]])[] {
  return frames.map(({ to, frame }) => {
    if (frame.kind !== "sealed") throw new Error("a sealed frame");
    return [to, frame.items.flatMap(({ body }) => [...body])];
  });
}

const peers = (...places: readonly number[]): readonly ValidatorIndex[] => places as readonly ValidatorIndex[];

describe("the frames of one turn", () => {
  test("a statement to several is one frame that all of them get", () => {
    const frames = framesOf(statement(peers(1, 2), 7), statement("all", 8));
    expect(bodies(frames)).toEqual([
      ["all", [8]],
      [peers(1, 2), [7]],
    ]);
  });

  test("who gets one statement more has a frame of its own, from which it finds the turn's root", () => {
    const said = [statement(peers(1, 2, 3), 7), statement(2 as ValidatorIndex, 9), statement(peers(3), 10)];
    const frames = framesOf(...said);
    expect(bodies(frames)).toEqual([
      [peers(1), [7]],
      [peers(2), [7, 9]],
      [peers(3), [7, 10]],
    ]);
    const { root } = sealed(said).tree;
    for (const { frame } of frames) {
      if (frame.kind !== "sealed") throw new Error("a sealed frame");
      const leaves = frame.items.map(({ index }) => ({ index, leaf: present(said[index], "a statement").leaf }));
      expect(PartialTree.of(3, leaves, frame.complement)?.root).toBe(root);
    }
  });
});
