import { describe, expect, test } from "bun:test";
import { hashOf } from "../crypto/hash.ts";
import { MerkleTree } from "../crypto/merkle.ts";
import type { PartialTree } from "../crypto/partial-tree.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import { proofIn, proofRoot, type Seal } from "../membership/seal.ts";
import { type NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import { SealVerification } from "./verification.ts";

const NETWORK: NetworkContext = {
  genesis: hashOf("genesis", Uint8Array.of(1)),
  set: new ValidatorSet(
    0 as Epoch,
    [0, 1].map((place) => ({
      nodeId: hashOf("node-id", Uint8Array.of(place)) as NodeId,
      publicKeys: { mlDsa: new Uint8Array(0), ed25519: null },
      name: `node-${place}`,
    })),
  ),
};

const leavesOf = (count: number): Hash[] =>
  Array.from({ length: count }, (_, index) => hashOf("statement", Uint8Array.of(index & 255, index >> 8)));

const sealOf = (signer: number, leafCount: number): Seal => ({
  signer: signer as ValidatorIndex,
  leafCount,
  signature: { mlDsa: new Uint8Array(1), ed25519: null },
});

/** Signatures hold while `isGood`; `asked` counts the checks. */
function verification(): { of: SealVerification; isGood: boolean; asked: number } {
  const state = { isGood: true, asked: 0 };
  const verifier = {
    verify: async (): Promise<boolean> => {
      state.asked += 1;
      return await Promise.resolve(state.isGood);
    },
  };
  return Object.assign(state, { of: new SealVerification(NETWORK, verifier) });
}

/** As a receiver asks that got some of the leaves. */
function ask(of: SealVerification, seal: Seal, leaves: readonly Hash[], sent = leaves.map((_, index) => index)) {
  const placed = sent.map((index) => ({ index, leaf: leaves[index] as Hash }));
  const complement = leaves.length === 0 ? new Uint8Array(0) : new MerkleTree(leaves).complement(sent);
  return of.sealedTree(seal, placed, complement);
}

describe("what a frame says of the tree that its seal signs", () => {
  test("gives the proof of each statement in it, and its other frames buy no further check", async () => {
    const checks = verification();
    const leaves = leavesOf(5);
    const seal = sealOf(0, 5);
    for (const sent of [[0, 1, 2, 3, 4], [2], [0, 4]]) {
      const tree = (await ask(checks.of, seal, leaves, sent)) as PartialTree;
      for (const index of sent) expect(proofRoot(leaves[index] as Hash, proofIn(seal, tree, index))).toBe(tree.root);
    }
    expect(checks.asked).toBe(1);
  });

  test("is another one for other leaves of the same signer, also where they are as many", async () => {
    const { of } = verification();
    const first = await ask(of, sealOf(0, 3), leavesOf(3));
    const turned = await ask(of, sealOf(0, 3), leavesOf(3).reverse());
    expect(turned?.root).not.toBe(first?.root);
  });

  test("is checked against its own seal, whatever was asked of the same leaves before", async () => {
    const checks = verification();
    checks.isGood = false;
    const leaves = leavesOf(3);
    expect(await ask(checks.of, sealOf(0, 3), leaves)).toBeNull();
    expect(await ask(checks.of, sealOf(0, 3), leaves)).toBeNull();
    checks.isGood = true;
    expect(await ask(checks.of, sealOf(0, 3), leaves)).not.toBeNull();
    checks.isGood = false;
    const forged = { ...sealOf(0, 3), signature: { mlDsa: Uint8Array.of(9), ed25519: null } };
    expect(await ask(checks.of, forged, leaves)).toBeNull();
    expect(checks.asked).toBe(4);
  });

  test("is none where leaves are missing, there are none, or nobody knows the signer; no signature is checked for that", async () => {
    const checks = verification();
    expect(await ask(checks.of, sealOf(0, 4), leavesOf(3))).toBeNull();
    expect(await ask(checks.of, sealOf(0, 0), [])).toBeNull();
    expect(await ask(checks.of, sealOf(7, 3), leavesOf(3))).toBeNull();
    expect(checks.asked).toBe(0);
  });
});
