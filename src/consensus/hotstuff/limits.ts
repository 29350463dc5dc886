/** Blocks with content that are not settled in a chain; a leader proposes empty blocks above it. Bounds what a vote says. */
export const UNSETTLED_MAX = 32;

/** Commits in one certificate: of each unsettled block, and one that is settled by it. */
export const COMMITS_MAX: number = UNSETTLED_MAX + 1;

/** Views above its own for which a replica counts votes; a certificate, not a vote, takes it further. */
export const VIEWS_AHEAD_MAX = 16;

/** Blocks of one view and one validator that are kept unasked; a second one is its lie. */
export const BLOCKS_OF_VIEW_MAX = 2;

/** Blocks of one validator that wait for an ancestor or a certificate, with room for one that comes out of a long sleep. */
export const WAITING_BLOCKS_MAX = 1_024;

/** Ancestors that are handed over at a time. */
export const ASK_BLOCKS_MAX = 32;

/**
 * Blocks that one peer is handed within `RESEND_MS`: eight full answers, with which one that comes back walks down 256
 * views. An ask is small and its answer has q signatures for each block: without a bound one liar's asks take all of a link.
 */
export const ANSWERED_BLOCKS_MAX: number = 8 * ASK_BLOCKS_MAX;

/** How far a proposal's time may be from a replica's own clock: it only guards against absurd times. */
export const CLOCK_SKEW_MS_MAX = 15_000;

/** While something is unfinished, a node says every so often where it stands. */
export const RESEND_MS = 1_000;

export const FETCH_DIGESTS_MAX = 256;

/** How far above the stable checkpoint a leader gives out places. */
export const SEND_WINDOW = 128;

/**
 * How far above its stable checkpoint a replica votes for places: one that lost its memory knows that all it may have
 * voted for lies within this of the checkpoint of then.
 */
export const RECEIVE_WINDOW = 256;

/** Checkpoints above the stable one whose votes are kept. */
export const CHECKPOINTS_AHEAD_MAX = 16;
