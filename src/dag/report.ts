import type { Codec } from "../codec/codec.ts";
import { option, struct, vec } from "../codec/composites.ts";
import type { Hash } from "../lib/hash.ts";
import type { Obligation } from "../membership/certificate.ts";
import { hasDistinctSigners } from "../membership/certificate.ts";
import { epochCodec } from "../membership/evidence.ts";
import type { Epoch } from "../membership/ids.ts";
import type { Signed } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import { type NetworkContext, type ValidatorSet, VALIDATORS_MAX } from "../membership/validator-set.ts";
import { isSameUnit, type Unit } from "./unit.ts";
import { type Member, openUnit, type UnitProof, unitProofCodec } from "./unit-proof.ts";
import { signedVotesCodec, type Votes, votesFault, votesFor, votesStatement } from "./votes.ts";

/** A unit with a quorum's accepts for it. */
export interface CertifiedUnit {
  readonly unit: UnitProof;
  readonly votes: readonly Signed<Votes>[];
}

/**
 * What a validator says in the ordered log about a conflict that stays open: it is the payload of one vertex of a bundle of
 * purpose `resolution`, and who says it is the bundle's creator. Its maker has promised, durably and before it said this,
 * not to accept or commit anything of the subject's sets in this epoch any more; and it carries the accepts of a quorum for
 * the subject or for a unit that shares a set with it, where it holds such (decision 0006, invariant 3).
 *
 * The promise and the votes are of one epoch: ordered in any other, a report counts for nothing.
 */
export interface Report {
  readonly epoch: Epoch;
  readonly subject: UnitProof;
  readonly certified: CertifiedUnit | null;
}

/** A report whose proofs are open. */
export interface OpenReport {
  readonly subject: Member;
  readonly certified: Member | null;
}

const certifiedCodec: Codec<CertifiedUnit> = struct<CertifiedUnit>({
  unit: unitProofCodec,
  votes: vec(signedVotesCodec, VALIDATORS_MAX),
});

/**
 * About 5 kB for each vote of the certificate (a seal of 4.7 kB, its path, and the statement), 18 kB where the statement is
 * as large as it may be. See `RESOLUTION_PAYLOAD_BYTES_MAX`.
 */
export const reportCodec: Codec<Report> = struct<Report>({
  epoch: epochCodec,
  subject: unitProofCodec,
  certified: option(certifiedCodec),
});

/**
 * Why this is no report, whoever says it and whenever; null where it is well formed. No signature is checked:
 * `obligationsOfReport` names those that must be. Whether the signers are a quorum is asked where the report is executed
 * (`countsIn`): nodes that are an epoch apart should agree on what is well formed.
 */
export function reportFault(network: NetworkContext, report: Report): string | null {
  const { epoch, certified } = report;
  if (epoch > network.set.epoch) return `epoch ${epoch} has not begun, this is epoch ${network.set.epoch}`;
  const subject = openUnit(network, report.subject);
  if (subject === null) return "the subject's proof opens to nothing";
  if (subject.sets.length === 0) return "a vertex without conflict keys conflicts with nothing: its bundle's place may";
  if (certified === null) return null;
  const member = openUnit(network, certified.unit);
  if (member === null) return "the certified unit's proof opens to nothing";
  if (!concerns(member, subject)) return "the certified unit has nothing to do with the subject";
  return certificateFault(network, member.unit, certified.votes);
}

function certificateFault({ set }: NetworkContext, unit: Unit, votes: readonly Signed<Votes>[]): string | null {
  if (votes.length === 0) return "a certificate without votes";
  const signers = new Set(votes.map(({ proof }) => proof.seal.signer));
  if (signers.size !== votes.length) return "two votes of one signer";
  for (const { message, proof } of votes) {
    const { signer } = proof.seal;
    if (!set.knows(signer)) return `signer ${signer} is not in the roster`;
    const fault = votesFault(message);
    if (fault !== null) return fault;
    if (!votesFor(message, "accept", unit.bundle, unit.vertex)) return `signer ${signer} does not accept the unit`;
  }
  return null;
}

/** The signature checks that a report without a `reportFault` rests on, beside that of the bundle that carries it. */
export function obligationsOfReport(network: NetworkContext, { epoch, certified }: Report): readonly Obligation[] {
  if (certified === null) return [];
  const context = { genesis: network.genesis, set: { epoch } };
  return certified.votes.map(({ message, proof }) => ({
    leaf: statementDigest(context, votesStatement(message)),
    proof,
  }));
}

/**
 * Whether a report counts where it is ordered: it is of this epoch, and its certificate is of a quorum. Invariant 6 of
 * decision 0006: votes and promises of two epochs never count together.
 */
export function countsIn(set: ValidatorSet, { epoch, certified }: Report): boolean {
  if (epoch !== set.epoch) return false;
  if (certified === null) return true;
  const proofs = certified.votes.map(({ proof }) => proof);
  return hasDistinctSigners(set, proofs, set.quorum);
}

/** Null where a proof opens to nothing; reports without a `reportFault` all open. */
export function openReport(network: NetworkContext, report: Report): OpenReport | null {
  const subject = openUnit(network, report.subject);
  if (subject === null) return null;
  if (report.certified === null) return { subject, certified: null };
  const certified = openUnit(network, report.certified.unit);
  return certified === null ? null : { subject, certified };
}

/** Whether a unit is the subject or shares a conflict set with it. */
function concerns(member: Member, subject: Member): boolean {
  return isSameUnit(member.unit, subject.unit) || sharesSet(member.sets, subject.sets);
}

export function sharesSet(left: readonly Hash[], right: readonly Hash[]): boolean {
  return left.some((set) => right.includes(set));
}
