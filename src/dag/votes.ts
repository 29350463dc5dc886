import type { Codec } from "../codec/codec.ts";
import { encode } from "../codec/codec.ts";
import { mapped, struct, vec } from "../codec/composites.ts";
import { bool, hash, u16 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import type { Hash } from "../lib/hash.ts";
import { proofCodec, type Signed } from "../membership/seal.ts";
import type { Statement } from "../membership/statement.ts";
import { BUNDLE_VERTICES_MAX } from "./limits.ts";

/**
 * The binding votes of a leaderless network. A validator accepts at most one member of each conflict set and epoch; a
 * quorum of accepts certifies a member, of which there can be but one; who holds that certificate commits, and a quorum of
 * commits is final (PBFT's prepare and commit, Castro & Liskov 1999, §4.2, without a leader and for sets, not sequences).
 */
export type VoteLevel = "accept" | "commit";

/** One validator's vote for a bundle's place in its lane, and for the vertices in it except those named. */
export interface VoteEntry {
  readonly level: VoteLevel;
  readonly bundle: Hash;
  /** Indices of vertices that this vote does not cover, ascending. */
  readonly except: readonly number[];
}

/** Several votes under one statement. Two messages about one bundle add up: what either covers is covered. */
export interface Votes {
  readonly kind: "votes";
  readonly entries: readonly VoteEntry[];
}

/** The most votes of one message: it is kept whole as a part of certificates. */
export const VOTE_ENTRIES_MAX = 256;

/**
 * The most exceptions of one message, over all its entries: 2 kB. One entry always fits. Without this bound a message could
 * take 512 kB, a few liars' would make every certificate too large for a report, and all of them would be kept.
 */
export const VOTE_EXCEPTIONS_MAX: number = BUNDLE_VERTICES_MAX;

const entryCodec: Codec<VoteEntry> = struct<VoteEntry>({
  level: mapped<boolean, VoteLevel>(
    bool,
    (isCommit) => (isCommit ? "commit" : "accept"),
    (level) => level === "commit",
  ),
  bundle: hash,
  except: vec(u16, BUNDLE_VERTICES_MAX),
});

const entriesCodec: Codec<readonly VoteEntry[]> = vec(entryCodec, VOTE_ENTRIES_MAX);

export const votesCodec: Codec<Votes> = mapped<readonly VoteEntry[], Votes>(
  entriesCodec,
  (entries) => ({ kind: "votes", entries }),
  ({ entries }) => entries,
);

/** Votes with the proof that their signer cast them, as certificates carry them. */
export const signedVotesCodec: Codec<Signed<Votes>> = struct<Signed<Votes>>({ message: votesCodec, proof: proofCodec });

export function votesStatement(votes: Votes): Statement {
  return { phase: "votes", view: 0, sequence: 0, digest: hashOf("votes", encode(votesCodec, votes)) };
}

/** Whether this message votes for a bundle (`vertex` null), or for one of its vertices. */
export function votesFor(votes: Votes, level: VoteLevel, bundle: Hash, vertex: number | null): boolean {
  return votes.entries.some(
    (entry) => entry.level === level && entry.bundle === bundle && (vertex === null || !entry.except.includes(vertex)),
  );
}

/** Why this is no vote message of a correct validator, whatever is voted for; null where it is well formed. */
export function votesFault({ entries }: Votes): string | null {
  if (entries.length === 0) return "a message without votes";
  const ascend = entries.every(({ except }) => except.every((index, at) => index > (except[at - 1] ?? -1)));
  if (!ascend) return "exceptions that do not ascend";
  const exceptions = entries.reduce((sum, { except }) => sum + except.length, 0);
  if (exceptions > VOTE_EXCEPTIONS_MAX) return `${exceptions} exceptions, at most ${VOTE_EXCEPTIONS_MAX}`;
  return entries.every(({ except }) => except.every((index) => index < BUNDLE_VERTICES_MAX))
    ? null
    : `an exception above ${BUNDLE_VERTICES_MAX}`;
}
