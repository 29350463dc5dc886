import { describe, expect, test } from "bun:test";
import { SMALL_WINDOWS } from "../../../test/cluster/pbft-host.ts";
import { networkOf } from "../../../test/cluster/signing.ts";
import { batchOf, commit, prepare, prePrepare, Solo, WALL_MS } from "../../../test/cluster/solo.ts";
import { batchDigest } from "../../dag/batch.ts";
import { LANE_WAITING_MAX } from "../../dag/lanes.ts";
import { present } from "../../lib/assert.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Verified } from "../engine.ts";
import { CLOCK_SKEW_MS_MAX, EARLY_MESSAGES_MAX, PIPELINE_DEPTH } from "./limits.ts";
import type { PbftMessage } from "./messages.ts";

/** How many of the others have to say it until the replica goes on; null where all of them are not enough. */
function needed(solo: Solo, say: (from: number) => void, isDone: () => boolean): number | null {
  let said = 0;
  for (const from of solo.network.set.indices()) {
    if (from === solo.self || isDone()) continue;
    say(from);
    said += 1;
  }
  return isDone() ? said : null;
}

describe("section 4.2: the normal case", () => {
  test("the leader proposes a bundle that it holds, durably before it says so", () => {
    const solo = new Solo({ self: 0 });
    const held = solo.bundle(2);
    solo.hold(held);
    const proposal = prePrepare(0, 1, batchOf(held));
    expect(solo.said("pre-prepare")).toEqual([proposal]);
    const kinds = solo.effects.map(({ kind }) => kind);
    expect(kinds.indexOf("persist")).toBeLessThan(kinds.indexOf("broadcast"));
  });

  test("a replica prepares a proposal whose bodies it holds, durably before it says so", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    solo.take();
    const proposal = prePrepare(0, 1, batchOf(held));
    solo.deliver(0, proposal);
    expect(solo.said("prepare")).toEqual([prepare(0, 1, proposal.digest)]);
    const kinds = solo.effects.map(({ kind }) => kind);
    expect(kinds.indexOf("persist")).toBeLessThan(kinds.indexOf("broadcast"));
    expect(solo.said("commit")).toEqual([]);
  });

  test("a replica does not prepare what it does not hold; it asks for it, and goes on when it comes", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.deliver(0, prePrepare(0, 1, batchOf(held)));
    expect(solo.said("prepare")).toEqual([]);
    expect(solo.of("fetch-bundles").map(({ digests, from }) => [digests, from])).toEqual([
      [[held.ref.digest], [0 as ValidatorIndex]],
    ]);
    solo.hold(held);
    expect(solo.said("prepare").length).toBe(1);
  });

  for (const [count, others, commits] of [
    [1, 0, 0],
    [2, 0, 1],
    [3, 0, 1],
    [4, 1, 2],
    [5, 2, 3],
    [6, 2, 3],
    [7, 3, 4],
    [10, 5, 6],
  ] as const) {
    test(`with n = ${count}: a proposal, ${others} prepares of others and ${commits} commits of others order a request`, () => {
      const solo = new Solo({ count, self: count === 1 ? 0 : 1 });
      const held = solo.bundle(0);
      const proposal = prePrepare(0, 1, batchOf(held));
      solo.hold(held);
      if (count > 1) solo.deliver(0, proposal);
      const isCommitted = (): boolean => solo.engine.status().executed === 1;
      const prepares = needed(
        solo,
        (from) => from !== 0 && solo.deliver(from, prepare(0, 1, proposal.digest)),
        () => solo.said("commit").length > 0,
      );
      // The leader is among the others that were asked, and says no prepare.
      expect(prepares === null || prepares === 0 ? prepares : prepares - 1).toBe(others);
      expect(needed(solo, (from) => solo.deliver(from, commit(0, 1, proposal.digest)), isCommitted)).toBe(commits);
    });
  }

  test("prepares and commits that come before the proposal count when it comes", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const proposal = prePrepare(0, 1, batchOf(held));
    for (const from of [0, 2, 3]) solo.deliver(from, commit(0, 1, proposal.digest));
    solo.deliver(2, prepare(0, 1, proposal.digest));
    expect(solo.engine.status().executed).toBe(0 as Sequence);
    solo.deliver(0, proposal);
    expect(solo.engine.status().executed).toBe(1 as Sequence);
    expect(solo.said("commit").length).toBe(1);
  });

  test("the same vote again counts once", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const { digest } = prePrepare(0, 1, batchOf(held));
    for (let again = 0; again < 5; again++) solo.deliver(2, commit(0, 1, digest));
    solo.deliver(3, commit(0, 1, digest));
    expect(solo.engine.status().executed).toBe(0 as Sequence);
    expect(solo.deliver(3, commit(0, 1, digest))).toBe("screened");
  });

  test("places are executed in sequence, whatever the order in which they commit", () => {
    const solo = new Solo();
    const lane = solo.lane(2, 3);
    solo.hold(...lane);
    const digests = lane.map((held) => batchDigest(batchOf(held)));
    for (const [index, held] of lane.entries()) solo.deliver(0, prePrepare(0, index + 1, batchOf(held)));
    for (const sequence of [3, 2, 1]) {
      for (const from of [0, 2, 3]) solo.deliver(from, commit(0, sequence, present(digests[sequence - 1], "a digest")));
    }
    expect(solo.of("finalize").map(({ slot }) => slot.sequence)).toEqual([1, 2, 3] as Sequence[]);
  });

  test("a backup prepares nothing from anybody but the leader of the view", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const message = prePrepare(0, 1, batchOf(held));
    expect(solo.engine.screen(2 as ValidatorIndex, message)).toEqual({
      kind: "reject",
      reason: "pre-prepare-not-from-leader",
    });
    expect(solo.deliver(2, message)).toBe("screened");
    expect(solo.engine.screen(0 as ValidatorIndex, prepare(0, 1, message.digest)).kind).toBe("reject");
  });

  test("content that is not what the digest says, or that is dated absurdly, is not prepared", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    solo.deliver(0, { ...prePrepare(0, 1, batchOf(held)), batch: { timestampMs: 1, bundles: [] } });
    for (const away of [-CLOCK_SKEW_MS_MAX - 1, CLOCK_SKEW_MS_MAX + 1]) {
      solo.deliver(0, prePrepare(0, 1, { ...batchOf(held), timestampMs: WALL_MS + away }));
    }
    expect(solo.said("prepare")).toEqual([]);
  });

  test("an observer follows and says nothing", () => {
    const solo = new Solo({ self: null });
    const held = solo.bundle(2);
    solo.hold(held);
    const proposal = prePrepare(0, 1, batchOf(held));
    solo.deliver(0, proposal);
    for (const from of [1, 2, 3]) solo.deliver(from, prepare(0, 1, proposal.digest));
    for (const from of [1, 2, 3]) solo.deliver(from, commit(0, 1, proposal.digest));
    expect(solo.engine.status().executed).toBe(1 as Sequence);
    expect(solo.of("broadcast")).toEqual([]);
  });
});

describe("section 4.2: watermarks", () => {
  test("a leader proposes no more at a time than its pipeline holds, and no further than its send window", () => {
    const solo = new Solo({ self: 0, windows: SMALL_WINDOWS });
    solo.handsBack = false;
    for (const held of solo.lane(2, 10)) solo.hold(held);
    expect(solo.said("pre-prepare").length).toBe(PIPELINE_DEPTH);
  });

  test("a leader without a new stable checkpoint stops at the end of its send window", () => {
    const solo = new Solo({ self: 0, windows: SMALL_WINDOWS });
    const lane = solo.lane(2, 40);
    for (const [index, held] of lane.entries()) {
      solo.hold(held);
      const digest = batchDigest({ ...batchOf(held), timestampMs: solo.now().wallMs });
      for (const from of [2, 3]) solo.deliver(from, prepare(0, index + 1, digest));
      for (const from of [2, 3]) solo.deliver(from, commit(0, index + 1, digest));
    }
    expect(solo.said("pre-prepare").length).toBe(SMALL_WINDOWS.sendWindow);
    expect(solo.engine.status()).toMatchObject({ executed: SMALL_WINDOWS.sendWindow, stable: 0 });
  });

  test("a replica listens above the send window, up to the end of its receive window, and not beyond", () => {
    const solo = new Solo({ windows: SMALL_WINDOWS });
    const { sendWindow, receiveWindow } = SMALL_WINDOWS;
    const batch = { timestampMs: WALL_MS, bundles: [] };
    expect(solo.deliver(0, prePrepare(0, sendWindow + 1, batch))).toBe("accepted");
    expect(solo.deliver(0, prePrepare(0, receiveWindow, batch))).toBe("accepted");
    expect(solo.deliver(0, prePrepare(0, receiveWindow + 1, batch))).toBe("screened");
    expect(solo.deliver(0, prePrepare(0, 0, batch))).toBe("screened");
    expect(solo.said("prepare").length).toBe(2);
  });

  test("messages of views far ahead are not kept, and those of one sender are bounded", () => {
    const solo = new Solo();
    const { digest } = prePrepare(0, 1, batchOf());
    expect(solo.deliver(2, prepare(1_000, 1, digest))).toBe("screened");
    for (let at = 0; at < EARLY_MESSAGES_MAX + 50; at++) {
      solo.feed({
        kind: "message",
        ...solo.now(),
        signed: solo.sign(2, prepare(1, 1, digest)) as Verified<ReturnType<typeof solo.sign<PbftMessage>>>,
      });
    }
    expect(solo.said("commit")).toEqual([]);
  });
});

describe("liars in the normal case", () => {
  test("a leader that proposes two requests for one place is caught with both its signatures, and only the first counts", () => {
    const solo = new Solo();
    const [held, other] = [solo.bundle(2), solo.bundle(3)];
    solo.hold(held, other);
    const [first, second] = [prePrepare(0, 1, batchOf(held)), prePrepare(0, 1, batchOf(other))];
    solo.deliver(0, first);
    solo.deliver(0, second);
    solo.deliver(0, second);
    expect(solo.said("prepare")).toEqual([prepare(0, 1, first.digest)]);
    const evidence = solo.of("evidence").map(({ equivocation }) => equivocation);
    expect(evidence.map(({ first: { statement } }) => statement.digest)).toEqual([first.digest]);
    expect(evidence.map(({ second: { statement } }) => statement.digest)).toEqual([second.digest]);
  });

  test("a voter that says two things for one place is caught once, and its first vote stands", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const proposal = prePrepare(0, 1, batchOf(held));
    const lie = batchDigest({ timestampMs: 9, bundles: [] });
    solo.deliver(0, proposal);
    solo.deliver(3, commit(0, 1, lie));
    solo.deliver(3, commit(0, 1, proposal.digest));
    solo.deliver(3, commit(0, 1, batchDigest({ timestampMs: 10, bundles: [] })));
    expect(solo.of("evidence").length).toBe(1);
    solo.deliver(2, prepare(0, 1, proposal.digest));
    solo.deliver(2, commit(0, 1, proposal.digest));
    expect(solo.engine.status().executed).toBe(0 as Sequence);
    solo.deliver(0, commit(0, 1, proposal.digest));
    expect(solo.engine.status().executed).toBe(1 as Sequence);
  });

  test("a creator that fills its lane with forks cannot keep a replica from a proposal that names one more", () => {
    const solo = new Solo();
    const forks = Array.from({ length: LANE_WAITING_MAX }, (_, at) =>
      solo.bundle(3, 1, solo.network.genesis, `fork ${at}`),
    );
    solo.hold(...forks);
    const named = solo.bundle(3, 1, solo.network.genesis, "the one that the leader saw");
    solo.deliver(0, prePrepare(0, 1, batchOf(named)));
    solo.hold(named);
    expect(solo.said("prepare").length).toBe(1);
  });

  test("a leader goes on with the branch of a fork that was executed, not with the one that it had proposed itself", () => {
    const solo = new Solo({ self: 0 });
    solo.handsBack = false;
    const branches = [
      solo.bundle(3, 1, solo.network.genesis, "a"),
      solo.bundle(3, 1, solo.network.genesis, "b"),
    ] as const;
    const [proposed, other] = branches[0].ref.digest < branches[1].ref.digest ? branches : [branches[1], branches[0]];
    const next = solo.bundle(3, 2, other.ref.tip);
    solo.hold(proposed, other, next);
    expect(solo.said("pre-prepare").length).toBe(1);
    // Another place 1 is committed: by a quorum of a later view, which this leader missed.
    const slots = [solo.committed(4, 1, batchOf(other), [1, 2, 3])] as unknown as Verified<never[]>;
    solo.take();
    solo.feed({ kind: "synced", ...solo.now(), from: 1 as ValidatorIndex, slots, checkpoint: null });
    expect(
      solo.said("pre-prepare").map((message) => (message.kind === "pre-prepare" ? message.batch?.bundles : [])),
    ).toEqual([[next.ref.digest]]);
  });
});

describe("replay", () => {
  test("one network's vote, another epoch's or another phase's is nobody's vote here", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const message = commit(0, 1, prePrepare(0, 1, batchOf(held)).digest);
    const statement = solo.engine.wire.statementOf(message);
    const foreign = [networkOf(4, { name: "other" }), networkOf(4, { epoch: 1 })];
    for (const network of foreign) {
      expect(solo.deliverSigned({ message, proof: solo.proof(2, statement, network) })).toBe("invalid");
    }
    for (const changed of [{ phase: "prepare" }, { view: 1 }, { sequence: 2 }] as const) {
      expect(solo.deliverSigned({ message, proof: solo.proof(2, { ...statement, ...changed }) })).toBe("invalid");
    }
    expect(solo.deliverSigned({ message, proof: solo.proof(2, statement) })).toBe("accepted");
  });

  test("what was said in an older view is not taken in a newer one", () => {
    const solo = new Solo({ self: 2 });
    const held = solo.bundle(0);
    solo.hold(held);
    const proposal = prePrepare(0, 1, batchOf(held));
    solo.deliver(
      1,
      solo.newView(
        1,
        [0, 1, 3].map((from) => [from, solo.viewChange(1)] as const),
      ),
    );
    expect(solo.engine.status().view).toBe(1 as View);
    expect(solo.deliver(0, proposal)).toBe("screened");
    expect(solo.deliver(1, prepare(0, 1, proposal.digest))).toBe("screened");
  });
});
