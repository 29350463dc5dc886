import { describe, expect, test } from "bun:test";
import { batchOf, commit, prepare, prePrepare, Solo } from "../../../test/cluster/solo.ts";
import { SMALL_WINDOWS } from "../../../test/cluster/pbft-host.ts";
import { TIMEOUTS } from "../../../test/cluster/timing.ts";
import { type Batch, batchDigest } from "../../dag/batch.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import { present } from "../../lib/assert.ts";
import type { Sequence } from "../../membership/ids.ts";

/** Brings place `sequence` as far as this replica's own commit; replica 0 leads. */
function prepared(solo: Solo, sequence: number, held: HeldBundle): Batch {
  const batch = batchOf(held);
  const proposal = prePrepare(0, sequence, batch);
  solo.deliver(0, proposal);
  for (const from of [2, 3]) solo.deliver(from, prepare(0, sequence, proposal.digest));
  return batch;
}

function executed(solo: Solo, sequence: number, held: HeldBundle): void {
  const digest = batchDigest(prepared(solo, sequence, held));
  for (const from of [0, 2]) solo.deliver(from, commit(0, sequence, digest));
}

describe("after a crash a replica says again what it said, and never anything else", () => {
  test("a prepare that was durable is said again, and another proposal for the place is refused", () => {
    const solo = new Solo();
    const [held, other] = [solo.bundle(2), solo.bundle(3)];
    solo.hold(held, other);
    const proposal = prePrepare(0, 1, batchOf(held));
    solo.deliver(0, proposal);
    expect(solo.said("prepare")).toEqual([prepare(0, 1, proposal.digest)]);
    solo.take();
    const effects = solo.restart();
    solo.effects = [...effects];
    solo.deliver(0, prePrepare(0, 1, batchOf(other)));
    expect(solo.said("prepare")).toEqual([prepare(0, 1, proposal.digest)]);
  });

  test("a commit that was durable is said again", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const digest = batchDigest(prepared(solo, 1, held));
    solo.effects = [...solo.restart()];
    expect(solo.said("commit")).toEqual([commit(0, 1, digest)]);
  });

  test("a leader proposes again what it had proposed, and goes on behind it", () => {
    const solo = new Solo({ self: 0 });
    const [first, second] = solo.lane(2, 2);
    solo.hold(present(first, "a bundle"));
    const [proposal] = solo.said("pre-prepare");
    solo.effects = [...solo.restart()];
    expect(solo.said("pre-prepare")).toEqual([present(proposal, "a proposal")]);
    solo.take();
    solo.hold(present(second, "a bundle"));
    expect(solo.said("pre-prepare").map((message) => ("sequence" in message ? message.sequence : 0))).toEqual([
      2 as Sequence,
    ]);
  });

  test("a replica that had asked for a view asks for it again with the same certificates", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    prepared(solo, 1, held);
    solo.advance(TIMEOUTS.initialMs + 1);
    const [asked] = solo.said("view-change");
    solo.effects = [...solo.restart()];
    expect(solo.said("view-change")).toEqual([present(asked, "a view change")]);
    expect(solo.engine.status()).toMatchObject({ view: 1, active: false });
  });

  test("the leader of a new view proposes again every place that its new-view message obliges it to", () => {
    const solo = new Solo();
    const digest = batchDigest({ timestampMs: 7, bundles: [] });
    solo.deliver(0, solo.viewChange(1, [solo.certificate(0, 2, digest)]));
    solo.deliver(2, solo.viewChange(1));
    expect(solo.said("pre-prepare").length).toBe(2);
    // The crash came after the view was durable and before its proposals were.
    for (const key of [...solo.disk.rows.keys()]) if (key.startsWith("accepted/")) solo.disk.rows.delete(key);
    solo.effects = [...solo.restart()];
    expect(
      solo.said("pre-prepare").map((message) => ("digest" in message ? [message.sequence, message.digest] : [])),
    ).toEqual([
      [1 as Sequence, expect.any(String)],
      [2 as Sequence, digest],
    ]);
  });

  test("the content of a prepared place outlives another proposal for it in a later view", () => {
    const solo = new Solo({ self: 2 });
    const [held, other] = [solo.bundle(0), solo.bundle(3)];
    solo.hold(held, other);
    const batch = batchOf(held);
    const proposal = prePrepare(0, 1, batch);
    solo.deliver(0, proposal);
    for (const from of [1, 3]) solo.deliver(from, prepare(0, 1, proposal.digest));
    expect(solo.said("commit").length).toBe(1);
    solo.deliver(
      1,
      solo.newView(
        1,
        [0, 1, 3].map((from) => [from, solo.viewChange(1)] as const),
      ),
    );
    solo.deliver(1, prePrepare(1, 1, batchOf(other)));
    expect(solo.said("prepare").length).toBe(2);
    solo.restart();
    expect(solo.engine.batchOf(proposal.digest)).toEqual(batch);
  });

  test("own states at checkpoints outlive a crash: a cluster that restarts can still agree on them", () => {
    const solo = new Solo({ windows: SMALL_WINDOWS });
    const lane = solo.lane(2, 4);
    solo.hold(...lane);
    for (const [index, held] of lane.entries()) executed(solo, index + 1, held);
    const [vote] = solo.said("checkpoint");
    if (vote?.kind !== "checkpoint") throw new Error("a checkpoint vote");
    solo.effects = [...solo.restart()];
    expect(solo.said("checkpoint")).toEqual([vote]);
    for (const from of [0, 3]) solo.deliver(from, vote);
    expect(solo.engine.status().stable).toBe(4 as Sequence);
  });

  test("the time that a replica was down does not count as the leader's", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const digest = batchDigest(prepared(solo, 1, held));
    solo.nowMs = 1_000_000;
    solo.restart();
    expect(solo.timers.get("progress")).toBe(1_000_000 + TIMEOUTS.initialMs);
    for (const from of [0, 2]) solo.deliver(from, commit(0, 1, digest));
    solo.nowMs += 10;
    expect(solo.engine.status().timeoutMs).toBe(TIMEOUTS.floorMs);
  });
});
