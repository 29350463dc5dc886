import type { MerkleTree } from "../crypto/merkle.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import type { Seal } from "../membership/seal.ts";
import type { Lane } from "./ports.ts";
import { present } from "../lib/assert.ts";
import type { Frame } from "./wire.ts";

/** "all" is every other validator of the epoch; a list names others than this node, each once. */
export type Receivers = ValidatorIndex | "all" | readonly ValidatorIndex[];

/** A frame with its lane and receivers. */
export interface Addressed {
  readonly lane: Lane;
  readonly to: Receivers;
  readonly frame: Frame;
}

interface Sealable {
  readonly lane: Lane;
  readonly leaf: Hash;
  readonly body: Uint8Array;
  readonly to: Receivers;
}

/** Statements that go in full into one frame, by number, and who gets it. */
interface Group {
  readonly lane: Lane;
  readonly to: Receivers;
  readonly numbers: number[];
  bytes: number;
}

/** Bodies of one frame; a larger turn becomes several frames under one seal. */
const FRAME_BODY_BYTES_SOFT_MAX: number = 2 * 1024 * 1024;

/** A turn's signature, and the tree that its root and all its proofs are of. */
export interface SealedTurn {
  readonly seal: Seal;
  readonly tree: MerkleTree;
}

/**
 * The frames of one turn: for each lane and receiver the bodies meant for it, and the digests of the turn's tree that it
 * lacks for the root that the seal signs. Receivers of the same bodies share a frame.
 *
 * With a leaf for each other statement instead, most of a frame were leaves: of 100 validators each answers some 200 queries a
 * turn, and a receiver wants two of these answers. Six tenths of the cost model's event loop went into their trees.
 */
export function sealedFrames(
  { seal, tree }: SealedTurn,
  epoch: Epoch,
  statements: readonly Sealable[],
): readonly Addressed[] {
  return groups(statements).map(({ lane, to, numbers }) => {
    const items = numbers.map((index) => ({ index, body: present(statements[index], "a statement").body }));
    return { lane, to, frame: { kind: "sealed", epoch, seal, items, complement: tree.complement(numbers) } };
  });
}

function groups(statements: readonly Sealable[]): readonly Group[] {
  const open = new Map<string, Group>();
  const closed: Group[] = [];
  statements.forEach(({ lane, to, body }, index) => {
    for (const receiver of typeof to === "object" ? to : [to]) {
      const key = `${lane}/${receiver}`;
      let group = open.get(key);
      if (group !== undefined && group.bytes + body.length > FRAME_BODY_BYTES_SOFT_MAX) {
        closed.push(group);
        group = undefined;
      }
      if (group === undefined) {
        group = { lane, to: receiver, numbers: [], bytes: 0 };
        open.set(key, group);
      }
      group.numbers.push(index);
      group.bytes += body.length;
    }
  });
  return shared([...closed, ...open.values()]);
}

/** One group for all receivers of the same statements: a frame is put together and encoded once for them. */
function shared(all: readonly Group[]): readonly Group[] {
  const byContent = new Map<string, { readonly group: Group; readonly to: ValidatorIndex[] }>();
  const broadcast: Group[] = [];
  for (const group of all) {
    if (group.to === "all") {
      broadcast.push(group);
      continue;
    }
    const key = `${group.lane}/${group.numbers.join()}`;
    const same = byContent.get(key);
    if (same === undefined) byContent.set(key, { group, to: [...listOf(group.to)] });
    else same.to.push(...listOf(group.to));
  }
  return [...broadcast, ...[...byContent.values()].map(({ group, to }) => ({ ...group, to }))];
}

/** The validators that are named. */
export function listOf(to: Exclude<Receivers, "all">): readonly ValidatorIndex[] {
  return typeof to === "object" ? to : [to];
}
