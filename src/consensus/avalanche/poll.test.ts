import { describe, expect, test } from "bun:test";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { chain, lane, made, vertex } from "./avalanche.cases.ts";
import type { BundleNode } from "./bundle-node.ts";
import { WAYPOINTS_MAX } from "./limits.ts";
import { chainOf, chainsOf, Poll } from "./poll.ts";

const THRESHOLDS = { preference: 2, confidence: 3 };

function poll(nodes: readonly BundleNode[], asked: readonly number[] = [1, 2, 3]): Poll {
  const sampled = asked as readonly ValidatorIndex[];
  return new Poll({ id: 1, chains: chainsOf(nodes), sampled, asked: sampled, nowMs: 0, deadlineMs: 1_000 });
}

function yes(of: Poll): readonly number[] {
  return [...of.results()].map((result) => result.yes);
}

function finder(nodes: readonly BundleNode[]): (digest: string) => BundleNode | undefined {
  return (digest) => nodes.find((node) => node.digest === digest);
}

describe("a vote for a bundle is a vote for its ancestry", () => {
  const nodes = chain(lane(0, 3));

  test("the query names the newest first, the results come oldest first", () => {
    const asked = poll(nodes);
    expect(asked.query().lanes).toEqual([[...nodes].reverse().map(({ digest }) => digest)]);
    asked.count({ heads: [0], dissents: [] }, finder(nodes));
    expect([...asked.results()].map(({ node }) => node)).toEqual([...nodes]);
    expect(yes(asked)).toEqual([1, 1, 1]);
  });

  test("and none for what is newer than its head", () => {
    const asked = poll(nodes);
    asked.count({ heads: [1], dissents: [] }, finder(nodes));
    asked.count({ heads: [2], dissents: [] }, finder(nodes));
    asked.count({ heads: [3], dissents: [] }, finder(nodes));
    expect(yes(asked)).toEqual([2, 1, 0]);
  });

  test("a head that points nowhere is no vote", () => {
    const asked = poll(nodes);
    asked.count({ heads: [200], dissents: [] }, finder(nodes));
    expect(yes(asked)).toEqual([0, 0, 0]);
  });

  test("of a long chain some are named, and those between them count with the next newer one", () => {
    const long = chain(lane(0, 100));
    const { waypoints } = chainOf([...long].reverse());
    expect(waypoints.length).toBe(WAYPOINTS_MAX);
    expect([waypoints[0], waypoints.at(-1)]).toEqual([0, 99]);
    expect(waypoints.every((at, place) => at > (waypoints[place - 1] ?? -1))).toBe(true);
    const asked = poll(long);
    asked.count({ heads: [WAYPOINTS_MAX - 2], dissents: [] }, finder(long));
    const from = waypoints.at(-2) ?? 0;
    expect(yes(asked).filter((count) => count === 1).length).toBe(100 - from);
  });
});

describe("votes are counted for each vertex", () => {
  const bundles = [made({ payloads: [vertex("a", "key"), vertex("b")] })];
  const nodes = chain(bundles);
  const [node] = nodes as [BundleNode];

  test("what an answer leaves out has not its vote, the bundle and the others have", () => {
    const asked = poll(nodes);
    asked.count({ heads: [0], dissents: [{ bundle: node.digest, vertices: [0] }] }, finder(nodes));
    asked.count({ heads: [0], dissents: [] }, finder(nodes));
    expect(yes(asked)).toEqual([2]);
    expect([asked.yesFor(node, 0, 2), asked.yesFor(node, 1, 2)]).toEqual([1, 2]);
  });

  test("who did not vote for the bundle takes nothing from its vertices", () => {
    const asked = poll(nodes);
    asked.count({ heads: [1], dissents: [{ bundle: node.digest, vertices: [0] }] }, finder(nodes));
    expect(asked.yesFor(node, 0, 0)).toBe(0);
  });
});

describe("the branches of a fork", () => {
  const [stem] = lane(0, 1);
  const left = made({ previous: stem ?? null, payloads: [vertex("left")] });
  const right = made({ previous: stem ?? null, payloads: [vertex("right")] });
  const [root, first] = chain([stem, left].filter((held) => held !== undefined)) as [BundleNode, BundleNode];
  const [, second] = chain([stem, right].filter((held) => held !== undefined)) as [BundleNode, BundleNode];
  second.previous = root;
  const nodes = [root, first, second];

  test("are chains of their own, and their stem counts once", () => {
    const asked = poll(nodes);
    expect(asked.chains.length).toBe(2);
    // This validator prefers the second branch: of the first chain it has the stem alone.
    asked.count({ heads: [1, 0], dissents: [] }, finder(nodes));
    const results = new Map([...asked.results()].map((result) => [result.node, result.yes]));
    expect([results.get(root), results.get(first), results.get(second)]).toEqual([1, 0, 1]);
  });
});

describe("a poll ends early", () => {
  const nodes = chain(lane(0, 2));

  test("when all have reached the threshold", () => {
    const asked = poll(nodes, [1, 2, 3, 4, 5]);
    for (const peer of [1, 2, 3]) {
      expect(asked.isFixed(THRESHOLDS)).toBe(false);
      asked.waiting.delete(peer as ValidatorIndex);
      asked.count({ heads: [0], dissents: [] }, finder(nodes));
    }
    expect(asked.isFixed(THRESHOLDS)).toBe(true);
  });

  test("when none can reach it any more", () => {
    const asked = poll(nodes, [1, 2, 3]);
    for (const peer of [1, 2]) {
      expect(asked.isFixed(THRESHOLDS)).toBe(false);
      asked.waiting.delete(peer as ValidatorIndex);
      asked.count({ heads: [2], dissents: [] }, finder(nodes));
    }
    expect(asked.isFixed(THRESHOLDS)).toBe(true);
  });

  test("not while one bundle or one vertex is open still", () => {
    const [node] = nodes as [BundleNode];
    const asked = poll(nodes, [1, 2, 3, 4]);
    for (const peer of [1, 2, 3]) {
      asked.waiting.delete(peer as ValidatorIndex);
      asked.count({ heads: [0], dissents: [{ bundle: node.digest, vertices: [0] }].slice(peer - 1) }, finder(nodes));
    }
    // Three votes for both bundles, two for the vertex: the fourth answer decides it.
    expect(yes(asked)).toEqual([3, 3]);
    expect(asked.isFixed(THRESHOLDS)).toBe(false);
  });
});
