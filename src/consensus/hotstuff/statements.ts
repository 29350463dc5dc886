import { Writer } from "../../codec/writer.ts";
import { hashOf } from "../../crypto/hash.ts";
import { batchDigest } from "../../dag/batch.ts";
import { unreachable } from "../../lib/assert.ts";
import { type Hash, ZERO_HASH } from "../../lib/hash.ts";
import { hasDistinctSigners, type Obligation, obligationsOf } from "../../membership/certificate.ts";
import type { Sequence, View } from "../../membership/ids.ts";
import { type Statement, statementDigest } from "../../membership/statement.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { COMMITS_MAX } from "./limits.ts";
import type { Block, HotStuffMessage, Proposal, Qc, QcRef, Tc } from "./messages.ts";

/** What the replicas of an epoch agree on beforehand. */
export interface Bounds {
  readonly genesis: QcRef;
  readonly quorum: number;
}

/** An epoch's chain begins with it; its sequence is the last one of the epoch before. */
export function genesisBlock(network: NetworkContext, base: Sequence): Block {
  const writer = new Writer(64);
  writer.hash(network.genesis);
  writer.u64(network.set.epoch);
  const digest = hashOf("block", writer.finish());
  return { view: 0 as View, justify: { view: 0 as View, block: ZERO_HASH }, sequence: base, digest, absences: [] };
}

export function blockHash({ view, justify, sequence, digest, absences }: Block): Hash {
  const writer = new Writer(96);
  writer.u64(view);
  writer.u64(justify.view);
  writer.hash(justify.block);
  writer.u64(sequence);
  writer.hash(digest);
  for (const { validator, failures, until } of absences) {
    writer.u16(validator);
    writer.u8(failures);
    writer.u64(until);
  }
  return hashOf("block", writer.finish());
}

/** What the signer of a message says. In one view a correct replica proposes one block, and votes for one. */
export function statementOf(message: HotStuffMessage): Statement {
  switch (message.kind) {
    case "proposal":
      return { phase: "propose", view: message.block.view, sequence: 0, digest: blockHash(message.block) };
    case "vote":
      return voteStatement(message);
    case "commit":
      return { phase: "commit", view: message.view, sequence: message.sequence, digest: message.digest };
    case "timeout":
      return timeoutStatement(message.view, message.high);
    case "checkpoint":
      return { phase: "checkpoint", view: 0, sequence: message.sequence, digest: message.stateDigest };
    case "ask":
      return syncStatement(message.above, message.block);
    case "certificates":
      return syncStatement(message.tc?.view ?? 0, message.qc?.block ?? ZERO_HASH);
    default:
      return unreachable(message);
  }
}

/**
 * The signature checks for what a message carries inside; null where its shape alone shows that no correct replica sent
 * it. The shape is checked in full first.
 */
export function innerObligations(
  network: NetworkContext,
  bounds: Bounds,
  message: HotStuffMessage,
): readonly Obligation[] | null {
  if (message.kind === "proposal") return proposalObligations(network, bounds, message);
  if (message.kind !== "certificates") return [];
  return both(message.qc, message.tc, network, bounds);
}

export function isGenesis({ genesis }: Bounds, { view, block }: QcRef): boolean {
  return view === genesis.view && block === genesis.block;
}

/** The highest view of a certificate that a time-out in it names. */
export function highOf({ timeouts }: Tc): QcRef {
  const [first, ...rest] = timeouts;
  let best = first?.high ?? { view: 0 as View, block: ZERO_HASH };
  for (const { high } of rest) if (high.view > best.view) best = high;
  return best;
}

function voteStatement({ view, block }: QcRef): Statement {
  return { phase: "vote", view, sequence: 0, digest: block };
}

/** Two with different certificates are no contradiction: a replica may learn more while it waits. */
function timeoutStatement(view: View, high: QcRef): Statement {
  return { phase: "timeout", view, sequence: high.view, digest: high.block };
}

/** Convicts nobody: a replica asks and tells as it likes. */
function syncStatement(view: number, digest: Hash): Statement {
  return { phase: "block-sync", view, sequence: 0, digest };
}

function proposalObligations(
  network: NetworkContext,
  bounds: Bounds,
  { block, batch, qc, tc }: Proposal,
): readonly Obligation[] | null {
  const { justify } = block;
  if (block.view <= justify.view || batchDigest(batch) !== block.digest) return null;
  if (qc !== null && (qc.view !== justify.view || qc.block !== justify.block)) return null;
  if (justify.view === 0 && !isGenesis(bounds, justify)) return null;
  if (tc !== null && tc.view + 1 !== block.view) return null;
  return both(qc, tc, network, bounds);
}

function both(qc: Qc | null, tc: Tc | null, network: NetworkContext, bounds: Bounds): readonly Obligation[] | null {
  const ofQc = qc === null ? [] : qcObligations(network, bounds, qc);
  const ofTc = tc === null ? [] : tcObligations(network, bounds, tc);
  return ofQc === null || ofTc === null ? null : [...ofQc, ...ofTc];
}

function qcObligations(network: NetworkContext, bounds: Bounds, qc: Qc): readonly Obligation[] | null {
  if (qc.view < 1 || qc.commits.length > COMMITS_MAX) return null;
  if (!hasDistinctSigners(network.set, qc.votes, bounds.quorum)) return null;
  let last = 0;
  for (const { sequence, proofs } of qc.commits) {
    if (sequence <= last || !hasDistinctSigners(network.set, proofs, bounds.quorum)) return null;
    last = sequence;
  }
  return [
    ...obligationsOf(network, { statement: voteStatement(qc), proofs: qc.votes }),
    ...qc.commits.flatMap(({ sequence, digest, proofs }) => {
      return obligationsOf(network, { statement: { phase: "commit", view: qc.view, sequence, digest }, proofs });
    }),
  ];
}

function tcObligations(network: NetworkContext, bounds: Bounds, tc: Tc): readonly Obligation[] | null {
  const proofs = tc.timeouts.map(({ proof }) => proof);
  if (!hasDistinctSigners(network.set, proofs, bounds.quorum)) return null;
  if (tc.timeouts.some(({ high }) => high.view >= tc.view)) return null;
  return tc.timeouts.map(({ high, proof }) => {
    return { leaf: statementDigest(network, timeoutStatement(tc.view, high)), proof };
  });
}
