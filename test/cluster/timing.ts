import type { TimeoutLimits } from "../../src/consensus/adaptive-timeout.ts";

/** A calm cluster is far from the floor. */
export const TIMEOUTS: TimeoutLimits = { floorMs: 150, initialMs: 300, capMs: 3_000 };

/** Barely enough for a calm cluster: views fail while requests are on their way. */
export const HASTY_TIMEOUTS: TimeoutLimits = { floorMs: 60, initialMs: 90, capMs: 3_000 };
