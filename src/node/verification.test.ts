import { describe, expect, test } from "bun:test";
import { hashOf } from "../crypto/hash.ts";
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

describe("the tree of a seal's leaves", () => {
  test("is built once for all frames of a turn, and gives the proof of each leaf", async () => {
    const { of } = verification();
    const leaves = leavesOf(5);
    const seal = sealOf(0, 5);
    const tree = await of.sealedTree(seal, leaves);
    expect(tree).not.toBeNull();
    expect(await of.sealedTree(seal, [...leaves])).toBe(tree);
    if (tree === null) return;
    leaves.forEach((leaf, index) => {
      expect(proofRoot(leaf, proofIn(seal, tree, index))).toBe(tree.root);
    });
  });

  test("is another one for other leaves of the same signer, also where they are as many", async () => {
    const { of } = verification();
    const first = await of.sealedTree(sealOf(0, 3), leavesOf(3));
    const turned = await of.sealedTree(sealOf(0, 3), leavesOf(3).reverse());
    expect(turned?.root).not.toBe(first?.root);
  });

  test("is checked against its own seal, whatever was kept of the leaves before", async () => {
    const checks = verification();
    checks.isGood = false;
    const leaves = leavesOf(3);
    expect(await checks.of.sealedTree(sealOf(0, 3), leaves)).toBeNull();
    expect(await checks.of.sealedTree(sealOf(0, 3), leaves)).toBeNull();
    checks.isGood = true;
    expect(await checks.of.sealedTree(sealOf(0, 3), leaves)).not.toBeNull();
    checks.isGood = false;
    const forged = { ...sealOf(0, 3), signature: { mlDsa: Uint8Array.of(9), ed25519: null } };
    expect(await checks.of.sealedTree(forged, leaves)).toBeNull();
    expect(checks.asked).toBe(4);
  });

  test("is none where leaves are missing, there are none, or nobody knows the signer; no signature is checked for that", async () => {
    const checks = verification();
    expect(await checks.of.sealedTree(sealOf(0, 4), leavesOf(3))).toBeNull();
    expect(await checks.of.sealedTree(sealOf(0, 0), [])).toBeNull();
    expect(await checks.of.sealedTree(sealOf(7, 3), leavesOf(3))).toBeNull();
    expect(checks.asked).toBe(0);
  });
});
