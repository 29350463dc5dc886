import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { membershipOf, networkOf } from "../../test/cluster/signing.ts";
import { Solo } from "../../test/cluster/solo.ts";
import { decode, encode } from "../codec/codec.ts";
import { type BundleRef, type HeldBundle, holdBundle } from "../dag/bundle.ts";
import { sealEnvelope } from "../dag/conflict-keys.ts";
import type { Report } from "../dag/report.ts";
import { NO_RESOLUTIONS, resolutionDigest } from "../dag/resolution-state.ts";
import { proveUnit } from "../dag/unit-proof.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, Nonce, Position, Sequence, ValidatorIndex } from "../membership/ids.ts";
import { type Execution, execute, executionStateCodec, executionStateDigest, genesisState } from "./executor.ts";

const network = networkOf(4);
const membership = membershipOf(network);
const makers = new Solo();

function executeAll(
  batches: readonly (readonly HeldBundle[])[],
  timestamps: readonly number[] = [],
): { readonly last: Execution; readonly order: readonly Hash[] } {
  const known = new Map<Hash, BundleRef>(batches.flat().map(({ ref }) => [ref.digest, ref]));
  let last: Execution = {
    state: genesisState(network, membership),
    executed: [],
    timestampMs: 0,
    membership,
    changed: null,
    notes: [],
    judgement: { state: NO_RESOLUTIONS, decided: [], lost: [], reported: [] },
  };
  const order: Hash[] = [];
  batches.forEach((bundles, at) => {
    const batch = { timestampMs: timestamps[at] ?? 0, bundles: bundles.map(({ ref }) => ref.digest) };
    last = execute(network, last.state, batch, {
      membership: last.membership,
      bundleOf: (digest) => present(known.get(digest), "a bundle"),
      commandsOf: () => [],
    });
    order.push(...last.executed.map(({ ref }) => ref.digest));
  });
  return { last, order };
}

describe("execution", () => {
  test("gives every vertex its place in the order of the batches, and each batch its sequence", () => {
    const [a1, a2] = makers.lane(0, 2) as [HeldBundle, HeldBundle];
    const [b1] = makers.lane(1, 1) as [HeldBundle];
    const { last, order } = executeAll([[b1, a1], [a2]]);
    expect(order).toEqual([b1, a1, a2].map(({ ref }) => ref.digest));
    expect(last.state).toMatchObject({ sequence: 2 as Sequence, position: 3 as Position });
    expect(last.executed.map(({ firstPosition, height }) => [firstPosition, height])).toEqual([[3 as Position, 2]]);
  });

  test("passes over what was executed, what is too early and the losing branch of a fork", () => {
    const [a1, a2] = makers.lane(0, 2) as [HeldBundle, HeldBundle];
    const fork = makers.bundle(0, 1, network.genesis, "fork");
    const { order, last } = executeAll([
      [a2, a1, a1, fork],
      [a1, fork],
      [a2, a2],
    ]);
    expect(order).toEqual([a1, a2].map(({ ref }) => ref.digest));
    expect(last.state.position).toBe(2 as Position);
  });

  test("keeps time from running backwards", () => {
    expect(executeAll([[], [], []], [5, 3, 7]).last.timestampMs).toBe(7);
    expect(executeAll([[], []], [5, 3]).last.timestampMs).toBe(5);
  });

  test("leaves a state that two replicas share only if they executed the same batches in the same order", () => {
    const [a1] = makers.lane(0, 1) as [HeldBundle];
    const [b1] = makers.lane(1, 1) as [HeldBundle];
    const digests = [[[a1], [b1]], [[b1], [a1]], [[a1, b1]], [[b1, a1]], [[a1], [b1], []]].map((batches) => {
      return executionStateDigest(executeAll(batches).last.state);
    });
    expect(new Set(digests).size).toBe(digests.length);
    const { state } = executeAll([[a1, b1]]).last;
    expect(decode(executionStateCodec, encode(executionStateCodec, state))).toEqual(state);
  });

  test("executes every vertex at most once and each lane in order, whatever leaders propose", () => {
    const lanes = [0, 1, 2].map((creator) => [
      ...makers.lane(creator, 4),
      makers.bundle(creator, 1, network.genesis, "fork"),
    ]);
    const pool = lanes.flat();
    const proposals = fc.array(fc.array(fc.nat(pool.length - 1), { maxLength: 8 }), { maxLength: 8 });
    fc.assert(
      fc.property(proposals, (indices) => {
        const { order } = executeAll(indices.map((batch) => batch.map((at) => present(pool[at], "a bundle"))));
        expect(new Set(order).size).toBe(order.length);
        for (const [creator, lane] of lanes.entries()) {
          const mine = order.filter((digest) => lane.some(({ ref }) => ref.digest === digest));
          const nonces = mine.map((digest) => pool.find(({ ref }) => ref.digest === digest)?.ref.firstNonce as number);
          expect(nonces).toEqual(nonces.map((_, at) => at + 1));
          expect(creator).toBeLessThan(3);
        }
      }),
      { numRuns: 200, seed: 7 },
    );
  });
});

describe("reports of open conflicts", () => {
  const held = holdBundle(network, {
    creator: 2 as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "dag",
    firstNonce: 1 as Nonce,
    timestampMs: 0,
    parents: [network.genesis, network.genesis],
    payloads: [sealEnvelope({ conflictKeys: [new Uint8Array([1])], payload: new Uint8Array(0) })],
  });
  const report: Report = { epoch: 0 as Epoch, subject: proveUnit(held, 0), certified: null };

  function hear(creators: readonly number[], after: Execution | null): Execution {
    const bundles = creators.map((creator) => makers.bundle(creator));
    const known = new Map(bundles.map(({ ref }) => [ref.digest, ref]));
    const state = after?.state ?? genesisState(network, membership);
    const batch = { timestampMs: 0, bundles: bundles.map(({ ref }) => ref.digest) };
    return execute(network, state, batch, {
      membership,
      bundleOf: (digest) => present(known.get(digest), "a bundle"),
      commandsOf: () => [],
      resolution: after?.judgement.state ?? NO_RESOLUTIONS,
      reportsOf: () => [report],
    });
  }

  test("are heard with the batch that orders them, and are a part of the state that is voted on", () => {
    const two = hear([0, 1], null);
    const subject = { bundle: held.ref.digest, vertex: 0 };
    expect(two.judgement).toMatchObject({ decided: [], reported: [{ subject, reports: 2 }] });
    expect(two.state.resolution).toBe(resolutionDigest(two.judgement.state));
    const three = hear([3], two);
    expect(three.judgement.decided).toMatchObject([{ winner: subject }]);
    for (const { state } of [two, three]) {
      expect(decode(executionStateCodec, encode(executionStateCodec, state))).toEqual(state);
      expect(executionStateDigest({ ...state, resolution: null })).not.toBe(executionStateDigest(state));
    }
  });

  test("leave no trace in the state where there are none", () => {
    const { state } = executeAll([[makers.bundle(0)]]).last;
    const bytes = encode(executionStateCodec, state);
    expect(state.resolution).toBeNull();
    expect(encode(executionStateCodec, { ...state, resolution: network.genesis })).toHaveLength(bytes.length + 32);
  });
});
