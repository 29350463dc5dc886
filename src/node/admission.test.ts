import { describe, expect, test } from "bun:test";
import { keyPairFromSeeds } from "../crypto/key-pair.ts";
import type { NodeId } from "../crypto/identity.ts";
import { ZERO_HASH } from "../lib/hash.ts";
import type { Epoch } from "../membership/ids.ts";
import { genesisMembership, type MembershipState } from "../membership/membership-state.ts";
import type { Standing } from "../membership/membership-entry.ts";
import { ValidatorSet } from "../membership/validator-set.ts";
import { Admission } from "./admission.ts";

const SET = new ValidatorSet(
  0 as Epoch,
  [1, 2, 3].map((seed) => {
    const { nodeId, publicKeys } = keyPairFromSeeds({ mlDsaSeed: new Uint8Array(32).fill(seed), ed25519Seed: null });
    return { nodeId, publicKeys, name: `node-${seed}` };
  }),
);
const [FIRST, SECOND, THIRD] = SET.roster.map(({ nodeId }) => nodeId) as [NodeId, NodeId, NodeId];
const STRANGER = "ee".repeat(32) as NodeId;

/** The genesis membership, with the second one's standing changed. */
function withSecond(standing: Standing): MembershipState {
  const state = genesisMembership({ genesis: ZERO_HASH, set: SET }, { min: 1, max: 3 }, ["", "", ""]);
  return { ...state, entries: state.entries.map((entry, index) => (index === 1 ? { ...entry, standing } : entry)) };
}

function admission(acceptObservers: boolean): Admission {
  return new Admission(SET, { acceptObservers, isBanned: (peer) => peer === THIRD });
}

describe("who may connect", () => {
  test("validators may, who is banned may not, and strangers where observers are let in", () => {
    expect([FIRST, THIRD, STRANGER].map((peer) => admission(false).roleOf(peer))).toEqual(["validator", null, null]);
    expect([FIRST, THIRD, STRANGER].map((peer) => admission(true).roleOf(peer))).toEqual([
      "validator",
      null,
      "observer",
    ]);
  });

  test.each(["left", "inactive", "dismissed", "standby"] as const)("who is %s may follow", (standing) => {
    const it = admission(false);
    it.follow(withSecond(standing));
    expect([FIRST, SECOND, STRANGER].map((peer) => it.roleOf(peer))).toEqual(["validator", "observer", null]);
    expect(it.set.size).toBe(2);
  });

  test("who is convicted may not, unless observers are let in", () => {
    const it = admission(false);
    it.follow(withSecond("convicted"));
    expect(it.roleOf(SECOND)).toBeNull();
  });
});
