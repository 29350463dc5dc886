import { assert } from "../lib/assert.ts";
import { SEAL_LEAVES_MAX } from "../membership/seal.ts";

/** The largest payload of one vertex, in bytes. Larger blobs belong beside the log, with their hash in it. */
export const PAYLOAD_BYTES_MAX: number = 128 * 1024;

/** The most vertices in one bundle: about one turn's worth at 100,000 vertices/s. */
export const BUNDLE_VERTICES_MAX = 1024;

/** The most payload bytes in one bundle: a bundle is fetched whole, so it stays well below a frame. */
export const BUNDLE_PAYLOAD_BYTES_MAX: number = 1024 * 1024;

/**
 * The largest report about an open conflict, in bytes: a bundle's worth. Two unit proofs with the largest payloads leave
 * 768 kB for the certificate, whose votes take about 5 kB each, and 18 kB at worst: enough for a quorum of 150, and so for
 * n = 225; at worst for a quorum of 42, and so for n = 62. Above, who holds a certificate that does not fit cannot report.
 */
export const RESOLUTION_PAYLOAD_BYTES_MAX: number = 1024 * 1024;

/** Room for a second parent (document 2, FR-003), which leaderless ordering needs; a lane names one. */
export const PARENTS_MAX = 2;

/** The most bundles in one proposal. At 1,024 vertices each this is no bound in practice; it bounds a hostile list. */
export const BATCH_BUNDLES_MAX = 1024;

assert(PAYLOAD_BYTES_MAX <= BUNDLE_PAYLOAD_BYTES_MAX, "every payload fits into a bundle");
assert(RESOLUTION_PAYLOAD_BYTES_MAX <= BUNDLE_PAYLOAD_BYTES_MAX, "so does every report");
assert(BUNDLE_VERTICES_MAX <= SEAL_LEAVES_MAX, "a bundle's tree is no larger than a seal's");
