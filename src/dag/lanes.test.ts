import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import { Solo } from "../../test/cluster/solo.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import { ValidatorSet } from "../membership/validator-set.ts";
import type { BundleRef } from "./bundle.ts";
import { LANE_WAITING_MAX, Lanes, type LaneTip } from "./lanes.ts";

const network = networkOf(4);
const makers = new Solo();
const THREE = 3 as ValidatorIndex;
const GENESIS: LaneTip = { nonce: 0 as Nonce, tip: network.genesis };

function lanes(): Lanes {
  return new Lanes(
    network,
    network.set.indices().map(() => GENESIS),
  );
}

function refs(count: number): readonly BundleRef[] {
  return makers.lane(3, count).map(({ ref }) => ref);
}

function tipOf(ref: BundleRef): LaneTip {
  return { nonce: (ref.firstNonce + ref.count - 1) as Nonce, tip: ref.tip };
}

describe("a lane", () => {
  test("offers the bundle that follows its executed tip, whatever the order in which bundles came", () => {
    const [first, second] = refs(2) as [BundleRef, BundleRef];
    const held = lanes();
    held.add(second, 5);
    expect(held.next(THREE, GENESIS)).toBeUndefined();
    expect(held.waitingSinceMs()).toBeNull();
    held.add(first, 7);
    expect(held.next(THREE, GENESIS)).toEqual(first);
    expect(held.next(THREE, tipOf(first))).toEqual(second);
    expect(held.waitingSinceMs()).toBe(7);
  });

  test("waits anew from when it moved, and not at all when nothing follows", () => {
    const [first, second] = refs(2) as [BundleRef, BundleRef];
    const held = lanes();
    held.add(first, 1);
    held.add(second, 2);
    held.onExecuted(THREE, tipOf(first), 50);
    expect(held.waitingSinceMsOf(THREE)).toBe(50);
    held.onExecuted(THREE, tipOf(second), 60);
    expect(held.waitingSinceMs()).toBeNull();
  });

  test("offers of a fork the lowest digest, on every replica alike", () => {
    const forks = ["a", "b", "c"].map((text) => makers.bundle(3, 1, network.genesis, text).ref);
    const lowest = [...forks].sort((left, right) => (left.digest < right.digest ? -1 : 1))[0];
    for (const order of [forks, [...forks].reverse()]) {
      const held = lanes();
      for (const ref of order) held.add(ref, 0);
      expect(held.next(THREE, GENESIS)).toEqual(lowest as BundleRef);
    }
  });

  test("does not offer a bundle whose nonce leaves a gap after the vertex that it names", () => {
    const held = lanes();
    held.add(makers.bundle(3, 2, network.genesis).ref, 0);
    expect(held.next(THREE, GENESIS)).toBeUndefined();
  });

  test("never moves back", () => {
    const [first] = refs(1) as [BundleRef];
    const held = lanes();
    held.onExecuted(THREE, tipOf(first), 1);
    expect(() => held.onExecuted(THREE, GENESIS, 2)).toThrow("never moves back");
  });
});

describe("bounds", () => {
  test("a full lane takes only what a proposal names", () => {
    const held = lanes();
    for (let at = 0; at < LANE_WAITING_MAX; at++) {
      expect(held.add({ ...makers.bundle(3).ref, digest: `fork ${at}` as Hash }, 0)).toBe(true);
    }
    const { ref } = makers.bundle(3, 1, network.genesis, "one more");
    expect(held.add(ref, 0)).toBe(false);
    expect(held.has(ref.digest)).toBe(false);
    expect(held.add(ref, 0, true)).toBe(true);
    expect(held.has(ref.digest)).toBe(true);
  });

  test("executed bundles and losing branches are let go of, except those that an open place names", () => {
    const [first, second] = refs(2) as [BundleRef, BundleRef];
    const loser = makers.bundle(3, 1, network.genesis, "loser").ref;
    const named = makers.bundle(3, 1, network.genesis, "named").ref;
    const held = lanes();
    for (const ref of [first, second, loser, named]) held.add(ref, 0);
    held.onExecuted(THREE, tipOf(first), 1);
    held.forgetExecuted(new Set([named.digest]));
    expect([first, second, loser, named].map(({ digest }) => held.has(digest))).toEqual([false, true, false, true]);
  });

  test("a losing branch no longer counts as waiting", () => {
    const [first] = refs(1) as [BundleRef];
    const held = lanes();
    held.add(first, 0);
    held.add(makers.bundle(3, 1, network.genesis, "loser").ref, 0);
    held.onExecuted(THREE, tipOf(first), 1);
    expect(held.waitingSinceMs()).toBeNull();
  });
});

describe("another validator set", () => {
  const without = new ValidatorSet(1 as Epoch, network.set.roster, [0, 1, 2] as ValidatorIndex[]);

  test("lets go of all that is held of who left, also of what is executed, so that it is held by all or by nobody", () => {
    const [executed, waiting] = refs(2) as [BundleRef, BundleRef];
    const held = lanes();
    held.add(executed, 1);
    held.onExecuted(THREE, tipOf(executed), 1);
    held.add(waiting, 1);
    held.onEpoch({ genesis: network.genesis, set: without });
    expect([executed, waiting].map(({ digest }) => held.has(digest))).toEqual([false, false]);
    expect(held.add(executed, 2, true)).toBe(false);
    expect(held.waitingSinceMs()).toBeNull();
  });

  test("takes nothing of an earlier term of who came back", () => {
    const [old] = refs(1) as [BundleRef];
    const held = lanes();
    const back = new ValidatorSet(
      2 as Epoch,
      network.set.roster,
      [0, 1, 2, 3] as ValidatorIndex[],
      [0, 0, 0, 2] as Epoch[],
    );
    held.add(old, 1);
    held.onEpoch({ genesis: network.genesis, set: back });
    expect(held.has(old.digest)).toBe(false);
    expect(held.add(old, 2)).toBe(false);
    expect(held.add({ ...old, term: 2 as Epoch }, 2)).toBe(true);
  });
});
