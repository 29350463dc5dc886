import type { Batch } from "../../dag/batch.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { Block, Proposal, Qc, QcRef } from "./messages.ts";
import type { Rules } from "./rules.ts";

/** A block that is held, with what is known of it. */
export interface BlockNode {
  readonly hash: Hash;
  readonly block: Block;
  readonly batch: Batch;
  /** Null for the genesis block. */
  readonly proposal: Signed<Proposal> | null;
  /** Of `block.justify`; null where that is the genesis block. */
  readonly justifyQc: Qc | null;
  /** The certificate of this block. Invariant: in one view at most one block has one. */
  qc: Qc | null;
  /**
   * The newest block that is committed by certificates in this block's own chain; null where too few ancestors are held to
   * tell. A function of the chain alone, so all replicas that hold it agree. What lies above it and below this block is
   * not settled: nobody can tell from the chain that it is committed.
   */
  settled: BlockNode | null;
}

/** A place of the log that the votes for a block commit. */
export interface CommitTarget {
  readonly sequence: Sequence;
  readonly digest: Hash;
}

/**
 * The blocks above what is executed and settled, as a forest: after a long absence a replica holds the upper end of the
 * chain before it knows what lies below.
 */
export class BlockTree {
  readonly #rules: Rules;
  readonly #nodes = new Map<Hash, BlockNode>();

  constructor(genesis: BlockNode, rules: Rules) {
    this.#rules = rules;
    this.#nodes.set(genesis.hash, genesis);
  }

  get(hash: Hash): BlockNode | undefined {
    return this.#nodes.get(hash);
  }

  get size(): number {
    return this.#nodes.size;
  }

  add(node: BlockNode): void {
    this.#nodes.set(node.hash, node);
  }

  delete(hash: Hash): void {
    this.#nodes.delete(hash);
  }

  parentOf(node: BlockNode): BlockNode | undefined {
    return this.#nodes.get(node.block.justify.block);
  }

  /** Ascending by view; of an equivocating leader's, by hash. */
  sorted(): readonly BlockNode[] {
    return [...this.#nodes.values()].sort((left, right) => {
      return left.block.view - right.block.view || (left.hash < right.hash ? -1 : 1);
    });
  }

  /** The block that a certificate of this one would commit: the first of consecutive ones; undefined where there is none. */
  headOf(node: BlockNode): BlockNode | undefined {
    let first = node;
    for (let more = 1; more < this.#rules.phases; more++) {
      const parent = this.parentOf(first);
      if (parent === undefined || !this.#rules.isDirect(first.block.view, parent.block.view)) return undefined;
      first = parent;
    }
    return first;
  }

  /** `settled` of a block, from its parent, which its certificate makes part of the chain. */
  settledOf(node: BlockNode): BlockNode | null {
    const parent = this.parentOf(node);
    return parent === undefined ? null : (this.headOf(parent) ?? parent.settled);
  }

  /**
   * What a vote for this block commits, ascending: all with content up to the head of its chain that is not settled by the
   * chain yet. Null where too little is held to tell. Every voter says the same, so a certificate brings a quorum's commits.
   */
  commitsOf(node: BlockNode): readonly CommitTarget[] | null {
    if (node.settled === null) return null;
    const head = this.headOf(node);
    if (head === undefined) return [];
    const path = this.above(node.settled, head);
    return (
      path
        ?.filter((passed) => this.hasContent(passed))
        .map(({ block: { sequence, digest } }) => ({ sequence, digest })) ?? null
    );
  }

  /** The blocks above `low` up to and with `high`, ascending; null where `low` is no ancestor of it. */
  above(low: BlockNode, high: BlockNode): readonly BlockNode[] | null {
    const path: BlockNode[] = [];
    let node: BlockNode | undefined = high;
    while (node !== undefined && node.block.view > low.block.view) {
      path.push(node);
      node = this.parentOf(node);
    }
    return node === low ? path.reverse() : null;
  }

  isAncestor(low: QcRef, node: BlockNode): boolean {
    let at: BlockNode | undefined = node;
    while (at !== undefined && at.block.view > low.view) at = this.parentOf(at);
    return at !== undefined && at.hash === low.block;
  }

  /** Whether a block has a place in the log of its own. */
  hasContent(node: BlockNode): boolean {
    return node.batch.bundles.length > 0;
  }

  /** Blocks with content above what is settled, up to and with this one. */
  unsettled(node: BlockNode): number {
    const path = this.above(present(node.settled, "a settled ancestor"), node) ?? [];
    return path.filter((passed) => this.hasContent(passed)).length;
  }

  /** Lets go of what no chain of the future can need; answers what went. `root` is committed and executed. */
  prune(root: BlockNode): readonly BlockNode[] {
    const floor = root.settled ?? root;
    const kept = new Set<BlockNode>([floor, ...(this.above(floor, root) ?? [root])]);
    const gone = [...this.#nodes.values()].filter((node) => node.block.view <= root.block.view && !kept.has(node));
    for (const { hash } of gone) this.#nodes.delete(hash);
    return gone;
  }
}
