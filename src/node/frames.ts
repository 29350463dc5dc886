import type { Hash } from "../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import type { Seal } from "../membership/seal.ts";
import type { Lane } from "./ports.ts";
import type { Frame, FrameItem } from "./wire.ts";

/** A frame with its lane and receivers. */
export interface Addressed {
  readonly lane: Lane;
  readonly to: ValidatorIndex | "all";
  readonly frame: Frame;
}

interface Sealable {
  readonly lane: Lane;
  readonly leaf: Hash;
  readonly body: Uint8Array;
  readonly to: ValidatorIndex | "all";
}

/** Bodies of one frame; a larger turn becomes several frames under one seal. */
const FRAME_BODY_BYTES_SOFT_MAX: number = 2 * 1024 * 1024;

/**
 * The frames of one turn: for each lane and receiver, the bodies meant for it in full and the leaves of all else, so that
 * every receiver can compute the root that the seal signs.
 */
export function sealedFrames(seal: Seal, epoch: Epoch, statements: readonly Sealable[]): readonly Addressed[] {
  const frames: Addressed[] = [];
  for (const group of groups(statements)) {
    const first = statements[group[0] ?? 0];
    if (first === undefined) continue;
    const included = new Set(group);
    const items = statements.map((statement, index): FrameItem => {
      return included.has(index) ? { kind: "body", body: statement.body } : { kind: "leaf", leaf: statement.leaf };
    });
    frames.push({ lane: first.lane, to: first.to, frame: { kind: "sealed", epoch, seal, items } });
  }
  return frames;
}

/** The statements that share a frame, by number: same lane, same receiver, not too many bytes. */
function groups(statements: readonly Sealable[]): readonly (readonly number[])[] {
  const open = new Map<string, { numbers: number[]; bytes: number }>();
  const closed: number[][] = [];
  statements.forEach(({ lane, to, body }, index) => {
    const key = `${lane}/${to}`;
    let group = open.get(key);
    if (group !== undefined && group.bytes + body.length > FRAME_BODY_BYTES_SOFT_MAX) {
      closed.push(group.numbers);
      group = undefined;
    }
    if (group === undefined) {
      group = { numbers: [], bytes: 0 };
      open.set(key, group);
    }
    group.numbers.push(index);
    group.bytes += body.length;
  });
  return [...closed, ...[...open.values()].map(({ numbers }) => numbers)];
}
