import type { Hash } from "../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import type { Seal } from "../membership/seal.ts";
import type { Lane } from "./ports.ts";
import type { Frame, FrameItem } from "./wire.ts";

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

/**
 * The frames of one turn: for each lane and receiver, the bodies meant for it in full and the leaves of all else, so that
 * every receiver can compute the root that the seal signs. Receivers of the same bodies share a frame.
 */
export function sealedFrames(seal: Seal, epoch: Epoch, statements: readonly Sealable[]): readonly Addressed[] {
  return groups(statements).map(({ lane, to, numbers }) => {
    const included = new Set(numbers);
    const items = statements.map((statement, index): FrameItem => {
      return included.has(index) ? { kind: "body", body: statement.body } : { kind: "leaf", leaf: statement.leaf };
    });
    return { lane, to, frame: { kind: "sealed", epoch, seal, items } };
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
