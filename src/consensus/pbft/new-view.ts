import { batchDigest, NULL_BATCH } from "../../dag/batch.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { CheckpointCertificate } from "../engine.ts";
import type { PreparedCertificate, ViewChange } from "./messages.ts";

export const NULL_DIGEST: Hash = batchDigest(NULL_BATCH);

/** What a quorum's view changes oblige the new view to. */
export interface NewViewPlan {
  /** min-s: the newest stable checkpoint in V; null is the epoch's begin. */
  readonly stable: CheckpointCertificate | null;
  /** max-s: the highest sequence in V's prepared certificates, or min-s. */
  readonly last: Sequence;
  /** O: the digest that each sequence from min-s + 1 to max-s must be proposed with. */
  readonly assigned: ReadonlyMap<Sequence, Hash>;
}

/**
 * Castro & Liskov 1999, §4.4, the computation of O from V, which every replica makes for itself. `base` is the sequence
 * that the epoch begins after, known to all of its replicas: it needs no certificate.
 *
 * Invariant: a batch that committed anywhere in an earlier view is assigned to its sequence again, because the quorum that
 * prepared it shares an honest replica with V's quorum, and no certificate of a higher view can contradict it.
 */
export function planNewView(viewChanges: readonly Signed<ViewChange>[], base: Sequence): NewViewPlan {
  let stable: CheckpointCertificate | null = null;
  for (const { message } of viewChanges) {
    if (message.stable !== null && message.stable.sequence > (stable?.sequence ?? base)) stable = message.stable;
  }
  const low = stable?.sequence ?? base;
  const chosen = new Map<Sequence, PreparedCertificate>();
  let last: number = low;
  for (const { message } of viewChanges) {
    for (const certificate of message.prepared) {
      if (certificate.sequence <= low) continue;
      const best = chosen.get(certificate.sequence);
      if (best === undefined || certificate.view > best.view) chosen.set(certificate.sequence, certificate);
      last = Math.max(last, certificate.sequence);
    }
  }
  const assigned = new Map<Sequence, Hash>();
  for (let sequence = low + 1; sequence <= last; sequence++) {
    assigned.set(sequence as Sequence, chosen.get(sequence as Sequence)?.digest ?? NULL_DIGEST);
  }
  return { stable, last: last as Sequence, assigned };
}
