import { struct } from "../../src/codec/composites.ts";
import { hash } from "../../src/codec/primitives.ts";
import { messageCodec, preparedCertificateCodec, signedNewViewCodec } from "../../src/consensus/pbft/codec.ts";
import { checkpointCertificateCodec, committedSlotCodec } from "../../src/consensus/log-codec.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { innerObligations, statementOf } from "../../src/consensus/pbft/statements.ts";
import { batchCodec, batchDigest } from "../../src/dag/batch.ts";
import { type Bundle, bundleCodec, bundleFault, bundleStatement, holdBundle } from "../../src/dag/bundle.ts";
import type { Hash } from "../../src/lib/hash.ts";
import { merklePathLengthMax } from "../../src/crypto/merkle.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import { type Proof, proofCodec, proofRoot, SEAL_LEAVES_MAX, sealCodec } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import { edgeCodec, finalizedCodec, metadataCodec } from "../../src/node/ledger-rows.ts";
import {
  acceptedAnswerCodec,
  batchesAnswerCodec,
  bundlesAnswerCodec,
  certifiedAnswerCodec,
  committedAnswerCodec,
  frameCodec,
  provenBodyCodec,
  pieceAnswerCodec,
  questionCodec,
  snapshotAnswerCodec,
  stateAnswerCodec,
  witnessAnswerCodec,
} from "../../src/node/wire.ts";
import { epochLinkCodec } from "../../src/light/epochs.ts";
import { finalityProofCodec } from "../../src/light/finality-proof.ts";
import { executionStateCodec, executionStateDigest } from "../../src/replication/executor.ts";
import { networkOf } from "../cluster/signing.ts";
import { Solo } from "../cluster/solo.ts";
import { bucket, codecTarget, promise, type Target, wordsOf } from "./target.ts";

const network = networkOf(4);

/** Only asked whether it would listen, which changes nothing in it. */
const { engine } = new Solo();

/** A statement's digest and the proof of it, as `verification` puts them together. */
const provenLeafCodec = struct<{ leaf: Hash; proof: Proof }>({ leaf: hash, proof: proofCodec });

function useMessage(message: PbftMessage): string {
  promise(/^[0-9a-f]{64}$/.test(statementDigest(network, statementOf(message))), "a statement's digest is no hash");
  const obligations = innerObligations(network, message);
  if (obligations === null) return "malformed";
  for (const { leaf, proof } of obligations) proofRoot(leaf, proof);
  // A proof is its own bytes in the message: nobody can buy more checks than bytes sent.
  const certificates = message.kind === "new-view" ? message.viewChanges.map((signed) => signed.message) : [message];
  const places = certificates.reduce((sum, part) => sum + ("prepared" in part ? part.prepared.length + 1 : 0), 0);
  const countMax = (places + certificates.length) * network.set.size;
  promise(obligations.length <= countMax, `${obligations.length} signature checks, at most ${countMax} are useful`);
  const screened = engine.screen(0 as ValidatorIndex, message).kind;
  return `${screened}, obligations ${bucket(obligations.length)}`;
}

function useBundle(bundle: Bundle): string {
  const fault = bundleFault(network, bundle);
  if (fault !== null) return wordsOf(fault);
  const { ref, vertexIds } = holdBundle(network, bundle);
  promise(vertexIds.length === bundle.payloads.length, "an id for each payload");
  statementDigest(network, bundleStatement(ref));
  return "held";
}

function useProof({ leaf, proof }: { readonly leaf: Hash; readonly proof: Proof }): string {
  const root = proofRoot(leaf, proof);
  if (root === null) return "malformed";
  promise(proof.path.length <= merklePathLengthMax(SEAL_LEAVES_MAX), "a path is longer than any tree is high");
  return "rooted";
}

export const CODEC_TARGETS: readonly Target[] = [
  codecTarget("frame", frameCodec),
  codecTarget("proven-body", provenBodyCodec),
  codecTarget("question", questionCodec),
  codecTarget("snapshot-answer", snapshotAnswerCodec),
  codecTarget("piece-answer", pieceAnswerCodec),
  codecTarget("bundles-answer", bundlesAnswerCodec),
  codecTarget("batches-answer", batchesAnswerCodec),
  codecTarget("committed-answer", committedAnswerCodec),
  codecTarget("witness-answer", witnessAnswerCodec),
  codecTarget("state-answer", stateAnswerCodec),
  codecTarget("certified-answer", certifiedAnswerCodec),
  codecTarget("accepted-answer", acceptedAnswerCodec),
  codecTarget("finality-proof", finalityProofCodec),
  codecTarget("epoch-link", epochLinkCodec),
  codecTarget("pbft-message", messageCodec, useMessage),
  codecTarget("committed-slot", committedSlotCodec, ({ batch }) => batchDigest(batch).slice(0, 0)),
  codecTarget("checkpoint-certificate", checkpointCertificateCodec),
  codecTarget("prepared-certificate", preparedCertificateCodec),
  codecTarget("signed-new-view", signedNewViewCodec, ({ message }) => useMessage(message)),
  codecTarget("bundle", bundleCodec, useBundle),
  codecTarget("batch", batchCodec, (batch) => batchDigest(batch).slice(0, 0)),
  codecTarget("execution-state", executionStateCodec, (state) => executionStateDigest(state).slice(0, 0)),
  codecTarget("seal", sealCodec),
  codecTarget("proof", provenLeafCodec, useProof),
  codecTarget("row-metadata", metadataCodec),
  codecTarget("row-finalized", finalizedCodec),
  codecTarget("row-edge", edgeCodec),
];
