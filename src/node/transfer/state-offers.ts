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

  constructor(database: Database) {
    this.#snapshots = new SnapshotStore(database);
    this.#proofs = new ProofLedger(database);
  }

  /** Up to a sequence, the newest; null where none is certified. */
  async certified(upTo: Sequence): Promise<CertifiedSnapshot | null> {
    for (const snapshot of await this.#snapshots.list(upTo)) {
      const { execution } = snapshot;
      const certificate = await this.#proofs.certificateAt(execution.sequence);
      if (certificate === null || !beginsWithIt(certificate.phase, certificate.epoch, execution)) continue;
      if (executionStateDigest(stateOf(certificate)) === executionStateDigest(execution))
        return { snapshot, certificate };
    }
    return null;
  }

  async newest(above: Sequence): Promise<SnapshotOffer | null> {
    const found = await this.certified(Number.MAX_SAFE_INTEGER as Sequence);
    if (found === null || found.snapshot.execution.sequence <= above) return null;
    const { snapshot, certificate } = found;
    return {
      certificate: encode(stateCertificateCodec, certificate, 1_024 + 5_000 * certificate.proofs.length),
      membership: encode(membershipStateCodec, snapshot.membership, 4_096),
      manifest: encodeManifest(snapshot.manifest),
    };
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
