import { decode, encode } from "../codec/codec.ts";
import type { NodeId } from "../crypto/identity.ts";
import { type StateCertificate, stateCertificateCodec, stateOf, statementAbout } from "../light/state-certificate.ts";
import { hasDistinctSigners } from "../membership/certificate.ts";
import type { Epoch, Sequence } from "../membership/ids.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import type { Transport } from "./ports.ts";
import type { ProofLedger } from "./proof-ledger.ts";
import type { SealVerification } from "./verification.ts";
import { certifiedAnswerCodec, questionCodec } from "./wire.ts";

const ANSWER_TIMEOUT_MS = 4_000;

/** Nodes that are asked for one certificate, one after the other: of so many one was there, or the operator's help is needed. */
const ASKED_NODES_MAX = 8;

export interface CertificateSearchPorts {
  readonly genesis: NetworkContext["genesis"];
  readonly transport: Pick<Transport, "peers" | "request">;
  readonly ledger: Pick<ProofLedger, "histories">;
  readonly verification: SealVerification;
  /** The validators of an epoch that this node executed; null for any other. */
  setOf(epoch: Epoch): Promise<ValidatorSet | null>;
}

/**
 * A certificate, which some other node keeps, of the state after one of these batches; null where none is shown that holds. What
 * this node executed itself is what it must certify: a quorum's word about another history would be no error of a peer's.
 */
export async function searchCertificate(
  ports: CertificateSearchPorts,
  range: { readonly from: Sequence; readonly to: Sequence },
): Promise<StateCertificate | null> {
  for (const { nodeId } of ports.transport.peers().slice(0, ASKED_NODES_MAX)) {
    const certificate = await certificateOf(ports, nodeId, range);
    if (certificate !== null) return certificate;
  }
  return null;
}

async function certificateOf(
  ports: CertificateSearchPorts,
  peer: NodeId,
  range: { readonly from: Sequence; readonly to: Sequence },
): Promise<StateCertificate | null> {
  let certificate: StateCertificate;
  try {
    const question = encode(questionCodec, { kind: "certified", ...range });
    const body = await ports.transport.request(peer, question, { timeoutMs: ANSWER_TIMEOUT_MS });
    const { certificate: shown } = decode(certifiedAnswerCodec, body);
    if (shown === null) return null;
    certificate = decode(stateCertificateCodec, shown);
    const { sequence } = stateOf(certificate);
    if (sequence < range.from || sequence > range.to) return null;
  } catch {
    // The transport counts and logs it; others are asked as well.
    return null;
  }
  return (await holds(ports, certificate)) ? certificate : null;
}

async function holds(ports: CertificateSearchPorts, certificate: StateCertificate): Promise<boolean> {
  const { epoch, phase, proofs } = certificate;
  const state = stateOf(certificate);
  const [own] = await ports.ledger.histories(state.sequence, 1);
  if (own?.history !== state.history) return false;
  const set = await ports.setOf(epoch);
  if (set === null || !hasDistinctSigners(set, proofs, set.quorum)) return false;
  const leaf = statementDigest({ genesis: ports.genesis, set: { epoch } }, statementAbout(phase, state));
  return await ports.verification.allHold(proofs.map((proof) => ({ leaf, proof })));
}
