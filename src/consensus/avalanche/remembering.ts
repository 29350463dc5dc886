import type { Votes } from "../../dag/votes.ts";
import type { Signed } from "../../membership/seal.ts";
import { CERTIFICATES_MAX, VOTES_OF_SIGNER_MAX } from "../dag-certificate.ts";
import type { DurableWrite } from "../engine.ts";
import type { BundleNode } from "./bundle-node.ts";
import { encodeOwnVotes, ownRow } from "./durable.ts";
import type { VotesNumber } from "./kept-votes.ts";
import type { Participant } from "./participant.ts";

/**
 * What this node said of one bundle, with what it must be able to show after a crash, as rows for the disk: its own row last.
 * None for what is settled: that it is final, or lost, is on the disk elsewhere.
 */
export function rememberOwn(p: Participant, node: BundleNode): readonly DurableWrite[] {
  if (node.isSettled) return [];
  const held = node.carried.slice(-CERTIFICATES_MAX);
  const accepts = node.ownCommit === null ? [] : acceptsShown(p, node);
  const writes = p.kept.need(node.digest, [...accepts, ...held.flatMap(({ votes }) => votes)]);
  const numbersOf = (votes: readonly Signed<Votes>[]): readonly VotesNumber[] =>
    votes.map((signed) => p.kept.numberOf(signed));
  const value = encodeOwnVotes({
    accept: node.ownAccept === null ? null : [...node.ownAccept.except],
    commit: node.ownCommit === null ? null : [...node.ownCommit.except],
    held: held.map((each) => ({ ...each, votes: numbersOf(each.votes) })),
    reported: [...node.reported.keys()],
    accepts: numbersOf(accepts),
  });
  return [...writes, { key: ownRow(node.digest), value }];
}

/** A settled bundle's rows go. */
export function forgetOwn(p: Participant, node: BundleNode): void {
  const { ownAccept, ownCommit, reported, carried } = node;
  if (ownAccept !== null || ownCommit !== null || reported.size > 0 || carried.length > 0)
    p.forgetRow(ownRow(node.digest));
  p.kept.release(node.digest);
}

/**
 * The accepts of this epoch that prove what this node knows of a bundle: of those that vote for all of it a quorum, and where
 * it is contested the newest of everybody.
 */
export function acceptsShown(p: Participant, { accepts }: BundleNode): readonly Signed<Votes>[] {
  const whole = accepts.whole();
  return whole.length >= p.quorum ? p.kept.pick(whole, p.quorum) : accepts.newest(VOTES_OF_SIGNER_MAX);
}
