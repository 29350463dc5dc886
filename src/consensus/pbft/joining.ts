import type { ValidatorIndex, View } from "../../membership/ids.ts";
import type { Replica } from "./replica.ts";
import { startViewChange } from "./view-changing.ts";

/**
 * A replica whose time for the leader ran out alone, because it was cut off or stood still for a while, has left the view and may not come
 * back: its view-change message already told what it prepared there (Castro & Liskov 1999, §4.4). The others work on without it and have
 * no reason to leave their leader; the paper leaves it there until they have one, and meanwhile the network tolerates a fault less.
 *
 * So after a while they go with it. Each validator gets this once in a time that doubles, so that a liar who keeps asking takes a
 * view change from the others a minute, then one an hour, and no more.
 */

/** How long a wish for a view stands before others give way to it, in milliseconds: what is on its way by itself comes first. */
const STRANDED_AFTER_MS = 3_000;

/** The least time between two that one validator gets, in milliseconds; it doubles with each up to the most, and starts anew after four times as long without. */
const FAVOUR_MS_MIN = 60_000;
const FAVOUR_MS_MAX = 3_600_000;

/** Joins whoever has been alone in a higher view for long. */
export function maybeJoin(replica: Replica, nowMs: number): void {
  if (!replica.active || replica.self === null) return;
  for (const [signer, sinceMs] of replica.wishes) {
    const wished = replica.viewChanges.get(signer)?.message.view;
    if (wished === undefined || wished <= replica.view) replica.wishes.delete(signer);
    else if (nowMs - sinceMs >= STRANDED_AFTER_MS && takeFavour(replica, signer, nowMs)) {
      replica.wishes.clear();
      return startViewChange(replica, (replica.view + 1) as View);
    }
  }
}

function takeFavour(replica: Replica, signer: ValidatorIndex, nowMs: number): boolean {
  const last = replica.favours.get(signer);
  const agoMs = last === undefined ? Number.POSITIVE_INFINITY : nowMs - last.atMs;
  if (last !== undefined && agoMs < last.intervalMs) return false;
  const isLongAgo = last === undefined || agoMs >= 4 * last.intervalMs;
  const intervalMs = isLongAgo ? FAVOUR_MS_MIN : Math.min(FAVOUR_MS_MAX, 2 * last.intervalMs);
  replica.favours.set(signer, { atMs: nowMs, intervalMs });
  return true;
}
