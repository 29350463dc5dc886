import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { MISSING_OF_PEER_MAX, MISSING_PATIENCE_MAX_MS, MISSING_PATIENCE_MS } from "./limits.ts";

interface Named {
  /** Who named it, the first one first: it counts for that one's share, and they are asked in turns. */
  readonly by: ValidatorIndex[];
  asked: number;
  askAtMs: number;
  patienceMs: number;
}

/** Of so many who name a bundle one has it: more need not be known. */
const NAMERS_MAX = 8;

/**
 * Bundles that peers polled or voted about and that are not here: most are on their way, the others are asked for. Each peer
 * has its share, and does not come first for naming a bundle often: a liar must not keep what others name from being fetched.
 */
export class Missing {
  readonly #named = new Map<Hash, Named>();
  readonly #counts = new Map<ValidatorIndex, number>();

  get size(): number {
    return this.#named.size;
  }

  onNamed(digest: Hash, from: ValidatorIndex, nowMs: number): void {
    const known = this.#named.get(digest);
    if (known !== undefined) {
      if (known.by.length < NAMERS_MAX && !known.by.includes(from)) known.by.push(from);
      return;
    }
    const count = this.#counts.get(from) ?? 0;
    if (count >= MISSING_OF_PEER_MAX) return;
    this.#counts.set(from, count + 1);
    const askAtMs = nowMs + MISSING_PATIENCE_MS;
    this.#named.set(digest, { by: [from], asked: 0, askAtMs, patienceMs: MISSING_PATIENCE_MS });
  }

  onArrived(digest: Hash): void {
    const [first] = this.#named.get(digest)?.by ?? [];
    if (first === undefined) return;
    this.#named.delete(digest);
    this.#counts.set(first, (this.#counts.get(first) ?? 1) - 1);
  }

  /** What is to be asked for now, by whom it is asked of, in ascending order of that. */
  due(nowMs: number): ReadonlyMap<ValidatorIndex, readonly Hash[]> {
    const due = new Map<ValidatorIndex, Hash[]>();
    for (const [digest, named] of this.#named) {
      if (named.askAtMs > nowMs) continue;
      const peer = named.by[named.asked % named.by.length];
      // Nobody has shown it for so long: whoever names it again begins anew.
      if (peer === undefined || named.patienceMs >= MISSING_PATIENCE_MAX_MS) {
        this.onArrived(digest);
        continue;
      }
      named.asked += 1;
      named.patienceMs *= 2;
      named.askAtMs = nowMs + named.patienceMs;
      const list = due.get(peer) ?? [];
      list.push(digest);
      due.set(peer, list);
    }
    return new Map([...due].sort(([left], [right]) => left - right));
  }
}
