import { REASON_CHARS_MAX } from "../replicated.ts";

/** Steps of one run. */
export const STEPS_MAX = 1_000;

/** Runs that have not ended: one that starts beyond is refused. */
export const ACTIVE_RUNS_MAX = 10_000;

/** Runs that have ended and can still be asked for; the one that ended first is dropped. */
export const ENDED_RUNS_MAX = 1_000;

/** Bytes of one step's input, or output: two thirds of what a command may bring, so that names and a few more steps fit beside. */
export const DATA_BYTES_MAX: number = 64 * 1024;

/** What a step counts beside its data: its names, its state and the tables that lead to it. */
export const STEP_BYTES = 512;

/** Bytes of one run: inputs, outputs, and STEP_BYTES a step. */
export const RUN_BYTES_MAX: number = 8 * 1024 * 1024;

/** Bytes of all runs that have not ended: they are in memory at every node. */
export const ACTIVE_BYTES_MAX: number = 256 * 1024 * 1024;

/** Bytes of all runs that have ended. */
export const ENDED_BYTES_MAX: number = 64 * 1024 * 1024;

/** Milliseconds of agreed time. A shorter lease would be heartbeats and nothing else. */
export const LEASE_MS_MIN = 1_000;

/** A worker that died keeps its step from others no longer than this. */
export const LEASE_MS_MAX: number = 60 * 60 * 1_000;

/** Also where doubling would make more of it. */
export const BACKOFF_MS_MAX: number = 60 * 60 * 1_000;

export const ATTEMPTS_MAX = 100;

/** Handlers that one claim may name. */
export const HANDLERS_MAX = 64;

/** Leases without attempts left that one claim ends on its way to a step; each ends a run. */
export const EXPIRIES_MAX = 16;

/** Bytes of UTF-8. */
export const TEXT_BYTES_MAX: number = 3 * REASON_CHARS_MAX;
