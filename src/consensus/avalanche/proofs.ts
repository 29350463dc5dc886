import type { VoteEntry } from "../../dag/votes.ts";
import { votesStatement } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { VOTES_OF_SIGNER_MAX } from "../dag-certificate.ts";
import type { DagCertificate } from "../dag-engine.ts";
import type { WitnessSet } from "./gate.ts";

/** What the votes of certificates of earlier epochs prove. Liars show megabytes of them: all is linear in what they show. */

type SignedVotes = DagCertificate["votes"];

/** Whether votes are a quorum's accepts of a unit (null: the place) of a bundle, for all of its units at once. */
export function proofsOf(
  set: Pick<WitnessSet, "has" | "quorum"> | undefined,
  bundle: Hash,
  votes: SignedVotes,
): (vertex: number | null) => boolean {
  if (set === undefined) return () => false;
  const left = new Map<ValidatorIndex, ReadonlySet<number>>();
  for (const { message, proof } of votes) {
    const { signer } = proof.seal;
    if (!set.has(signer)) continue;
    for (const entry of message.entries) {
      if (!isAcceptOf(bundle, entry)) continue;
      const before = left.get(signer);
      // What either covers is covered.
      left.set(signer, new Set(before === undefined ? entry.except : entry.except.filter((each) => before.has(each))));
    }
  }
  const uncovered = new Map<number, number>();
  for (const some of left.values()) for (const vertex of some) uncovered.set(vertex, (uncovered.get(vertex) ?? 0) + 1);
  return (vertex) => left.size - (vertex === null ? 0 : (uncovered.get(vertex) ?? 0)) >= set.quorum;
}

/**
 * Several witnesses show the same votes; a liar shows what is about other bundles, its own word in thousands of messages, or
 * what the others said first; and more than a certificate may hold cannot be written. A correct validator's messages cover
 * ever more: those that leave out least say what the others do.
 */
export function withoutRest(bundle: Hash, votes: SignedVotes): SignedVotes {
  const seen = new Map<ValidatorIndex, Set<string>>();
  const all = votes.flatMap((signed) => {
    const accepts = signed.message.entries.filter((entry) => isAcceptOf(bundle, entry));
    return accepts.length === 0 ? [] : { signed, leftOut: Math.min(...accepts.map(({ except }) => except.length)) };
  });
  all.sort((left, right) => left.leftOut - right.leftOut);
  const kept = all.filter(({ signed: { message, proof } }) => {
    const { signer } = proof.seal;
    const known = seen.get(signer) ?? new Set();
    if (known.size >= VOTES_OF_SIGNER_MAX) return false;
    const { digest } = votesStatement(message);
    if (known.has(digest)) return false;
    seen.set(signer, known.add(digest));
    return true;
  });
  return kept.map(({ signed }) => signed);
}

function isAcceptOf(digest: Hash, { level, bundle }: VoteEntry): boolean {
  return level === "accept" && bundle === digest;
}
