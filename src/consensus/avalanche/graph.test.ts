import { describe, expect, test } from "bun:test";
import type { HeldBundle } from "../../dag/bundle.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import { arrival, lane, made, NETWORK, vertex } from "./avalanche.cases.ts";
import { DagGraph } from "./graph.ts";
import { present } from "../../lib/assert.ts";
import type { BundleNode } from "./bundle-node.ts";
import { OPEN_OF_CREATOR_MAX, SETTLED_BYTES_MAX, ORPHANS_OF_CREATOR_MAX } from "./limits.ts";

const ZERO = 0 as ValidatorIndex;

function graph(): DagGraph {
  const lanes = NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis }));
  return new DagGraph(NETWORK.genesis, { lanes, open: [] });
}

function kinds(of: DagGraph, ...bundles: readonly HeldBundle[]): readonly string[] {
  return bundles.map((held) => of.insert(arrival(held), 0).kind);
}

/** Its place in the lane is decided, and all of it settled. */
function accept(of: DagGraph, held: HeldBundle): readonly BundleNode[] {
  const node = of.nodes.get(held.ref.digest);
  if (node === undefined) throw new Error("a node");
  node.place = "accepted";
  for (const at of [...node.open()]) node.accepted.add(at);
  of.onPlaceAccepted(node);
  return of.settle(node);
}

describe("what is settled", () => {
  test("stays for a while, as much as a bound of its bytes allows, and its newest however large", () => {
    const dag = graph();
    const bundles: HeldBundle[] = [];
    for (let at = 0; at < 40; at++) {
      bundles.push(made({ previous: bundles.at(-1) ?? null, payloads: [new Uint8Array(1024 * 1024)] }));
    }
    const gone: HeldBundle[] = [];
    for (const held of bundles) {
      kinds(dag, held);
      for (const old of accept(dag, held)) {
        gone.push(old.held);
        dag.forget(old);
      }
    }
    expect(gone).toEqual(bundles.slice(0, gone.length));
    expect(dag.settled().map(({ held }) => held)).toEqual(bundles.slice(gone.length));
    expect(dag.settled().reduce((sum, { weight }) => sum + weight, 0)).toBeLessThanOrEqual(SETTLED_BYTES_MAX);
    expect(dag.settled().length).toBe(Math.floor(SETTLED_BYTES_MAX / present(dag.settled()[0], "a bundle").weight));
    expect(dag.past.get(present(gone[0], "one that is let go of").ref.digest)).toBe("accepted");
  });
});

describe("a bundle", () => {
  test("joins the DAG behind its parents, and once", () => {
    const dag = graph();
    const [first, second] = lane(0, 2) as [HeldBundle, HeldBundle];
    const other = made({ creator: 1, second });
    expect(kinds(dag, first, second, other, other)).toEqual(["node", "node", "node", "none"]);
    const [node, child] = [dag.nodes.get(first.ref.digest), dag.nodes.get(second.ref.digest)];
    expect(child?.previous).toBe(node as never);
    expect(dag.nodes.get(other.ref.digest)?.second).toBe(child as never);
    expect(node?.children).toEqual([child as never]);
  });

  test("waits for whichever parent is missing, and is found when that comes", () => {
    const dag = graph();
    const [first, second] = lane(0, 2) as [HeldBundle, HeldBundle];
    const other = made({ creator: 1, second });
    expect(kinds(dag, other, second)).toEqual(["none", "none"]);
    expect([dag.orphans.size, dag.knows(other.ref.digest)]).toEqual([2, true]);
    expect(dag.orphans.take(first.ref.tip).map(({ held }) => held)).toEqual([second]);
    expect(dag.orphans.take(second.ref.tip).map(({ held }) => held)).toEqual([other]);
    expect(dag.orphans.size).toBe(0);
  });

  test("that goes back in its lane, or goes on in another's, is never taken; one may leave a gap", () => {
    const dag = graph();
    const [first] = lane(0, 1) as [HeldBundle];
    const gap = made({ previous: { ...first, ref: { ...first.ref, count: 3 } } });
    const back = made({ previous: { ...first, ref: { ...first.ref, count: 0 } } });
    const stolen = made({ creator: 1, previous: first });
    expect(kinds(dag, first, gap, back, stolen)).toEqual(["node", "node", "dead", "dead"]);
  });

  test("behind a settled lane follows its end, and is dead where that is another branch", () => {
    const dag = graph();
    const [first, second] = lane(0, 2) as [HeldBundle, HeldBundle];
    kinds(dag, first);
    accept(dag, first);
    const node = dag.nodes.get(first.ref.digest);
    if (node !== undefined) dag.forget(node);
    const late = made({ payloads: [vertex("late")] });
    expect(kinds(dag, second, late, first)).toEqual(["node", "dead", "none"]);
    expect(dag.nodes.get(second.ref.digest)?.previous).toBe("past");
  });

  test("whose parent lost its place is dead", () => {
    const dag = graph();
    const [first, second] = lane(0, 2) as [HeldBundle, HeldBundle];
    kinds(dag, first);
    const node = dag.nodes.get(first.ref.digest);
    if (node !== undefined) node.place = "rejected";
    expect(kinds(dag, second, made({ creator: 1, second: first }))).toEqual(["dead", "dead"]);
  });
});

describe("memory", () => {
  test("one creator's open bundles and orphans are bounded", () => {
    const dag = graph();
    const bundles = lane(0, OPEN_OF_CREATOR_MAX + 1);
    expect(kinds(dag, ...bundles).at(-1)).toBe("none");
    expect(dag.openOf(ZERO).length).toBe(OPEN_OF_CREATOR_MAX);
    const orphans = lane(1, ORPHANS_OF_CREATOR_MAX + 10).slice(1);
    kinds(dag, ...orphans);
    expect(dag.orphans.size).toBe(ORPHANS_OF_CREATOR_MAX);
  });

  test("what is let go of keeps nothing alive: its children's parent is of the past, its sets are gone", () => {
    const dag = graph();
    const [first, second] = lane(0, 2) as [HeldBundle, HeldBundle];
    kinds(dag, first, second);
    accept(dag, first);
    const node = dag.nodes.get(first.ref.digest);
    if (node !== undefined) dag.forget(node);
    expect(dag.nodes.get(second.ref.digest)?.previous).toBe("past");
    expect([dag.nodes.size, dag.nodeAt(first.ref.tip)]).toEqual([1, undefined]);
    expect(dag.past.get(first.ref.digest)).toBe("accepted");
  });
});

describe("how far a lane is settled", () => {
  test("is before the first bundle of which anything is open", () => {
    const dag = graph();
    const [first, second, third] = lane(0, 3) as [HeldBundle, HeldBundle, HeldBundle];
    kinds(dag, first, second, third);
    expect(dag.settledNonce(ZERO)).toBe(0 as Nonce);
    accept(dag, first);
    expect(dag.settledNonce(ZERO)).toBe(1 as Nonce);
    const open = dag.nodes.get(second.ref.digest);
    if (open !== undefined) {
      open.place = "accepted";
      dag.onPlaceAccepted(open);
    }
    expect(dag.settledNonce(ZERO)).toBe(1 as Nonce);
  });
});
