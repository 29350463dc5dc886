import { CretoError } from "./creto-error.ts";
import { pause, type Patience } from "./patience.ts";
import { randomFraction } from "./random.ts";

/** A node that failed is left alone for 100 ms at first, twice as long each time, 5 s at most. */
const BACK_OFF_MS = 100;
const BACK_OFF_MS_MAX = 5_000;
const BACK_OFF_DOUBLINGS_MAX = 10;

export interface PooledNode {
  /** Its address, without a slash at the end. */
  readonly url: string;
}

interface Entry extends PooledNode {
  failures: number;
  /** Nobody asks it before. */
  notBeforeMs: number;
  /** It answered, and has not failed since. */
  isProven: boolean;
}

/** The nodes, and which of them is asked: always the same one, until it fails. */
export class NodePool {
  readonly #entries: readonly Entry[];
  #current: number;

  /** @throws CretoError `invalid-argument` */
  constructor(urls: readonly string[]) {
    if (urls.length === 0) throw new CretoError("invalid-argument", "nodes must name one node at least");
    this.#entries = [...new Set(urls.map(addressOf))].map((url) => ({
      url,
      failures: 0,
      notBeforeMs: 0,
      isProven: false,
    }));
    // Clients with one list of nodes do not all begin with the same one.
    this.#current = Math.floor(randomFraction() * this.#entries.length);
  }

  get nodes(): readonly PooledNode[] {
    return this.#entries;
  }

  /**
   * The node to ask now, when its back-off is over.
   * @param pinned the only one that will do
   * @throws CretoError when the patience ends before
   */
  async pick(patience: Patience, pinned: PooledNode | null = null): Promise<PooledNode> {
    for (;;) {
      if (patience.ended !== null) throw patience.ended;
      const nowMs = performance.now();
      const best = this.#best(nowMs, pinned);
      if (best.notBeforeMs <= nowMs) return best;
      await pause(best.notBeforeMs - nowMs, patience.signal);
    }
  }

  isProven(node: PooledNode): boolean {
    return this.#entryOf(node).isProven;
  }

  succeeded(node: PooledNode): void {
    const entry = this.#entryOf(node);
    entry.isProven = true;
    entry.failures = 0;
    entry.notBeforeMs = 0;
  }

  /** @param retryAfterMs how long the node itself asked to be left alone */
  failed(node: PooledNode, retryAfterMs: number | null): void {
    const entry = this.#entryOf(node);
    const fullMs = Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS * 2 ** Math.min(entry.failures, BACK_OFF_DOUBLINGS_MAX));
    entry.isProven = false;
    entry.failures += 1;
    const jitteredMs = fullMs * (0.5 + randomFraction() / 2);
    // The jitter is added to what the node asked for: never less, and not all clients at once.
    const waitMs = retryAfterMs === null ? jitteredMs : retryAfterMs + Math.min(jitteredMs, retryAfterMs / 4);
    entry.notBeforeMs = Math.max(entry.notBeforeMs, performance.now() + waitMs);
  }

  #best(nowMs: number, pinned: PooledNode | null): Entry {
    if (pinned !== null) return this.#entryOf(pinned);
    const order = this.#entries.map((_, step) => (this.#current + step) % this.#entries.length);
    let best = this.#current;
    for (const index of order) {
      const [candidate, chosen] = [this.#at(index), this.#at(best)];
      if (candidate.notBeforeMs <= nowMs) {
        this.#current = index;
        return candidate;
      }
      if (candidate.notBeforeMs < chosen.notBeforeMs) best = index;
    }
    return this.#at(best);
  }

  #at(index: number): Entry {
    const entry = this.#entries[index];
    if (entry === undefined) throw new CretoError("invalid-argument", `there is no node ${index}`);
    return entry;
  }

  #entryOf({ url }: PooledNode): Entry {
    return this.#at(this.#entries.findIndex((entry) => entry.url === url));
  }
}

function addressOf(url: string): string {
  if (URL.canParse(url) && /^https?:\/\//i.test(url)) return url.replace(/\/+$/, "");
  throw new CretoError("invalid-argument", `${JSON.stringify(url)} is no node: give addresses like http://host:8080`);
}
