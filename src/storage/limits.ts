/**
 * Bytes of writes that wait for the disk. At 20 MB/s of a slow disk this is six seconds of work: what waits longer than
 * that is not a burst. The node should slow its input down long before (`StorageGauges.pendingBytes`).
 */
export const PENDING_BYTES_MAX: number = 128 * 1024 * 1024;

/** `write` calls that wait for the disk; bounds the memory of many tiny batches. */
export const PENDING_WRITES_MAX = 65_536;

/**
 * Packed bytes that share one fsync. A mebibyte of 300-byte rows takes about 12 ms to write; a larger group would save
 * few fsyncs and delay its first write. A larger single batch is still written, alone.
 */
export const GROUP_BYTES_MAX: number = 1024 * 1024;

/** Rows of one `scan`; a caller that wants more asks again from the last key. */
export const SCAN_ROWS_MAX = 10_000;

/** Bytes of one `scan`'s answer, because rows may be large and all of them are in memory at once. */
export const SCAN_BYTES_MAX: number = 256 * 1024 * 1024;

/** Keys or rows read in one native call on the main thread: about half a millisecond. */
export const READ_CHUNK_ROWS = 128;
