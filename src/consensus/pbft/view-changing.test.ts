import { describe, expect, test } from "bun:test";
import { batchOf, commit, prepare, prePrepare, Solo } from "../../../test/cluster/solo.ts";
import { SMALL_WINDOWS } from "../../../test/cluster/pbft-host.ts";
import { TIMEOUTS } from "../../../test/cluster/timing.ts";
import { batchDigest } from "../../dag/batch.ts";
import type { Epoch, Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { CheckpointCertificate } from "../engine.ts";
import { NULL_DIGEST } from "./new-view.ts";

function stableAt(solo: Solo, sequence: number, text = "state"): CheckpointCertificate {
  const stateDigest = solo.bundle(0, 1, solo.network.genesis, text).ref.digest;
  const statement = { phase: "checkpoint", view: 0, sequence, digest: stateDigest } as const;
  const proofs = solo.network.set
    .indices()
    .slice(0, solo.network.set.quorum)
    .map((from) => solo.proof(from, statement));
  return { epoch: 0 as Epoch, sequence: sequence as Sequence, stateDigest, proofs };
}

describe("section 4.4: asking for a view", () => {
  test("a replica whose request is not executed in time asks for the next view and falls silent in the old one", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    solo.advance(TIMEOUTS.initialMs + 1);
    expect(solo.said("view-change")).toEqual([solo.viewChange(1)]);
    expect(solo.engine.status()).toMatchObject({ view: 1, active: false });
    solo.take();
    solo.deliver(0, prePrepare(0, 1, batchOf(held)));
    expect(solo.said("prepare")).toEqual([]);
  });

  test("the view change carries a prepared certificate for the place that this replica said commit for", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const proposal = prePrepare(0, 1, batchOf(held));
    solo.deliver(0, proposal);
    solo.deliver(2, prepare(0, 1, proposal.digest));
    expect(solo.said("commit").length).toBe(1);
    solo.advance(TIMEOUTS.initialMs + 1);
    const [message] = solo.said("view-change");
    if (message?.kind !== "view-change") throw new Error("a view change");
    expect(message.prepared.map(({ view, sequence, digest }) => ({ view, sequence, digest }))).toEqual([
      { view: 0 as View, sequence: 1 as Sequence, digest: proposal.digest },
    ]);
  });

  test("a quorum of commits of the abandoned view still proves the place: it is executed, and nothing is said", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const proposal = prePrepare(0, 1, batchOf(held));
    solo.deliver(0, proposal);
    solo.advance(TIMEOUTS.initialMs + 1);
    solo.take();
    for (const from of [0, 2, 3]) solo.deliver(from, commit(0, 1, proposal.digest));
    expect(solo.engine.status().executed).toBe(1 as Sequence);
    expect(solo.said("commit")).toEqual([]);
  });

  test("the timer does not ask for a view while f + 1 others have executed more: then this replica is the slow one", () => {
    const solo = new Solo();
    solo.hold(solo.bundle(2));
    solo.status(0, { executed: 4 });
    solo.status(3, { executed: 5 });
    solo.advance(TIMEOUTS.initialMs * 3);
    expect(solo.said("view-change")).toEqual([]);
  });

  test("one peer that says it executed more does not stop the timer", () => {
    const solo = new Solo();
    solo.hold(solo.bundle(2));
    solo.status(3, { executed: 5 });
    solo.advance(TIMEOUTS.initialMs * 3);
    expect(solo.said("view-change").length).toBe(1);
  });

  test("a leader that orders one lane and never another is replaced (the timer runs for each lane)", () => {
    const solo = new Solo();
    solo.hold(solo.bundle(3));
    const lane = solo.lane(2, 40);
    solo.hold(...lane);
    for (const [index, held] of lane.entries()) {
      const proposal = prePrepare(0, index + 1, batchOf(held));
      solo.deliver(0, proposal);
      for (const from of [2, 3]) solo.deliver(from, prepare(0, index + 1, proposal.digest));
      for (const from of [0, 2]) solo.deliver(from, commit(0, index + 1, proposal.digest));
      solo.advance(10);
      if (!solo.engine.status().active) break;
    }
    expect(solo.said("view-change").length).toBe(1);
    expect(solo.engine.status().executed).toBeGreaterThan(10);
  });

  test("a gap that the leader leaves while it proposes on is a reason to ask for the next view", () => {
    const solo = new Solo();
    const empty = { timestampMs: solo.now().wallMs, bundles: [] };
    solo.deliver(0, prePrepare(0, 2, empty));
    solo.advance(TIMEOUTS.initialMs + 1);
    expect(solo.said("view-change").length).toBe(1);
  });
});

describe("section 4.5.2: the liveness rules", () => {
  test("f + 1 requests for higher views pull a replica to the highest view that f + 1 ask for (correction 18)", () => {
    const solo = new Solo({ count: 7 });
    solo.deliver(0, solo.viewChange(9));
    solo.deliver(2, solo.viewChange(5));
    expect(solo.engine.status().view).toBe(0 as View);
    solo.deliver(3, solo.viewChange(7));
    expect(solo.engine.status()).toMatchObject({ view: 5, active: false });
    solo.deliver(4, solo.viewChange(8));
    expect(solo.engine.status()).toMatchObject({ view: 7, active: false });
  });

  test("the new leader's time runs once a quorum has left the old view, and the next view is asked for when it is up", () => {
    const solo = new Solo();
    solo.deliver(0, solo.viewChange(2));
    solo.deliver(3, solo.viewChange(2));
    expect(solo.engine.status()).toMatchObject({ view: 2, active: false });
    expect(solo.timers.has("new-view")).toBe(true);
    solo.advance(TIMEOUTS.capMs);
    expect(solo.engine.status().view).toBeGreaterThan(2);
  });

  test("requests for higher views count as having left: else replicas one view apart wait for each other for ever", () => {
    const solo = new Solo();
    solo.hold(solo.bundle(2));
    solo.advance(TIMEOUTS.initialMs + 1);
    expect(solo.engine.status().view).toBe(1 as View);
    solo.deliver(2, solo.viewChange(1));
    solo.deliver(3, solo.viewChange(2));
    expect(solo.timers.has("new-view")).toBe(true);
  });

  test("time-outs double with every view that fails, up to the cap", () => {
    const solo = new Solo();
    const waits: number[] = [];
    for (let view = 1; view <= 6; view++) {
      for (const from of [0, 2, 3]) solo.deliver(from, solo.viewChange(view));
      waits.push(solo.engine.status().timeoutMs);
    }
    expect(waits).toEqual([600, 1_200, 2_400, 3_000, 3_000, 3_000]);
  });
});

describe("section 4.4: the new view", () => {
  test("the leader of the view makes the new-view message once it has a quorum, exactly once", () => {
    const solo = new Solo();
    for (const from of [0, 2, 3]) solo.deliver(from, solo.viewChange(1));
    const made = solo.said("new-view");
    expect(made.length).toBe(1);
    expect(solo.engine.status()).toMatchObject({ view: 1, active: true });
  });

  test("a request that prepared is proposed again at its place, gaps are filled with null requests", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const batch = batchOf(held);
    const digest = batchDigest(batch);
    solo.feed({ kind: "batches", ...solo.now(), batches: [batch] });
    solo.deliver(0, solo.viewChange(1, [solo.certificate(0, 3, digest)]));
    solo.deliver(2, solo.viewChange(1));
    const proposals = solo
      .said("pre-prepare")
      .map((message) => (message.kind === "pre-prepare" ? [message.sequence, message.digest] : []));
    expect(proposals.slice(0, 3)).toEqual([
      [1 as Sequence, NULL_DIGEST],
      [2 as Sequence, NULL_DIGEST],
      [3 as Sequence, digest],
    ]);
  });

  test("of two certificates for one place that of the higher view decides", () => {
    const solo = new Solo({ self: 2 });
    const [old, young] = [batchDigest({ timestampMs: 1, bundles: [] }), batchDigest({ timestampMs: 2, bundles: [] })];
    const message = solo.newView(3, [
      [0, solo.viewChange(3, [solo.certificate(0, 1, old)])],
      [1, solo.viewChange(3, [solo.certificate(1, 1, young)])],
      [3, solo.viewChange(3, [solo.certificate(0, 1, old)])],
    ]);
    expect(solo.deliver(3, message)).toBe("accepted");
    expect(solo.deliver(3, prePrepare(3, 1, { timestampMs: 1, bundles: [] }))).toBe("accepted");
    expect(solo.said("prepare")).toEqual([]);
    solo.deliver(3, prePrepare(3, 1, { timestampMs: 2, bundles: [] }));
    expect(solo.said("prepare")).toEqual([prepare(3, 1, young)]);
  });

  test("a proposal against the leader's own new-view message is not prepared", () => {
    const solo = new Solo({ self: 2 });
    const held = solo.bundle(0);
    solo.hold(held);
    const digest = batchDigest({ timestampMs: 1, bundles: [] });
    solo.deliver(
      1,
      solo.newView(1, [
        [0, solo.viewChange(1, [solo.certificate(0, 1, digest)])],
        [1, solo.viewChange(1)],
        [3, solo.viewChange(1)],
      ]),
    );
    expect(solo.engine.status()).toMatchObject({ view: 1, active: true });
    solo.deliver(1, prePrepare(1, 1, batchOf(held)));
    expect(solo.said("prepare")).toEqual([]);
  });

  test("a proposal at or below the checkpoint that the new view starts from is not prepared, though it was not executed here", () => {
    const solo = new Solo({ self: 2, windows: SMALL_WINDOWS });
    const held = solo.bundle(0);
    solo.hold(held);
    const stable = stableAt(solo, 8);
    const parts = [0, 1, 3].map((from) => [from, solo.viewChange(1, [], from === 0 ? stable : null)] as const);
    expect(solo.deliver(1, solo.newView(1, parts))).toBe("accepted");
    solo.deliver(1, prePrepare(1, 4, batchOf(held)));
    expect(solo.said("prepare")).toEqual([]);
    solo.restart();
    solo.deliver(1, prePrepare(1, 4, batchOf(held)));
    solo.deliver(1, prePrepare(1, 8, batchOf(held)));
    expect(solo.said("prepare")).toEqual([]);
    solo.deliver(1, prePrepare(1, 9, batchOf(held)));
    expect(solo.said("prepare").length).toBe(1);
  });

  test("a replica never prepares another request at a place that it knows to be committed", () => {
    const solo = new Solo();
    const [held, other] = [solo.bundle(2), solo.bundle(3)];
    solo.hold(held, other);
    solo.executes = false;
    const { digest } = prePrepare(0, 1, batchOf(held));
    for (const from of [0, 2, 3]) solo.deliver(from, commit(0, 1, digest));
    solo.deliver(0, prePrepare(0, 1, batchOf(other)));
    expect(solo.said("prepare")).toEqual([]);
  });

  test("the new leader does not propose again what the old view's places, still open, hold", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const batch = batchOf(held);
    solo.feed({ kind: "batches", ...solo.now(), batches: [batch] });
    solo.deliver(0, solo.viewChange(1, [solo.certificate(0, 1, batchDigest(batch))]));
    solo.deliver(2, solo.viewChange(1));
    expect(solo.said("pre-prepare").length).toBe(1);
  });

  test("a new-view message shows each signature once, though the view changes in it came in different messages", () => {
    const solo = new Solo({ count: 10, windows: { checkpointInterval: 4, sendWindow: 12, receiveWindow: 24 } });
    const digest = batchDigest({ timestampMs: 1, bundles: [] });
    for (const from of solo.network.set.indices()) {
      const prepared = Array.from({ length: 10 }, (_, at) => solo.certificate(0, at + 1, digest));
      if (from !== solo.self) solo.deliver(from, solo.viewChange(1, prepared));
    }
    const [message] = solo.said("new-view");
    if (message === undefined) throw new Error("a new view");
    const seals = solo.engine.wire.encode(message).length / 4_634;
    expect(Math.floor(seals)).toBeLessThan(7 * 10 + 7 + 12);
    expect(solo.engine.status()).toMatchObject({ view: 1, active: true });
  });

  test("a replica that missed the new-view message gets it from any peer in that view", () => {
    const solo = new Solo();
    for (const from of [0, 2, 3]) solo.deliver(from, solo.viewChange(1));
    solo.take();
    solo.status(3, { view: 0 });
    expect(solo.of("relay").map(({ to, signed }) => [to, signed.message.kind])).toEqual([
      [3 as ValidatorIndex, "new-view"],
    ]);
  });

  test("messages of the new view that came before it are taken up when it begins", () => {
    const solo = new Solo({ self: 2 });
    const held = solo.bundle(0);
    solo.hold(held);
    const proposal = prePrepare(1, 1, batchOf(held));
    solo.deliver(1, proposal);
    solo.deliver(3, prepare(1, 1, proposal.digest));
    expect(solo.said("prepare")).toEqual([]);
    solo.deliver(
      1,
      solo.newView(
        1,
        [0, 1, 3].map((from) => [from, solo.viewChange(1)] as const),
      ),
    );
    expect(solo.said("prepare")).toEqual([prepare(1, 1, proposal.digest)]);
    expect(solo.said("commit")).toEqual([commit(1, 1, proposal.digest)]);
  });
});

describe("an idle cluster is quiet", () => {
  test("a replica alone in a higher view, whose peers work on in theirs and have nothing to do, stops asking", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    solo.advance(TIMEOUTS.initialMs + 1);
    const { digest } = prePrepare(0, 1, batchOf(held));
    solo.feed({ kind: "batches", ...solo.now(), batches: [batchOf(held)] });
    for (const from of [0, 2, 3]) solo.deliver(from, commit(0, 1, digest));
    expect(solo.engine.status()).toMatchObject({ view: 1, active: false, executed: 1 });
    for (const from of [0, 2, 3]) solo.status(from, { view: 0, executed: 1 });
    solo.advance(10_000);
    expect([...solo.timers]).toEqual([]);
  });

  test("an active replica tells one that waits in a higher view where it stands itself", () => {
    const solo = new Solo();
    solo.status(3, { view: 1, active: false });
    expect(solo.of("status").map(({ to, status }) => [to, status.active])).toEqual([[3 as ValidatorIndex, true]]);
  });
});

describe("a replica alone in a higher view", () => {
  /** Whatever happens moves the clock on; nothing here waits for the leader. */
  function busy(solo: Solo, ms: number, view = 0): void {
    for (let passed = 0; passed < ms; passed += 500) {
      solo.advance(500);
      solo.status(2, { view });
    }
  }

  function enter(solo: Solo, view: number): void {
    const wishes = [1, 2, 3].map((from) => [from, solo.viewChange(view)] as const);
    solo.deliver(view % 4, solo.newView(view, wishes));
  }

  test("is joined after a while, so that the network has it back", () => {
    const solo = new Solo();
    solo.deliver(3, solo.viewChange(1));
    busy(solo, 2_500);
    expect(solo.engine.status()).toMatchObject({ view: 0, active: true });
    busy(solo, 1_000);
    expect(solo.engine.status()).toMatchObject({ view: 1, active: false });
    expect(solo.said("view-change")[0]).toEqual(solo.viewChange(1));
  });

  test("is not joined where it was only the first, and the view begins", () => {
    const solo = new Solo();
    solo.deliver(3, solo.viewChange(1));
    enter(solo, 1);
    solo.take();
    busy(solo, 10_000, 1);
    expect(solo.said("view-change")).toEqual([]);
    expect(solo.engine.status()).toMatchObject({ view: 1, active: true });
  });

  test("is joined where it waited above the view that the others entered", () => {
    const solo = new Solo();
    solo.deliver(3, solo.viewChange(2));
    enter(solo, 1);
    busy(solo, 3_500, 1);
    expect(solo.engine.status()).toMatchObject({ view: 2, active: false });
  });

  test("gets that once a minute, then ever more seldom: a liar cannot keep the others changing views", () => {
    const solo = new Solo();
    const joinedAtMs: number[] = [];
    for (let view = 1; view <= 4; view++) {
      const sinceMs = solo.nowMs;
      solo.deliver(3, solo.viewChange(view));
      while (solo.engine.status().active) busy(solo, 500, view - 1);
      joinedAtMs.push(Math.round((solo.nowMs - sinceMs) / 1_000));
      enter(solo, view);
    }
    expect(joinedAtMs.map((seconds) => seconds >= 3)).toEqual([true, true, true, true]);
    expect(joinedAtMs[0]).toBeLessThan(5);
    expect(joinedAtMs[1]).toBeGreaterThan(50);
    expect(joinedAtMs[2]).toBeGreaterThan(110);
    expect(joinedAtMs[3]).toBeGreaterThan(230);
  });
});

describe("a process that stood still", () => {
  test("does not count that time against its leader, once", () => {
    const solo = new Solo();
    solo.hold(solo.bundle(2));
    const late = (): void => {
      solo.nowMs += 60_000;
      solo.feed({ kind: "timer", ...solo.now(), name: "progress" });
    };
    late();
    expect(solo.engine.status()).toMatchObject({ view: 0, active: true });
    late();
    expect(solo.said("view-change")).toEqual([solo.viewChange(1)]);
  });
});
