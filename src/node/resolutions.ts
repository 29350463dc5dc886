import { encode } from "../codec/codec.ts";
import type { DagEffect, DagEvent } from "../consensus/dag-engine.ts";
import type { HeldBundle } from "../dag/bundle.ts";
import { RESOLUTION_PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import { type Report, reportCodec } from "../dag/report.ts";
import type { Judgement } from "../dag/resolution.ts";
import { type ResolutionState, rulingsOf } from "../dag/resolution-state.ts";
import type { Unit } from "../dag/unit.ts";
import { proveUnit, type UnitProof } from "../dag/unit-proof.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch } from "../membership/ids.ts";

export type Heard = Omit<Extract<DagEvent, { readonly kind: "resolutions" }>, "nowMs" | "wallMs">;

/**
 * What the ordered log knows of open conflicts, for the engine that has them: it hears what every batch led to, and, when it
 * begins, all that is remembered, since its rows may be older.
 */
export class Resolutions {
  #state: ResolutionState;

  constructor(state: ResolutionState) {
    this.#state = state;
  }

  get state(): ResolutionState {
    return this.#state;
  }

  /** What to tell the engine of a batch; null where nothing was reported. */
  onExecuted({ state, reported, decided, lost }: Judgement): Heard | null {
    this.#state = state;
    const isQuiet = reported.length === 0 && decided.length === 0 && lost.length === 0;
    return isQuiet ? null : { kind: "resolutions", reported, decided, lost };
  }

  /** What to tell an engine that begins; null where nothing was ever decided. */
  get remembered(): Heard | null {
    const rulings = rulingsOf(this.#state);
    return this.#state.rulings.length === 0 ? null : { kind: "resolutions", reported: [], ...rulings };
  }
}

/**
 * The report that an engine wants said, as a payload of the own lane. Null where it cannot be proved: its certificate is
 * larger than a payload, or a certified rival is settled for so long that its bundle is not in memory any more. Said
 * without the certificate, it would say that there is none.
 * @param bundleOf a bundle of purpose `dag` that is in memory
 */
export function encodeReport(
  epoch: Epoch,
  { subject, certified }: Extract<DagEffect, { readonly kind: "report" }>,
  bundleOf: (digest: Hash) => HeldBundle | undefined,
): Uint8Array | null {
  const proofOf = ({ bundle, vertex }: Unit): UnitProof | null => {
    const held = bundleOf(bundle);
    return held === undefined ? null : proveUnit(held, vertex);
  };
  const proof = proofOf(subject);
  const rival = certified === null ? null : proofOf(certified.unit);
  if (proof === null || (certified !== null && rival === null)) return null;
  const shown = certified === null || rival === null ? null : { unit: rival, votes: certified.votes };
  const report: Report = { epoch, subject: proof, certified: shown };
  const encoded = encode(reportCodec, report, 16_384);
  return encoded.length > RESOLUTION_PAYLOAD_BYTES_MAX ? null : encoded;
}
