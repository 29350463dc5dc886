import { decode, encode } from "../codec/codec.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import { type StateCertificate, stateCertificateCodec } from "../light/state-certificate.ts";
import type { Proof } from "../membership/seal.ts";
import { pieceAnswerCodec, type Question, snapshotAnswerCodec, type SnapshotOffer } from "../node/wire.ts";
import { encodeManifest, manifestCodec } from "../replication/snapshot.ts";
import type { Random } from "./random.ts";

const ABOUT_STATE = ["snapshot", "chunk", "epoch-end"] as const;
type AboutState = (typeof ABOUT_STATE)[number];

export function isAboutState(kind: Question["kind"] | null): kind is AboutState {
  return ABOUT_STATE.some((one) => one === kind);
}

/** What a liar says to who wants to take a state over: one that nobody has, in every part that could be another. */
export function lieAboutState(kind: AboutState, honest: Uint8Array, random: Random): Uint8Array {
  if (random.chance(0.2)) return honest;
  if (kind !== "snapshot") {
    const { piece } = decode(pieceAnswerCodec, honest);
    const forged = piece === null || random.chance(0.2) ? null : damaged(piece, random);
    return encode(pieceAnswerCodec, { piece: forged }, (forged?.length ?? 0) + 16);
  }
  const { offer } = decode(snapshotAnswerCodec, honest);
  if (offer === null) return honest;
  return encode(snapshotAnswerCodec, { offer: forgedOffer(offer, random) }, honest.length + 1_024);
}

/** Another root, other chunks, other validators, a certificate with fewer signers, or with one twice. */
function forgedOffer(offer: SnapshotOffer, random: Random): SnapshotOffer {
  const manifest = decode(manifestCodec, offer.manifest);
  const certificate = decode(stateCertificateCodec, offer.certificate);
  const { proofs } = certificate;
  return random.pick([
    // What no signature covers: chunks that nobody has, or some of another kind.
    { ...offer, manifest: encodeManifest({ ...manifest, stateChunks: [...manifest.stateChunks, manifest.root] }) },
    { ...offer, manifest: encodeManifest({ ...manifest, sessionChunks: [...manifest.stateChunks] }) },
    { ...offer, manifest: encodeManifest({ ...manifest, root: merkleRoot([manifest.root]) }) },
    { ...offer, membership: damaged(offer.membership, random) },
    { ...offer, certificate: damaged(offer.certificate, random) },
    withProofs(offer, certificate, proofs.slice(1)),
    withProofs(offer, certificate, [...proofs.slice(1), ...proofs.slice(-1)]),
  ]);
}

function withProofs(offer: SnapshotOffer, certificate: StateCertificate, proofs: readonly Proof[]): SnapshotOffer {
  const bytes = encode(stateCertificateCodec, { ...certificate, proofs }, 1_024 + 5_000 * proofs.length);
  return { ...offer, certificate: bytes };
}

function damaged(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  const at = random.below(Math.max(1, copy.length));
  copy[at] = (copy[at] ?? 0) ^ (1 + random.below(255));
  return copy;
}
