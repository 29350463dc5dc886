/** One peer's ban. Times are milliseconds since 1970: a ban outlives the process, so it needs the wall clock. */
export interface Ban {
  readonly sinceMs: number;
  /** Null: until an operator lifts it. */
  readonly untilMs: number | null;
  readonly reason: string;
  readonly by: "operator" | "automatic";
  /** Automatic bans so far that are not forgiven, this one included; they double the next one's time. */
  readonly strikes: number;
}

/** The first automatic ban: long enough to be worth more than a redial, short enough for a peer that is being repaired. */
export const BAN_FIRST_MS: number = 10 * 60_000;

/** No automatic ban is longer: a validator that was repaired comes back within a day by itself. */
export const BAN_LONGEST_MS: number = 24 * 3_600_000;

/** A strike is forgiven after so long without a ban. */
export const STRIKE_FORGIVEN_MS: number = 24 * 3_600_000;

export function isBanActive({ untilMs }: Ban, wallMs: number): boolean {
  return untilMs === null || wallMs < untilMs;
}

/** Strikes that still count; an entry without any need not be kept once it ended. */
export function strikesAt({ strikes, untilMs }: Ban, wallMs: number): number {
  if (untilMs === null || wallMs < untilMs) return strikes;
  return Math.max(0, strikes - Math.floor((wallMs - untilMs) / STRIKE_FORGIVEN_MS));
}

/** The ban that this node lays on a peer by itself; each repeat doubles the time, up to `BAN_LONGEST_MS`. */
export function automaticBan(previous: Ban | null, reason: string, wallMs: number): Ban {
  const strikes = (previous === null ? 0 : strikesAt(previous, wallMs)) + 1;
  const lengthMs = Math.min(BAN_LONGEST_MS, BAN_FIRST_MS * 2 ** Math.min(strikes - 1, 16));
  return { sinceMs: wallMs, untilMs: wallMs + lengthMs, reason, by: "automatic", strikes };
}

/** @param lengthMs null bans until the operator lifts it */
export function operatorBan(previous: Ban | null, reason: string, wallMs: number, lengthMs: number | null): Ban {
  const strikes = previous === null ? 0 : strikesAt(previous, wallMs);
  return {
    sinceMs: wallMs,
    untilMs: lengthMs === null ? null : wallMs + lengthMs,
    reason,
    by: "operator",
    strikes,
  };
}
