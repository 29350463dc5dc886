import { assert } from "../../lib/assert.ts";
import { VALIDATORS_MAX } from "../../membership/validator-set.ts";

/** Bundles of one lane that a query names; those between them are behind the next newer one. Fits a byte with "none". */
export const WAYPOINTS_MAX = 16;

/** Lanes of a query: one for each validator of the largest set. A forked lane has several chains, and takes turns. */
export const QUERIED_LANES_MAX: number = VALIDATORS_MAX;

/** Bundles with vertices that an answer does not prefer. More are contested only under attack; the rest waits for later polls. */
export const DISSENTS_MAX = 256;

/** Those of one lane: a liar's own must not leave other contested lanes without votes. */
export const DISSENTS_OF_LANE_MAX = 64;

/** Bundles that one answer looks at: all open ones of 64 full lanes. A query may name long chains a thousand times over. */
export const WALK_MAX = 65_536;

/** Bundles whose parents are missing, in all and of one creator; what falls out is fetched again when a child or a poll names it. */
export const ORPHANS_MAX = 4_096;
export const ORPHANS_OF_CREATOR_MAX = 512;

/** Open bundles of one creator. Beyond, its newest are left until older ones are decided: a liar must not fill the memory. */
export const OPEN_OF_CREATOR_MAX = 1_024;

/** Settled bundles that stay in memory, so that late votes, polls and children find them. */
export const SETTLED_MAX = 2_048;

/** And their weight, in bytes: under load a bundle has hundreds of vertices, up to a megabyte of them. */
export const SETTLED_BYTES_MAX: number = 24 * 1024 * 1024;

/** What a bundle and a vertex weigh in memory beside the payloads, about, in bytes: ids, outcomes, votes. */
export const BUNDLE_BYTES = 8_192;
export const VERTEX_BYTES = 384;

/** Digests and last vertices of bundles that were settled and let go of. */
export const PAST_MAX = 65_536;

/** Vote messages about bundles that have not come yet, of one signer: at most 9 MB with their seals. */
export const EARLY_VOTES_MAX = 512;

/** Bundles that one peer, a validator, named and that are not here. */
export const MISSING_OF_PEER_MAX = 256;

/** A bundle that is named by a peer is probably on its way: so long nobody is asked for it, in milliseconds; doubles. */
export const MISSING_PATIENCE_MS = 100;
export const MISSING_PATIENCE_MAX_MS = 5_000;

/** How often what waits is looked at, in milliseconds. */
export const TICK_MS = 100;

/** After so long without an end a vote is said again, in milliseconds: the first one may have been lost with a connection. */
export const RESAY_MS = 1_000;

/** The least time between the begin of two polls, in milliseconds: a node's turn takes longer, and polls of one turn tell the same. */
export const POLL_GAP_MS = 4;

/** Between two polls while more than half of the queries time out, in milliseconds. */
export const PROBE_MS = 500;

/** How long a silent validator is not asked after its first time-out, in milliseconds; doubles up to the maximum. */
export const BACK_OFF_MS = 250;
export const BACK_OFF_MAX_MS = 2_000;

/** FR-003: a parent is no older, in milliseconds. */
export const PARENT_AGE_MAX_MS = 10_000;

/** How often an observer, or a validator that waits, asks what is final, in milliseconds. */
export const SYNC_MS = 1_000;

/** How often a validator asks another one for certificates of earlier epochs while a conflict about such stays open, in milliseconds. */
export const CERTIFICATES_SYNC_MS = 5_000;

assert(WAYPOINTS_MAX < 255, "a head and none fit into a byte");
