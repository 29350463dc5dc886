import type { Codec } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { u32, u64 } from "../codec/primitives.ts";
import { present } from "../lib/assert.ts";
import type { ValidatorIndex } from "./ids.ts";
import { quorumSize } from "./quorum.ts";
import { validatorIndexCodec } from "./seal.ts";
import { VALIDATORS_MAX } from "./validator-set.ts";

/** Shares are whole millionths, so that every replica computes the same. */
export const PPM = 1_000_000;

/** Below it a validator loses its place (document 5, validator set lifecycle: 0.7). */
export const REPUTATION_PPM_MIN = 700_000;

/** Silent for longer, a validator loses its place (document 5: five minutes). */
export const INACTIVE_MS_MAX = 300_000;

/** What one validator saw of another. */
export interface Observation {
  readonly validator: ValidatorIndex;
  /** The share of its messages that were valid, 0 to 1,000,000. */
  readonly validPpm: number;
  /** The share of the time that it was reachable, 0 to 1,000,000. */
  readonly uptimePpm: number;
  /** How long nothing was heard from it, in milliseconds. */
  readonly inactiveMs: number;
}

/** The newest observations of one validator. */
export interface Report {
  readonly reporter: ValidatorIndex;
  /** Of distinct validators, ascending by index. */
  readonly observations: readonly Observation[];
}

export const observationsCodec: Codec<readonly Observation[]> = vec(
  struct<Observation>({ validator: validatorIndexCodec, validPpm: u32, uptimePpm: u32, inactiveMs: u64 }),
  VALIDATORS_MAX,
);

export const reportCodec: Codec<Report> = struct<Report>({
  reporter: validatorIndexCodec,
  observations: observationsCodec,
});

/** Why these observations are no report; null where they are well formed. */
export function observationsFault(observations: readonly Observation[]): string | null {
  if (observations.length === 0) return "a report without observations";
  let previous = -1;
  for (const { validator, validPpm, uptimePpm, inactiveMs } of observations) {
    if (validator >= VALIDATORS_MAX) return `validator ${validator} is none of at most ${VALIDATORS_MAX}`;
    if (validator <= previous) return "observations ascend by validator, each once";
    if (!isPpm(validPpm) || !isPpm(uptimePpm)) return `shares of validator ${validator} are not 0 to ${PPM} millionths`;
    if (!Number.isSafeInteger(inactiveMs) || inactiveMs < 0)
      return `silence of validator ${validator} is no number of ms`;
    previous = validator;
  }
  return null;
}

/** Document 5: reputation = 0.7 x valid share + 0.3 x uptime, in ppm, rounded down. */
export function reputationPpm({ validPpm, uptimePpm }: Observation): number {
  return Math.floor((7 * validPpm + 3 * uptimePpm) / 10);
}

export interface Judgement {
  readonly reputationPpm: number;
  readonly inactiveMs: number;
}

/**
 * What n active validators hold of one, from their observations of it: the median of the reputations and the median of
 * the silences; null while fewer than a quorum of others reported on it.
 *
 * At most f of n observers lie, and a quorum has q >= 2f + 1 members. In a sorted list of m >= 2f + 1 values each median
 * has at least f values before it and f after it; with itself that is f + 1 on either side, of which one is honest. So the
 * median lies between two honest values: liars cannot deactivate whom all honest ones hold above the limit, nor keep whom
 * all honest ones hold below it. This needs the median of the reputations: medians of the two shares apart could come from
 * two honest reports and give a reputation lower than either. Of two middle values the milder one counts.
 *
 * It waits for a quorum without the observed one itself. That costs no liveness: a faulty one is among the f, and the
 * others who work are n - f >= q.
 */
export function judge(activeCount: number, observations: readonly Observation[]): Judgement | null {
  const count = observations.length;
  if (count < quorumSize(activeCount)) return null;
  const reputations = ascending(observations.map(reputationPpm));
  const silences = ascending(observations.map(({ inactiveMs }) => inactiveMs));
  return {
    reputationPpm: present(reputations[Math.floor(count / 2)], "the upper median"),
    inactiveMs: present(silences[Math.floor((count - 1) / 2)], "the lower median"),
  };
}

/** Why this judgement costs the place; null where it does not. */
export function dismissalBy(judgement: Judgement): "reputation" | "inactivity" | null {
  if (judgement.inactiveMs > INACTIVE_MS_MAX) return "inactivity";
  return judgement.reputationPpm < REPUTATION_PPM_MIN ? "reputation" : null;
}

function isPpm(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= PPM;
}

function ascending(values: readonly number[]): readonly number[] {
  return [...values].sort((left, right) => left - right);
}
