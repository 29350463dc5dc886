import type { CostTable } from "./cost-table.ts";
import { SEAL_BYTES } from "./work.ts";

/**
 * What a turn's frames weigh and cost a node of a leaderless network, in bytes and in microseconds of the event loop. The
 * frames are those of node/frames.ts: for each lane one for all, and one for each addressed receiver.
 */

/** The event loop's time in the engine for one step: so much, and so much for each unit of `unitsOf`. */
export interface StepCost {
  readonly fixedUs: number;
  readonly perUnitUs: number;
}

/** Units: waypoints of a query, lanes of an answer, entries of votes, vertices of bundles; a timer has none. */
export type StepKind = "query" | "answer" | "votes" | "bundles" | "timer";

export const STEP_KINDS: readonly StepKind[] = ["query", "answer", "votes", "bundles", "timer"];

export type EngineCosts = Readonly<Record<StepKind, StepCost>>;

/** Tag, epoch, vector lengths of a sealed frame. */
const FRAME_BYTES = 16;

/** Index and length of a body within a frame. */
const BODY_BYTES = 10;

const HASH_BYTES = 32;

const KIB = 1_024;

/** What the receiver of some of a tree's leaves hashes, and how many digests it is sent (`MerkleTree.complement`). */
export interface TreePart {
  readonly hashes: number;
  readonly complement: number;
}

/** @param indices in ascending order */
export function partOfTree(leaves: number, indices: readonly number[]): TreePart {
  let [hashes, complement] = [indices.length + 1, 0];
  let positions = indices;
  for (let width = leaves; width > 1; width = (width + 1) >> 1) {
    const above: number[] = [];
    for (const [at, position] of positions.entries()) {
      if (above.at(-1) === position >> 1) continue;
      above.push(position >> 1);
      const beside = position ^ 1;
      if (beside >= width) continue;
      hashes += 1;
      if (positions[at + 1] !== beside) complement += 1;
    }
    positions = above;
  }
  return { hashes, complement };
}

/** A frame with its bodies, and what it tells of the turn's tree. */
export interface FrameShape {
  readonly bodies: number;
  readonly bodyBytes: number;
  readonly part: TreePart;
}

export function frameBytes({ bodies, bodyBytes, part }: FrameShape): number {
  return SEAL_BYTES + FRAME_BYTES + bodyBytes + bodies * BODY_BYTES + part.complement * HASH_BYTES;
}

/** From a frame's bytes to checked statements, without what wakes the receiver, the signature, and the engine. */
export function openFrameUs(shape: FrameShape, costs: CostTable): number {
  const { bodies, bodyBytes, part } = shape;
  return (
    costs.encodeFixedUs +
    (bodies + part.hashes) * costs.hashFixedUs +
    (bodyBytes / KIB) * costs.hashPerKiBUs +
    (frameBytes(shape) / KIB) * costs.decodePerKiBUs
  );
}

/** Digests and tree of a turn that closes, and the signature. */
export function sealUs(turn: { readonly statements: number; readonly bodyBytes: number }, costs: CostTable): number {
  const { statements, bodyBytes } = turn;
  const digests = 4 * statements;
  return costs.signUs + digests * costs.hashFixedUs + (bodyBytes / KIB) * (costs.hashPerKiBUs + costs.encodePerKiBUs);
}

/** Putting one frame together, once for all its receivers. */
export function encodeFrameUs(bytes: number, costs: CostTable): number {
  return costs.encodeFixedUs + (bytes / KIB) * costs.encodePerKiBUs;
}

/** One end's part of carrying all frames of a turn to one peer: they leave together and wake it once. */
export function wireUs(bytes: number, costs: CostTable): number {
  return costs.wireFixedUs / 2 + ((bytes / KIB) * costs.wirePerKiBUs) / 2;
}

/** Ids and tree of a bundle's vertices, its digest and its statement; three digests a vertex. */
export function bundleUs(vertices: number, bytes: number, costs: CostTable): number {
  return (3 * vertices + 2) * costs.hashFixedUs + (bytes / KIB) * costs.hashPerKiBUs;
}
