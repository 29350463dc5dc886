import { digestOf } from "../crypto/hash.ts";
import { present } from "../lib/assert.ts";
import { HASH_BYTES, type Hash } from "../lib/hash.ts";

/** A part of a state under the hash of its name. The digest stands for name and value. */
export interface TrieItem<V> {
  readonly path: Hash;
  readonly digest: Hash;
  readonly value: V;
}

interface Leaf<V> {
  readonly kind: "leaf";
  readonly generation: number;
  /** In ascending order of their paths. */
  readonly items: TrieItem<V>[];
  /** Its digest is not yet what its parent says. */
  isChanged: boolean;
}

interface Branch<V> {
  readonly kind: "branch";
  readonly generation: number;
  /** By the paths' next hexadecimal digit. */
  readonly children: (Node<V> | null)[];
  /** The children's digests one behind the other, zeros for one that is not there: nothing hashes to them. */
  readonly digests: Uint8Array;
  size: number;
  isChanged: boolean;
}

type Node<V> = Leaf<V> | Branch<V>;

/** More items than this make a branch. Few, since a leaf is hashed whole when one of them changes. */
const LEAF_ITEMS_MAX = 8;

const FAN_OUT = 16;

/**
 * A Merkle tree over a set of named values, by the digits of the hashed names. Its shape is a function of the set, not of how
 * the set came about: whatever holds at most LEAF_ITEMS_MAX items is a leaf. So two replicas with equal sets have the same
 * root, and who finds two sets of one root has found a collision of the hash. What a batch changes costs the paths that
 * lead to it; whoever picks names of one path deepens the tree by one digit for sixteen times the search.
 *
 * Frozen contents stay as they were: what is shared with them is copied before it is changed.
 */
export class HashTrie<V> {
  #root: Node<V> | null = null;
  #generation = 0;
  /** Zeros for the empty set. */
  #digest: Uint8Array = new Uint8Array(HASH_BYTES);

  get size(): number {
    return sizeOf(this.#root);
  }

  set(item: TrieItem<V>): void {
    this.#root = this.#put(this.#root, 0, item);
  }

  delete(path: Hash): void {
    this.#root = this.#remove(this.#root, 0, path);
  }

  digest(): Uint8Array {
    if (this.#root === null) this.#digest = new Uint8Array(HASH_BYTES);
    else if (this.#root.isChanged) this.#digest = settle(this.#root);
    return this.#digest;
  }

  /** The values as they are now, in ascending order of their paths, however often and late they are iterated. */
  freeze(): Iterable<V> {
    const root = this.#root;
    this.#generation++;
    return { [Symbol.iterator]: () => valuesOf(root) };
  }

  #put(node: Node<V> | null, depth: number, item: TrieItem<V>): Node<V> {
    if (node === null) return this.#leaf([item]);
    if (node.kind === "branch") {
      const branch = this.#own(node);
      const digit = digitAt(item.path, depth);
      const child = branch.children[digit] ?? null;
      const before = sizeOf(child);
      const next = this.#put(child, depth + 1, item);
      branch.children[digit] = next;
      branch.size += sizeOf(next) - before;
      return branch;
    }
    const leaf = this.#ownLeaf(node);
    const at = leaf.items.findIndex(({ path }) => path >= item.path);
    if (at < 0) leaf.items.push(item);
    else leaf.items.splice(at, leaf.items[at]?.path === item.path ? 1 : 0, item);
    return leaf.items.length > LEAF_ITEMS_MAX ? this.#split(leaf.items, depth) : leaf;
  }

  #remove(node: Node<V> | null, depth: number, path: Hash): Node<V> | null {
    if (node === null) return null;
    if (node.kind === "leaf") {
      const at = node.items.findIndex((item) => item.path === path);
      if (at < 0) return node;
      if (node.items.length === 1) return null;
      const leaf = this.#ownLeaf(node);
      leaf.items.splice(at, 1);
      return leaf;
    }
    const digit = digitAt(path, depth);
    const child = node.children[digit] ?? null;
    const before = sizeOf(child);
    const next = this.#remove(child, depth + 1, path);
    const removed = before - sizeOf(next);
    if (removed === 0) return node;
    const branch = this.#own(node);
    branch.children[digit] = next;
    if (next === null) branch.digests.fill(0, digit * HASH_BYTES, (digit + 1) * HASH_BYTES);
    branch.size -= removed;
    return branch.size > LEAF_ITEMS_MAX ? branch : this.#leaf([...itemsOf(branch)]);
  }

  #split(items: readonly TrieItem<V>[], depth: number): Node<V> {
    const groups: TrieItem<V>[][] = Array.from({ length: FAN_OUT }, () => []);
    for (const item of items) present(groups[digitAt(item.path, depth)], "a digit's group").push(item);
    const children = groups.map((group) => {
      if (group.length === 0) return null;
      return group.length > LEAF_ITEMS_MAX ? this.#split(group, depth + 1) : this.#leaf(group);
    });
    const digests = new Uint8Array(FAN_OUT * HASH_BYTES);
    return { kind: "branch", generation: this.#generation, children, digests, size: items.length, isChanged: true };
  }

  #leaf(items: TrieItem<V>[]): Leaf<V> {
    return { kind: "leaf", generation: this.#generation, items, isChanged: true };
  }

  /** The node itself, or its copy where it is shared with a frozen tree; its digest is to be found anew. */
  #own(node: Branch<V>): Branch<V> {
    node = node.generation === this.#generation ? node : copyOf(node, this.#generation);
    node.isChanged = true;
    return node;
  }

  #ownLeaf(node: Leaf<V>): Leaf<V> {
    if (node.generation !== this.#generation) return this.#leaf([...node.items]);
    node.isChanged = true;
    return node;
  }
}

/** The frozen branch is never hashed again, so that the copy can have its digests. */
function copyOf<V>(branch: Branch<V>, generation: number): Branch<V> {
  return { ...branch, generation, children: [...branch.children] };
}

function sizeOf<V>(node: Node<V> | null): number {
  if (node === null) return 0;
  return node.kind === "leaf" ? node.items.length : node.size;
}

/** Paths are distinct hashes, so no two agree in all 64 digits. */
function digitAt(path: Hash, depth: number): number {
  const code = path.charCodeAt(depth);
  return code < 0x3a ? code - 0x30 : code - 0x57;
}

/** The node's digest, which its parent keeps; below it, what has not changed is not looked at. */
function settle<V>(node: Node<V>): Uint8Array {
  node.isChanged = false;
  if (node.kind === "leaf") {
    return digestOf("trie-leaf", Uint8Array.fromHex(node.items.map(({ digest }) => digest).join("")));
  }
  const { children, digests } = node;
  for (const [digit, child] of children.entries()) {
    if (child?.isChanged === true) digests.set(settle(child), digit * HASH_BYTES);
  }
  return digestOf("trie-branch", digests);
}

function* itemsOf<V>(node: Node<V> | null): Generator<TrieItem<V>> {
  if (node === null) return;
  if (node.kind === "leaf") yield* node.items;
  else for (const child of node.children) yield* itemsOf(child);
}

function* valuesOf<V>(node: Node<V> | null): Generator<V> {
  for (const { value } of itemsOf(node)) yield value;
}
