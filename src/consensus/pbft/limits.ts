import { assert } from "../../lib/assert.ts";
import { CHECKPOINT_INTERVAL } from "../checkpoint.ts";

/** L: how far above the stable checkpoint a leader proposes. Four intervals, so that a slow checkpoint stops nobody. */
export const SEND_WINDOW = 128;

/** How far above its stable checkpoint a replica listens. Wider than the send window: a leader's checkpoint may be newer. */
export const RECEIVE_WINDOW = 256;

/** Unfinished proposals of a leader at a time. Each costs every node a signature and an fsync a phase; few large are cheap. */
export const PIPELINE_DEPTH = 4;

/** Messages of views to come that are kept for each sender; what falls out is sent again by anti-entropy. */
export const EARLY_MESSAGES_MAX: number = 4 * SEND_WINDOW;

/** How far a proposal's time may be from a replica's own clock. Generous: it only guards against absurd times. */
export const CLOCK_SKEW_MS_MAX = 15_000;

/** While something is unfinished, a node says every so often where it stands, so that peers send what it lacks. */
export const RESEND_MS = 1_000;

/** Places below another node's votes that are sent again at a time. */
export const RESEND_SLOTS_MAX = 32;

/** Placeholders for missing bodies that are asked for at a time. */
export const FETCH_DIGESTS_MAX = 256;

/** The windows of one network. All its replicas use the same; tests use small ones, so that every run meets their ends. */
export interface Windows {
  readonly checkpointInterval: number;
  readonly sendWindow: number;
  readonly receiveWindow: number;
}

export const WINDOWS: Windows = {
  checkpointInterval: CHECKPOINT_INTERVAL,
  sendWindow: SEND_WINDOW,
  receiveWindow: RECEIVE_WINDOW,
};

assert(SEND_WINDOW >= 2 * CHECKPOINT_INTERVAL, "the window holds a checkpoint in the making and one to come");
assert(RECEIVE_WINDOW >= SEND_WINDOW + CHECKPOINT_INTERVAL, "the receive window is wider than the send window");
assert(PIPELINE_DEPTH <= SEND_WINDOW, "the pipeline fits into the window");
