import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { MISSING_MAX, MISSING_PATIENCE_MAX_MS, MISSING_PATIENCE_MS } from "./limits.ts";

interface Named {
  from: ValidatorIndex;
  askAtMs: number;
  patienceMs: number;
}

/** Bundles that peers polled or voted about and that are not here: most are on their way, the others are asked for. */
export class Missing {
  readonly #named = new Map<Hash, Named>();

  get size(): number {
    return this.#named.size;
  }

  onNamed(digest: Hash, from: ValidatorIndex, nowMs: number): void {
    const known = this.#named.get(digest);
    if (known !== undefined) {
      known.from = from;
      return;
    }
    if (this.#named.size >= MISSING_MAX) return;
    this.#named.set(digest, { from, askAtMs: nowMs + MISSING_PATIENCE_MS, patienceMs: MISSING_PATIENCE_MS });
  }

  onArrived(digest: Hash): void {
    this.#named.delete(digest);
  }

  /** What is to be asked for now, by whom it was named last, in ascending order of that. */
  due(nowMs: number): ReadonlyMap<ValidatorIndex, readonly Hash[]> {
    const due = new Map<ValidatorIndex, Hash[]>();
    for (const [digest, named] of this.#named) {
      if (named.askAtMs > nowMs) continue;
      // Nobody has shown it for so long: whoever names it again begins anew.
      if (named.patienceMs >= MISSING_PATIENCE_MAX_MS) {
        this.#named.delete(digest);
        continue;
      }
      named.patienceMs *= 2;
      named.askAtMs = nowMs + named.patienceMs;
      const list = due.get(named.from) ?? [];
      list.push(digest);
      due.set(named.from, list);
    }
    return new Map([...due].sort(([left], [right]) => left - right));
  }
}
