import { decode } from "../../codec/codec.ts";
import { type EpochLink, epochLinkCodec } from "../../light/epochs.ts";
import {
  type StateCertificate,
  stateCertificateCodec,
  stateOf,
  statementAbout,
} from "../../light/state-certificate.ts";
import { hasDistinctSigners, obligationsOf } from "../../membership/certificate.ts";
import type { Epoch, Sequence } from "../../membership/ids.ts";
import {
  membershipDigest,
  type MembershipState,
  membershipStateCodec,
  validatorSetOf,
} from "../../membership/membership-state.ts";
import type { NetworkContext, Validator } from "../../membership/validator-set.ts";
import type { ExecutionState } from "../../replication/executor.ts";
import { beginsWithIt } from "./state-offers.ts";
import { type Manifest, manifestCodec } from "../../replication/snapshot.ts";
import type { Verifier } from "../ports.ts";
import { SealVerification } from "../verification.ts";
import type { SnapshotOffer } from "../wire.ts";

/** A state that a quorum certified, with what leads from the validators that this node knows to those who signed it. */
export interface VerifiedState {
  readonly execution: ExecutionState;
  readonly membership: MembershipState;
  readonly certificate: StateCertificate;
  /** Its root is the certified one; whether the chunks bear that out is seen when they are there. */
  readonly manifest: Manifest;
  /** The ends of the epochs in between, ascending. */
  readonly links: readonly EpochLink[];
}

export interface VerifyingPorts {
  /** Whom this node believes: the validators of the epoch that it is in. */
  readonly network: Pick<NetworkContext, "genesis">;
  readonly membership: MembershipState;
  readonly verifier: Verifier;
  /** A quorum said that these are validators: what they sign can be checked from now on. */
  readonly learnKeys: (validators: readonly Validator[]) => void;
  /** How an epoch ended, from the one who made the offer; null where it does not say. */
  readonly askEpochEnd: (epoch: Epoch) => Promise<Uint8Array | null>;
  /** How epochs ended, as far as that was proved from `membership` on: filled here. Of each epoch there is one true end. */
  readonly proved: Map<Epoch, EpochLink>;
}

/** The offer may well be true; who made it cannot show the way to it yet. */
export class OfferUnproved extends Error {
  override readonly name = "OfferUnproved";
}

/** What is wrong with an offer: no correct peer makes such a one. */
export class OfferFault extends Error {
  override readonly name = "OfferFault";
}

/**
 * Checks an offer from the validators that this node knows on, epoch by epoch: the peer is not trusted, a quorum is.
 * @throws OfferFault, OfferUnproved
 */
export async function verifyOffer(
  offer: SnapshotOffer,
  above: Sequence,
  ports: VerifyingPorts,
): Promise<VerifiedState> {
  const certificate = opened(() => decode(stateCertificateCodec, offer.certificate));
  const membership = opened(() => decode(membershipStateCodec, offer.membership));
  const manifest = opened(() => decode(manifestCodec, offer.manifest));
  const execution = opened(() => stateOf(certificate));
  require_(
    beginsWithIt(certificate.phase, certificate.epoch, execution),
    "that is no checkpoint and no end of an epoch",
  );
  require_(execution.sequence > above, `after batch ${execution.sequence}, not after ${above}`);
  require_(membershipDigest(membership) === execution.membership, "with other validators than it names");
  require_(execution.resolution === null, "with open conflicts of a leaderless network");
  require_(
    manifest.sequence === execution.sequence &&
      manifest.position <= execution.position &&
      manifest.root === execution.application,
    "with a manifest of another state",
  );
  const links: EpochLink[] = [];
  let trusted = ports.membership;
  while (trusted.epoch < certificate.epoch) {
    const link = ports.proved.get(trusted.epoch) ?? (await linkAfter(trusted, ports));
    ports.proved.set(trusted.epoch, link);
    links.push(link);
    trusted = opened(() => decode(membershipStateCodec, link.membership));
  }
  // This node may have entered another epoch since it asked.
  if (trusted.epoch !== certificate.epoch) throw new OfferUnproved(`epoch ${certificate.epoch} is over here`);
  await requireCertified(trusted, certificate, ports);
  // Nobody signed the manifest's own position, and an application is told of none that comes before it.
  const placed = { ...manifest, position: execution.position };
  return { execution, membership, certificate, manifest: placed, links };
}

async function linkAfter(trusted: MembershipState, ports: VerifyingPorts): Promise<EpochLink> {
  const bytes = await ports.askEpochEnd(trusted.epoch);
  if (bytes === null) throw new OfferUnproved(`no proof of how epoch ${trusted.epoch} ended`);
  const link = opened(() => decode(epochLinkCodec, bytes));
  const { certificate } = link;
  const state = opened(() => stateOf(certificate));
  const membership = opened(() => decode(membershipStateCodec, link.membership));
  const isEnd =
    certificate.epoch === trusted.epoch && state.epoch === trusted.epoch + 1 && state.epochBase === state.sequence;
  require_(isEnd, `with a proof of something else than the end of epoch ${trusted.epoch}`);
  require_(
    membershipDigest(membership) === state.membership && membership.epoch === state.epoch,
    `with other validators of epoch ${state.epoch} than were certified`,
  );
  await requireCertified(trusted, certificate, ports);
  return link;
}

async function requireCertified(
  trusted: MembershipState,
  certificate: StateCertificate,
  { network: { genesis }, verifier, learnKeys }: VerifyingPorts,
): Promise<void> {
  const network = { genesis, set: validatorSetOf(trusted) };
  const { phase, proofs } = certificate;
  require_(hasDistinctSigners(network.set, proofs, network.set.quorum), "without a quorum's signatures");
  learnKeys(network.set.roster);
  const statement = statementAbout(phase, stateOf(certificate));
  const holds = await new SealVerification(network, verifier).allHold(obligationsOf(network, { statement, proofs }));
  require_(holds, "with a signature that does not hold");
}

function opened<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new OfferFault(`malformed: ${String(cause)}`, { cause });
  }
}

function require_(condition: boolean, fault: string): asserts condition {
  if (!condition) throw new OfferFault(`a state ${fault}`);
}
