import { encode } from "../../codec/codec.ts";
import { encodeLink, type EpochLink } from "../../light/epochs.ts";
import {
  type StateCertificate,
  stateCertificateCodec,
  stateOf,
  type StatePhase,
} from "../../light/state-certificate.ts";
import type { Epoch, Sequence } from "../../membership/ids.ts";
import { membershipStateCodec } from "../../membership/membership-state.ts";
import { type ExecutionState, executionStateDigest } from "../../replication/executor.ts";
import { encodeManifest } from "../../replication/snapshot.ts";
import type { Database } from "../ports.ts";
import { ProofLedger } from "../proof-ledger.ts";
import { SnapshotStore, type StoredSnapshot } from "../replicated/snapshot-store.ts";
import type { SnapshotOffer } from "../wire.ts";

/** A snapshot of exactly the state for which a quorum's checkpoint, or its word of how an epoch ended, stands. */
export interface CertifiedSnapshot {
  readonly snapshot: StoredSnapshot;
  readonly certificate: StateCertificate;
}

/**
 * Whether such a certificate is enough to begin with a state: it is a checkpoint, or how an epoch ended; the next one's engine
 * begins with that. Other words of what was executed are no part of what an engine knows.
 */
export function beginsWithIt(phase: StatePhase, epoch: Epoch, state: ExecutionState): boolean {
  if (phase === "checkpoint") return state.epoch === epoch;
  return state.epoch === epoch + 1 && state.epochBase === state.sequence;
}

/** What of the states on this disk others can take over, because a quorum certified it. */
export class StateOffers {
  readonly #snapshots: SnapshotStore;
  readonly #proofs: ProofLedger;
  /** Of the newest that was asked for. A snapshot that others may take over changes no more. */
  #made: { readonly sequence: Sequence; readonly offer: SnapshotOffer } | null = null;

  constructor(database: Database) {
    this.#snapshots = new SnapshotStore(database);
    this.#proofs = new ProofLedger(database);
  }

  /** Up to a sequence, the newest; null where none is certified. */
  async certified(upTo: Sequence): Promise<CertifiedSnapshot | null> {
    for (const sequence of await this.#snapshots.sequences(upTo)) {
      const found = await this.#certifiedAt(sequence);
      if (found !== null) return found;
    }
    return null;
  }

  /** What is made of a snapshot once is kept: whoever asks again and again costs this node a look at the keys. */
  async newest(above: Sequence): Promise<SnapshotOffer | null> {
    for (const sequence of await this.#snapshots.sequences(Number.MAX_SAFE_INTEGER as Sequence)) {
      if (sequence <= above) return null;
      if (this.#made?.sequence === sequence) return this.#made.offer;
      const found = await this.#certifiedAt(sequence);
      if (found === null) continue;
      this.#made = { sequence, offer: offerOf(found) };
      return this.#made.offer;
    }
    return null;
  }

  /** The certificate is looked for first: it is small, and what has none is offered to nobody. */
  async #certifiedAt(sequence: Sequence): Promise<CertifiedSnapshot | null> {
    const certificate = await this.#proofs.certificateAt(sequence);
    const snapshot = certificate === null ? null : await this.#snapshots.head(sequence);
    if (certificate === null || snapshot === null) return null;
    const { execution } = snapshot;
    if (!beginsWithIt(certificate.phase, certificate.epoch, execution)) return null;
    return executionStateDigest(stateOf(certificate)) === executionStateDigest(execution)
      ? { snapshot, certificate }
      : null;
  }

  async chunk(sequence: Sequence, number: number): Promise<Uint8Array | null> {
    return await this.#snapshots.chunk(sequence, number);
  }

  async epochEnd(epoch: Epoch): Promise<Uint8Array | null> {
    const end = await this.#proofs.epochEnd(epoch);
    if (end === null) return null;
    const { sequence } = stateOf({ epoch, phase: "executed", state: end.state, proofs: [] });
    const certificate = await this.#proofs.certificateAt(sequence);
    const link: EpochLink | null = certificate === null ? null : { certificate, membership: end.membership };
    return link === null ? null : encodeLink(link);
  }
}

function offerOf({ snapshot, certificate }: CertifiedSnapshot): SnapshotOffer {
  return {
    certificate: encode(stateCertificateCodec, certificate, 1_024 + 5_000 * certificate.proofs.length),
    membership: encode(membershipStateCodec, snapshot.membership, 4_096),
    manifest: encodeManifest(snapshot.manifest),
  };
}
