/** The most bytes of a request's body: a full batch, also where base64 makes it a third larger. */
export const BODY_BYTES_MAX: number = 8 * 1024 * 1024;

/** The most payloads of one batch. */
export const BATCH_PAYLOADS_MAX = 10_000;

/** Items of one page of the total order. */
export const PAGE_ITEMS_DEFAULT = 100;
export const PAGE_ITEMS_MAX = 1_000;

/** How long `?wait=finalized` waits. */
export const WAIT_MS_DEFAULT = 30_000;
export const WAIT_MS_MAX = 120_000;

/** Bytes that a WebSocket client may be behind before it is told to come back later (close code 1013). */
export const STREAM_BUFFER_BYTES_MAX: number = 16 * 1024 * 1024;

/** Items of one replayed message on a stream. */
export const REPLAY_ITEMS = 500;

/** A ban of at most a year; a longer one is one without an end. */
export const BAN_SECONDS_MAX = 31_536_000;

export const BAN_REASON_CHARS_MAX = 200;
