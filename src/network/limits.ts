/** The most bytes of one frame, question or answer; what is larger is refused before anything is allocated. */
export const MESSAGE_BYTES_MAX: number = 16 * 1024 * 1024;

/**
 * The most bytes of one question. The largest names 256 digests in 8 KiB; an answer may be as large as a frame. Of questions
 * a peer has 32 under way, and with a frame's size for each it could make a node hold half a gigabyte.
 */
export const QUESTION_BYTES_MAX: number = 64 * 1024;

/** Bytes that wait for one peer. Consensus has room for several full view changes, bodies for about a second of load. */
export const QUEUE_BYTES_MAX: Readonly<Record<"consensus" | "dissemination", number>> = {
  consensus: 64 * 1024 * 1024,
  dissemination: 32 * 1024 * 1024,
};

/** Frames are put together into writes of about this size: small enough to interleave lanes, large enough to be cheap. */
export const WRITE_BYTES_SOFT_MAX: number = 64 * 1024;

/** What one stream buffers before the writer must wait. */
export const STREAM_HIGH_WATER_BYTES: number = 512 * 1024;

/** Flow control: what a peer may send ahead of our reading, on one stream and in all. */
export const STREAM_WINDOW_BYTES: number = 4 * 1024 * 1024;
export const SESSION_WINDOW_BYTES: number = 16 * 1024 * 1024;

/** Streams that a peer may have open at a time. */
export const BIDI_STREAMS_MAX = 128;
export const UNI_STREAMS_MAX = 16;

/** Questions of one peer that are answered at a time; more wait in QUIC's own window. */
export const QUESTIONS_AT_ONCE_MAX = 32;

/**
 * How often a session with data under way gets a nudge: a few bytes on another stream. Sessions that share an endpoint share
 * one timer in Bun 1.4.5, and a session whose peer died keeps it to itself: the others' pacing and retransmission then wait,
 * for up to the idle time-out, until something is written to them. Measured: 120 KB frames stood still for 5 s after a
 * kill -9 of a third node; with a nudge every 20 ms they take 2 to 16 ms.
 */
export const NUDGE_MS = 20;

/** For so long after the last frame a session is nudged; an idle one is left alone. */
export const NUDGED_MS = 300;

/** From the first packet to proved identity. A dialer whose peer is merely slow tries again. */
export const HANDSHAKE_TIMEOUT_MS = 5_000;

/** A silent session is dead after this time; a keep-alive goes out well before. In seconds for node:quic. */
export const IDLE_TIMEOUT_MS = 5_000;
export const KEEP_ALIVE_MS = 1_000;

/** A peer may leave a stream that it opened without its first bytes for this long. */
export const FIRST_BYTE_TIMEOUT_MS = 10_000;

/** Dial again after this time, doubled with every failure up to the cap, and spread by up to a quarter. */
export const REDIAL_MS = 100;
export const REDIAL_MS_MAX = 2_000;

/** Addresses that are dialed: every validator that a set can have. */
export const DIALED_PEERS_MAX = 1_024;

/** The higher node id leaves the first attempt to the lower one, whose connection would win anyway. */
export const HIGHER_ID_DELAY_MS = 400;

/** Bytes a second that a validator may send, and at once. Above any useful load; a flood is slowed, not obeyed. */
export const VALIDATOR_BYTES_PER_SECOND: number = 256 * 1024 * 1024;
export const VALIDATOR_BYTES_BURST: number = 512 * 1024 * 1024;

/** Document 3's 100 messages a second, which corrections.md keeps for peers that are not validators. */
export const OBSERVER_MESSAGES_PER_SECOND = 100;
export const OBSERVER_MESSAGES_BURST = 200;
