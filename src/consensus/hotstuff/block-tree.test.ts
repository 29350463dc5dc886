import { describe, expect, test } from "bun:test";
import { networkOf } from "../../../test/cluster/signing.ts";
import { type Batch, batchDigest, NULL_BATCH } from "../../dag/batch.ts";
import { toHash } from "../../lib/hash.ts";
import type { Sequence, View } from "../../membership/ids.ts";
import { type BlockNode, BlockTree } from "./block-tree.ts";
import { type Phases, rulesOf } from "./rules.ts";
import { blockHash, genesisBlock } from "./statements.ts";

function treeOf(phases: Phases): { readonly tree: BlockTree; readonly genesis: BlockNode } {
  const block = genesisBlock(networkOf(4), 0 as Sequence);
  const genesis: BlockNode = {
    hash: block.digest,
    block,
    batch: NULL_BATCH,
    proposal: null,
    justifyQc: null,
    qc: null,
    settled: null,
  };
  genesis.settled = genesis;
  return { tree: new BlockTree(genesis, rulesOf(phases)), genesis };
}

/** A block on another, with content or without. */
function grow(tree: BlockTree, parent: BlockNode, view: number, hasContent: boolean): BlockNode {
  const batch: Batch = hasContent
    ? { timestampMs: view, bundles: [toHash(new Uint8Array(32).fill(view))] }
    : NULL_BATCH;
  const block = {
    view: view as View,
    justify: { view: parent.block.view, block: parent.hash },
    sequence: (parent.block.sequence + (hasContent ? 1 : 0)) as Sequence,
    digest: batchDigest(batch),
    absences: [],
  };
  const hash = blockHash(block);
  const node: BlockNode = { hash, block, batch, proposal: null, justifyQc: null, qc: null, settled: null };
  tree.add(node);
  node.settled = tree.settledOf(node);
  return node;
}

/** A chain of blocks with content in these views. */
function chain(tree: BlockTree, from: BlockNode, ...views: readonly number[]): readonly BlockNode[] {
  const nodes: BlockNode[] = [];
  let parent = from;
  for (const view of views) {
    parent = grow(tree, parent, view, true);
    nodes.push(parent);
  }
  return nodes;
}

const sequencesOf = (tree: BlockTree, node: BlockNode | undefined): readonly number[] | null =>
  node === undefined ? null : (tree.commitsOf(node)?.map(({ sequence }) => sequence) ?? null);

describe("the head of a chain", () => {
  test("is the first of three in consecutive views (correction 7), of two with two phases", () => {
    for (const phases of [2, 3] as const) {
      const { tree, genesis } = treeOf(phases);
      const nodes = chain(tree, genesis, 3, 4, 5, 6);
      expect(nodes.map((node) => tree.headOf(node)?.block.view as number | undefined)).toEqual(
        phases === 3 ? [undefined, undefined, 3, 4] : [undefined, 3, 4, 5],
      );
    }
  });

  test("is not there where a view lies between", () => {
    const { tree, genesis } = treeOf(3);
    const nodes = chain(tree, genesis, 3, 4, 6, 7, 8);
    expect(nodes.map((node) => tree.headOf(node)?.block.view as number | undefined)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      6,
    ]);
  });
});

describe("what a vote commits", () => {
  test("is the head and all its ancestors that the chain has not settled, each once", () => {
    const { tree, genesis } = treeOf(3);
    const nodes = chain(tree, genesis, 3, 5, 6, 7, 8, 9);
    expect(nodes.map((node) => sequencesOf(tree, node))).toEqual([[], [], [], [1, 2], [3], [4]]);
  });

  test("leaves out blocks without content", () => {
    const { tree, genesis } = treeOf(3);
    let parent = grow(tree, genesis, 3, true);
    const said = [4, 5, 6, 7].map((view) => {
      parent = grow(tree, parent, view, false);
      return sequencesOf(tree, parent);
    });
    expect(said).toEqual([[], [1], [], []]);
    expect(tree.unsettled(parent)).toBe(0);
  });

  test("cannot be told without the ancestors, and can again above the first whole chain", () => {
    const { tree } = treeOf(3);
    const other = treeOf(3);
    const all = chain(other.tree, other.genesis, 3, 4, 5, 6, 7, 8);
    for (const node of all.slice(1)) {
      node.settled = null;
      tree.add(node);
      node.settled = tree.settledOf(node);
    }
    expect(all.slice(1).map((node) => sequencesOf(tree, node))).toEqual([null, null, null, [3], [4]]);
  });
});

describe("pruning", () => {
  test("keeps what votes of the future may have to commit, and drops forks", () => {
    const { tree, genesis } = treeOf(3);
    const nodes = chain(tree, genesis, 3, 4, 5, 6, 7, 8, 9);
    grow(tree, genesis, 2, true);
    const root = nodes[4];
    if (root === undefined) throw new Error("a chain of seven");
    expect(root.settled?.block.view as number | undefined).toBe(4);
    const gone = tree.prune(root);
    expect(gone.map(({ block }) => block.view as number).sort((left, right) => left - right)).toEqual([0, 2, 3]);
    expect(nodes.slice(1).every((node) => tree.get(node.hash) === node)).toBe(true);
  });
});
