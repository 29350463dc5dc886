import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import { sealEnvelope } from "../dag/conflict-keys.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import { DagLane } from "./dag-lane.ts";
import type { FormedBundle } from "./own-lane.ts";
import { NodeError } from "./service.ts";

const NETWORK = networkOf(4);
const GENESIS = { nonce: 0 as Nonce, tip: NETWORK.genesis };
const SELF = 1 as ValidatorIndex;

const vertices = (...texts: readonly string[]): readonly Uint8Array[] =>
  texts.map((text) => sealEnvelope({ payload: new TextEncoder().encode(text), conflictKeys: [] }));

function laneWith(...texts: readonly string[]): {
  readonly lane: DagLane;
  readonly submission: ReturnType<DagLane["submit"]>;
} {
  const lane = new DagLane(NETWORK, SELF, { placed: GENESIS, tip: GENESIS });
  return { lane, submission: lane.submit(vertices(...texts), 0) };
}

function formed(lane: DagLane): FormedBundle {
  const bundle = lane.form(1, NETWORK.genesis);
  if (bundle === null) throw new Error("a bundle");
  return bundle;
}

describe("a node's own lane in a leaderless network", () => {
  test("names the lane's last vertex and another's, and counts nonces on", async () => {
    const { lane, submission } = laneWith("a", "b");
    const first = formed(lane);
    expect(first.held.bundle).toMatchObject({
      purpose: "dag",
      firstNonce: 1,
      parents: [NETWORK.genesis, NETWORK.genesis],
    });
    expect(lane.form(2, NETWORK.genesis)).toBeNull();
    lane.onDurable(first.held);
    expect(await submission.accepted).toEqual(first.held.vertexIds);
    lane.submit(vertices("c"), 0);
    expect(formed(lane).held.bundle).toMatchObject({ firstNonce: 3, parents: [first.held.ref.tip, NETWORK.genesis] });
  });

  test("a submission is final when its last vertex is, in whatever order they became so", async () => {
    const { lane, submission } = laneWith("a", "b", "c");
    const { held } = formed(lane);
    lane.onDurable(held);
    lane.onFinalized(held.ref.digest, { from: 1, to: 3, firstPosition: 7, nowMs: 5 });
    expect(lane.onFinalized(held.ref.digest, { from: 0, to: 1, firstPosition: 12, nowMs: 9 })).toEqual([
      { vertices: 1, finalityMs: 9 },
    ]);
    expect((await submission.finalized).map(({ sequence }) => sequence)).toEqual([12, 7, 8]);
  });

  test("a vertex that lost rejects its submission", async () => {
    const { lane, submission } = laneWith("a", "b");
    const { held } = formed(lane);
    lane.onRejected(held.ref.digest, 1, new NodeError("conflict", "lost"));
    await expect(submission.finalized).rejects.toMatchObject({ code: "conflict" });
  });

  test("what a dead bundle carried is issued again, except for what lost, and no nonce twice", async () => {
    const { lane, submission } = laneWith("a", "b", "c");
    const { held } = formed(lane);
    lane.onDurable(held);
    expect(lane.onPlaceRejected(held, new Set([1]), 3)).toBe(2);
    const again = formed(lane);
    expect(again.held.bundle.payloads).toEqual(vertices("a", "c"));
    expect(again.held.bundle).toMatchObject({ firstNonce: 4, parents: [NETWORK.genesis, NETWORK.genesis] });
    // The client keeps the hashes that it was told.
    lane.onDurable(again.held);
    expect(await submission.accepted).toEqual(held.vertexIds);
  });

  test("who waits for a vertex of a dead bundle is told that it lost; what is issued again has not", async () => {
    const { lane, submission } = laneWith("a", "b");
    const { held } = formed(lane);
    lane.onDurable(held);
    lane.onPlaceRejected(held, new Set([1]), 3);
    lane.onRejected(held.ref.digest, 0, new Error("issued again"));
    lane.onRejected(held.ref.digest, 1, new NodeError("conflict", "lost"));
    await expect(submission.finalized).rejects.toMatchObject({ code: "conflict" });
  });

  test("nothing is formed while others know more of the lane than this node", () => {
    const { lane } = laneWith("a");
    lane.awaitUpTo(2 as Nonce);
    expect(lane.form(1, NETWORK.genesis)).toBeNull();
    const elsewhere = new DagLane(NETWORK, SELF, { placed: GENESIS, tip: GENESIS });
    elsewhere.submit(vertices("x", "y"), 0);
    lane.onPlaced(formed(elsewhere).held);
    expect(formed(lane).held.bundle.firstNonce).toBe(3 as Nonce);
  });
});
