import type { CostTable } from "./cost-table.ts";
import { SEAL_BYTES } from "./work.ts";

/**
 * What a turn's frames weigh and cost a node of a leaderless network, in bytes and in microseconds of the event loop. The
 * frames are those of node/frames.ts: for each lane one for all, and one for each addressed receiver.
 */

/**
 * How a receiver gets from a frame's bodies to the root that the seal signs. `leaves`, as nodes do it: the leaves of everything
 * else are in the frame, and one tree gives the root and all paths of all frames of a turn. `paths`: each body comes with its path, nothing else is
 * in the frame.
 */
export type Framing = "leaves" | "paths";

export const FRAMINGS: readonly Framing[] = ["leaves", "paths"];

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

/** Tag and length of a body within a frame. */
const BODY_BYTES = 8;

/** Tag and hash of a leaf. */
const LEAF_BYTES = 36;

const HASH_BYTES = 32;

/** Leaf index, path's length. */
const PATH_FIXED_BYTES = 8;

const KIB = 1_024;

/** A frame with its own bodies, under a seal of `leaves` statements. */
export interface FrameShape {
  readonly bodies: number;
  readonly bodyBytes: number;
  readonly leaves: number;
}

export function frameBytes({ bodies, bodyBytes, leaves }: FrameShape, framing: Framing): number {
  const further =
    framing === "paths"
      ? bodies * (PATH_FIXED_BYTES + HASH_BYTES * pathLength(leaves))
      : (leaves - bodies) * LEAF_BYTES;
  return SEAL_BYTES + FRAME_BYTES + bodyBytes + bodies * BODY_BYTES + further;
}

/**
 * From a frame's bytes to checked statements, without what wakes the receiver, the tree of the turn (`treeUs`), the signature,
 * and the engine.
 */
export function openFrameUs(shape: FrameShape, framing: Framing, costs: CostTable): number {
  const { bodies, leaves, bodyBytes } = shape;
  const climbs = framing === "leaves" ? 0 : bodies * (2 + pathLength(leaves));
  const digests = 2 * bodies + climbs;
  return (
    costs.encodeFixedUs +
    digests * costs.hashFixedUs +
    (bodyBytes / KIB) * costs.hashPerKiBUs +
    (frameBytes(shape, framing) / KIB) * costs.decodePerKiBUs
  );
}

/** The tree of a turn's statements, which a receiver of leaves builds once for all frames of the turn. */
export function treeUs(leaves: number, framing: Framing, costs: CostTable): number {
  return framing === "leaves" ? 2 * leaves * costs.hashFixedUs : 0;
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

function pathLength(leaves: number): number {
  return Math.ceil(Math.log2(Math.max(1, leaves)));
}
