import { Writer } from "../../codec/writer.ts";
import { hashOf } from "../../crypto/hash.ts";
import type { Hash } from "../../lib/hash.ts";
import { unreachable } from "../../lib/assert.ts";
import { hasDistinctSigners, type Obligation, obligationsOf } from "../../membership/certificate.ts";
import { type Statement, statementDigest } from "../../membership/statement.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { checkpointCertificateOf } from "../engine.ts";
import { type Windows, WINDOWS } from "./limits.ts";
import type { Sequence } from "../../membership/ids.ts";
import type { NewView, PbftMessage, PreparedCertificate, ViewChange } from "./messages.ts";

/** What is agreed among the replicas of an epoch: its windows, and the sequence that it begins after. */
export interface Bounds extends Windows {
  readonly base: Sequence;
}

const GENESIS_BOUNDS: Bounds = { ...WINDOWS, base: 0 as Sequence };

/** What the signer of a message says. */
export function statementOf(message: PbftMessage): Statement {
  switch (message.kind) {
    case "pre-prepare":
    case "prepare":
    case "commit":
      return { phase: message.kind, view: message.view, sequence: message.sequence, digest: message.digest };
    case "checkpoint":
      return { phase: "checkpoint", view: 0, sequence: message.sequence, digest: message.stateDigest };
    case "view-change":
      return { phase: "view-change", view: message.view, sequence: 0, digest: viewChangeDigest(message) };
    case "new-view":
      return { phase: "new-view", view: message.view, sequence: 0, digest: newViewDigest(message) };
    default:
      return unreachable(message);
  }
}

/**
 * The signature checks for what a message carries inside; null where its shape alone shows that no correct replica sent
 * it. The shape is checked in full first, so that hostile nesting buys no signature check.
 */
export function innerObligations(
  network: NetworkContext,
  message: PbftMessage,
  bounds: Bounds = GENESIS_BOUNDS,
): readonly Obligation[] | null {
  if (message.kind === "view-change") return viewChangeObligations(network, bounds, message);
  if (message.kind === "new-view") return newViewObligations(network, bounds, message);
  return [];
}

/** Signature bytes stay outside: the proofs are checked where they stand, the digest is over what they prove. */
function viewChangeDigest(message: ViewChange): Hash {
  const writer = new Writer(256);
  writer.u64(message.view);
  writer.u64(message.stable?.sequence ?? 0);
  writer.u64(message.prepared.length);
  if (message.stable !== null) writer.hash(message.stable.stateDigest);
  for (const { view, sequence, digest } of message.prepared) {
    writer.u64(view);
    writer.u64(sequence);
    writer.hash(digest);
  }
  return hashOf("view-change", writer.finish());
}

function newViewDigest(message: NewView): Hash {
  const writer = new Writer(256);
  writer.u64(message.view);
  for (const { message: viewChange, proof } of message.viewChanges) {
    writer.u64(proof.seal.signer);
    writer.hash(viewChangeDigest(viewChange));
  }
  return hashOf("new-view", writer.finish());
}

function newViewObligations(network: NetworkContext, bounds: Bounds, message: NewView): readonly Obligation[] | null {
  const proofs = message.viewChanges.map(({ proof }) => proof);
  if (!hasDistinctSigners(network.set, proofs, network.set.quorum)) return null;
  const obligations: Obligation[] = [];
  for (const { message: viewChange, proof } of message.viewChanges) {
    const inner = viewChange.view === message.view ? viewChangeObligations(network, bounds, viewChange) : null;
    if (inner === null) return null;
    obligations.push({ leaf: statementDigest(network, statementOf(viewChange)), proof }, ...inner);
  }
  return obligations;
}

function viewChangeObligations(
  network: NetworkContext,
  bounds: Bounds,
  message: ViewChange,
): readonly Obligation[] | null {
  const obligations: Obligation[] = [];
  const { stable } = message;
  if (stable !== null) {
    if (stable.epoch !== network.set.epoch || stable.sequence <= bounds.base) return null;
    if (!hasDistinctSigners(network.set, stable.proofs, network.set.quorum)) return null;
    obligations.push(...obligationsOf(network, checkpointCertificateOf(stable)));
  }
  const low = stable?.sequence ?? bounds.base;
  let last = low;
  for (const certificate of message.prepared) {
    if (certificate.sequence <= last || certificate.sequence > low + bounds.receiveWindow) return null;
    if (certificate.view >= message.view) return null;
    last = certificate.sequence;
    const inner = preparedObligations(network, certificate);
    if (inner === null) return null;
    obligations.push(...inner);
  }
  return obligations;
}

/** §4.2: a pre-prepare of the view's leader and q - 1 prepares of other replicas, for one view, sequence and digest. */
function preparedObligations(network: NetworkContext, certificate: PreparedCertificate): readonly Obligation[] | null {
  const { view, sequence, digest, prePrepare, prepares } = certificate;
  if (prePrepare.seal.signer !== network.set.leaderOf(view)) return null;
  if (!hasDistinctSigners(network.set, [prePrepare, ...prepares], network.set.quorum)) return null;
  return [
    ...obligationsOf(network, { statement: { phase: "pre-prepare", view, sequence, digest }, proofs: [prePrepare] }),
    ...obligationsOf(network, { statement: { phase: "prepare", view, sequence, digest }, proofs: prepares }),
  ];
}
