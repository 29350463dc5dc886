import { describe, expect, test } from "bun:test";
import { SMALL_WINDOWS } from "../../../test/cluster/pbft-host.ts";
import { batchOf, commit, prepare, prePrepare, Solo } from "../../../test/cluster/solo.ts";
import { StateDivergence } from "../checkpoint.ts";
import { batchDigest } from "../../dag/batch.ts";
import type { Sequence } from "../../membership/ids.ts";
import type { Checkpoint } from "./messages.ts";

/** A replica that executed `count` places, each of one bundle. */
function executed(count: number): { readonly solo: Solo; readonly votes: readonly Checkpoint[] } {
  const solo = new Solo({ windows: SMALL_WINDOWS });
  const lane = solo.lane(2, count);
  solo.hold(...lane);
  for (const [index, held] of lane.entries()) {
    const proposal = prePrepare(0, index + 1, batchOf(held));
    solo.deliver(0, proposal);
    for (const from of [2, 3]) solo.deliver(from, prepare(0, index + 1, proposal.digest));
    for (const from of [0, 2]) solo.deliver(from, commit(0, index + 1, proposal.digest));
  }
  return { solo, votes: solo.said("checkpoint") as readonly Checkpoint[] };
}

describe("section 4.3: garbage collection", () => {
  test("a checkpoint is stable with a quorum of equal states; what it covers is forgotten, in memory and on disk", () => {
    const { solo, votes } = executed(6);
    const [vote] = votes;
    if (vote === undefined) throw new Error("a vote");
    const first = solo.of("finalize")[0]?.slot.certificate.digest;
    if (first === undefined) throw new Error("a place");
    expect(solo.engine.batchOf(first)).toBeDefined();
    solo.deliver(0, vote);
    expect(solo.engine.status().stable).toBe(0 as Sequence);
    solo.deliver(3, vote);
    expect(solo.engine.status().stable).toBe(4 as Sequence);
    expect(solo.engine.batchOf(first)).toBeUndefined();
    const rows = [...solo.disk.rows.keys()].filter((key) => /^(accepted|prepared|own-state)\//.test(key));
    expect(rows.map((key) => Number.parseInt(key.slice(key.indexOf("/") + 1), 16)).sort()).toEqual([5, 5, 6, 6]);
    expect(solo.engine.status().participation).toBeGreaterThan(0);
  });

  test("votes for other states do not count together", () => {
    const { solo, votes } = executed(4);
    const [vote] = votes;
    if (vote === undefined) throw new Error("a vote");
    solo.deliver(0, { ...vote, stateDigest: batchDigest({ timestampMs: 1, bundles: [] }) });
    solo.deliver(3, vote);
    expect(solo.engine.status().stable).toBe(0 as Sequence);
    solo.deliver(2, vote);
    expect(solo.engine.status().stable).toBe(4 as Sequence);
  });

  test("a replica whose own state differs from a quorum's says nothing more", () => {
    const { solo, votes } = executed(4);
    const [vote] = votes;
    if (vote === undefined) throw new Error("a vote");
    const other = { ...vote, stateDigest: batchDigest({ timestampMs: 1, bundles: [] }) };
    solo.deliver(0, other);
    solo.deliver(2, other);
    expect(() => solo.deliver(3, other)).toThrow(StateDivergence);
  });

  test("a checkpoint that others reached first is taken over when this replica gets there", () => {
    const { votes } = executed(4);
    const [vote] = votes;
    if (vote === undefined) throw new Error("a vote");
    const solo = new Solo({ windows: SMALL_WINDOWS });
    for (const from of [0, 2, 3]) solo.deliver(from, vote);
    expect(solo.engine.status().stable).toBe(0 as Sequence);
    const lane = solo.lane(2, 4);
    solo.hold(...lane);
    for (const [index, held] of lane.entries()) {
      const { digest } = prePrepare(0, index + 1, batchOf(held));
      solo.deliver(0, prePrepare(0, index + 1, batchOf(held)));
      for (const from of [0, 2, 3]) solo.deliver(from, commit(0, index + 1, digest));
    }
    expect(solo.engine.status().stable).toBe(4 as Sequence);
  });

  test("votes for places between checkpoints, at or below the stable one or far ahead are not listened to", () => {
    const { solo, votes } = executed(4);
    const [vote] = votes;
    if (vote === undefined) throw new Error("a vote");
    const at = (sequence: number): string => solo.deliver(0, { ...vote, sequence: sequence as Sequence });
    expect([at(5), at(0), at(4 + 2 * SMALL_WINDOWS.receiveWindow)]).toEqual(["screened", "screened", "screened"]);
    expect([at(4), at(4), at(8)]).toEqual(["accepted", "screened", "accepted"]);
  });
});
