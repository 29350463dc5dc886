import { describe, expect, test } from "bun:test";
import { made, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { OPEN_OF_CREATOR_MAX } from "../../src/consensus/avalanche/limits.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import { DagCluster } from "../../src/sim/avalanche/dag-cluster.ts";
import { networkOf } from "../cluster/signing.ts";
import { Seat } from "./seat.ts";

describe("two halves that saw different members of a set first", () => {
  test("do not wait for patience to run out: where no poll can move anybody, the log decides at once", () => {
    const params = deriveParams(4);
    const cluster = new DagCluster({
      network: networkOf(4),
      params,
      seed: 5,
      weather: { delayMinMs: 2, delayMaxMs: 4, lossPermille: 0 },
      logMs: 50,
      // Long enough for each half to hold its own first; what is lost for good would have to time out.
      passes: (from, to, nowMs) => nowMs > 8 || from < 2 === to < 2,
    });
    const made_: readonly { readonly bundle: string; readonly id: string }[] = [0, 2].map((creator) => {
      const held = cluster.submit(creator as ValidatorIndex, [vertex(`by ${creator}`, "seat")]);
      return { bundle: held.ref.digest, id: held.vertexIds[0] ?? "" };
    });
    const isDecided = (): boolean =>
      cluster.members.every((member) =>
        made_.every(({ bundle, id }) => member.isFinal(id as never) || member.isRejected(bundle as never, 0)),
      );
    expect(cluster.run(60_000, isDecided)).toBe(true);
    expect(cluster.schedule.nowMs).toBeLessThan(params.patienceMs);
    expect(new Set(cluster.members.map((member) => made_.find(({ id }) => member.isFinal(id as never))?.id)).size).toBe(
      1,
    );
  });
});

describe("a liar that fills its lane with forks", () => {
  const forks = Array.from({ length: OPEN_OF_CREATOR_MAX }, (_, at) =>
    made({ creator: 1, payloads: [vertex(`fork ${at}`)] }),
  );
  const certified = made({ creator: 1, payloads: [vertex("the one that the others saw")] });

  test("cannot keep out the branch that a quorum votes for", () => {
    const seat = new Seat();
    seat.bundles(...forks);
    for (const from of [1, 2, 3]) {
      const entries = [{ level: "accept", bundle: certified.ref.digest, except: [] }] as const;
      seat.hear(from, { kind: "votes", entries });
    }
    seat.bundles(certified);
    expect(seat.core.claimOf(certified.ref.digest)?.state).toBe("certified");
  });

  test("and nothing gives way to one more fork that nobody votes for", () => {
    const seat = new Seat();
    seat.bundles(...forks, certified);
    expect(seat.core.claimOf(certified.ref.digest)).toBeNull();
    expect(forks.every(({ ref }) => seat.core.claimOf(ref.digest) !== null)).toBe(true);
  });
});
