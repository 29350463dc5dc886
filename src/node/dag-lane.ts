import type { HeldBundle } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { type FormedBundle, formBundle } from "./own-lane.ts";
import type { Submission } from "./service.ts";
import {
  failStretch,
  onStretchDurable,
  onStretchFinal,
  onStretchRejected,
  type Stretch,
  type StretchFinality,
  SubmissionQueue,
} from "./submissions.ts";

/** A bundle of this node's own of which something is open. */
interface Waiting {
  readonly held: HeldBundle;
  /** None for a bundle of an earlier run: its clients are gone. */
  readonly stretches: readonly Stretch[];
  /** Where its place came to nothing: the vertices that lost to others. The rest was issued again, and is no loss. */
  readonly lost: ReadonlySet<number> | null;
}

/**
 * This node's own lane in a leaderless network: gathers its clients' envelopes into bundles with two parents, and tells each
 * submission when its vertices are durable, final, or lost to others.
 *
 * Invariant: nonces are used once; a bundle is durable before anybody else sees it, so a crash cannot use one again.
 */
export class DagLane {
  readonly #network: NetworkContext;
  readonly #self: ValidatorIndex;
  readonly #queue = new SubmissionQueue();
  readonly #waiting = new Map<Hash, Waiting>();
  /** Up to which nonce the lane is used, and what its next bundle follows. */
  #tip: LaneTip;
  /** The last own bundle that took its place: what follows when one behind it came to nothing. */
  #placed: LaneTip;
  /** Bundles up to this nonce, from the first that came to nothing on, come to nothing as well. */
  #voidUpTo = 0;
  /** Up to this nonce the lane is used, as others know. */
  #awaited = 0;
  #forming = 0;

  /** `placed` is the last bundle that took its place in the lane, `tip` the last one that was made. */
  constructor(
    network: NetworkContext,
    self: ValidatorIndex,
    { placed, tip }: { readonly placed: LaneTip; readonly tip: LaneTip },
  ) {
    this.#network = network;
    this.#self = self;
    this.#placed = placed;
    this.#tip = tip;
  }

  /** Vertices that are taken in and not in a bundle yet. */
  get queued(): number {
    return this.#queue.vertices;
  }

  /** Payload bytes that are taken in and not in a bundle yet. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Queued, or in a bundle that is not durable yet: not counted by the pool of open bundles. */
  get pending(): number {
    return this.queued + this.#forming;
  }

  get tip(): LaneTip {
    return this.#tip;
  }

  /**
   * Others proved with this node's own signature that the lane is used up to `nonce`. Where this disk does not know so much,
   * nothing is formed until that is known: a nonce that is used twice is a lie, whatever the reason.
   */
  awaitUpTo(nonce: Nonce): void {
    this.#awaited = Math.max(this.#awaited, nonce);
  }

  /** Payloads are sealed envelopes. */
  submit(payloads: readonly Uint8Array[], nowMs: number): Submission {
    return this.#queue.submit(payloads, nowMs);
  }

  /** The next bundle of what is queued; null where nothing is. `secondParent` is genesis where there is none. */
  form(wallMs: number, secondParent: Hash): FormedBundle | null {
    if (this.#tip.nonce < this.#awaited) return null;
    const gathered = this.#queue.gather();
    if (gathered === null) return null;
    const { payloads, stretches } = gathered;
    this.#forming += payloads.length;
    const formed = formBundle(this.#network, {
      creator: this.#self,
      term: this.#network.set.termOf(this.#self),
      purpose: "dag",
      firstNonce: (this.#tip.nonce + 1) as Nonce,
      timestampMs: wallMs,
      parents: [this.#tip.tip, secondParent],
      payloads,
    });
    const { held } = formed;
    this.#tip = { nonce: (this.#tip.nonce + payloads.length) as Nonce, tip: held.ref.tip };
    this.#waiting.set(held.ref.digest, { held, stretches, lost: null });
    return formed;
  }

  onDurable(held: HeldBundle): void {
    const waiting = this.#waiting.get(held.ref.digest);
    if (waiting === undefined) return;
    this.#forming -= held.ref.count;
    for (const stretch of waiting.stretches) onStretchDurable(stretch, held);
  }

  /** A bundle of this lane took its place; also one that a lost disk forgot, which others knew. */
  onPlaced(held: HeldBundle): void {
    const { firstNonce, count, tip } = held.ref;
    const end: LaneTip = { nonce: (firstNonce + count - 1) as Nonce, tip };
    if (end.nonce > this.#placed.nonce) this.#placed = end;
    if (end.nonce > this.#tip.nonce) this.#tip = end;
  }

  /** Own vertices from `from` to before `to` took their local places. Answers how long each stretch of them took. */
  onFinalized(
    digest: Hash,
    taken: { readonly from: number; readonly to: number; readonly firstPosition: number; readonly nowMs: number },
  ): readonly StretchFinality[] {
    const waiting = this.#waiting.get(digest);
    if (waiting === undefined) return [];
    return waiting.stretches
      .map((stretch) => onStretchFinal(stretch, waiting.held, taken))
      .filter((finality) => finality !== null);
  }

  /** One own vertex lost to another. */
  onRejected(digest: Hash, vertex: number, error: Error): void {
    const waiting = this.#waiting.get(digest);
    if (waiting?.lost?.has(vertex) === false) return;
    const stretch = stretchOf(waiting?.stretches ?? [], vertex);
    if (stretch !== undefined) onStretchRejected(stretch, error);
  }

  /** Nothing of this bundle is open any more. */
  onSettled(digest: Hash): void {
    this.#waiting.delete(digest);
  }

  /**
   * The bundle can never take its place, though its vertices lost to nobody: their payloads go into new bundles behind the
   * last one that holds (Team Rocket 2018: a virtuous vertex on rogue parents is issued again). Answers how many.
   */
  onPlaceRejected(held: HeldBundle, lost: ReadonlySet<number>, nowMs: number): number {
    const { digest, firstNonce } = held.ref;
    const stretches = this.#waiting.get(digest)?.stretches ?? [];
    // Whoever waits for one that lost is told so when its winner is known.
    this.#waiting.set(digest, { held, stretches, lost });
    if (firstNonce > this.#voidUpTo) {
      // All nonces stay used: what follows begins behind them, and hangs on what holds.
      this.#voidUpTo = this.#tip.nonce;
      this.#tip = { nonce: this.#tip.nonce, tip: this.#placed.tip };
    }
    const vertices = held.bundle.payloads.map((_, vertex) => vertex).filter((vertex) => !lost.has(vertex));
    for (const vertex of vertices.toReversed()) {
      const stretch = stretchOf(stretches, vertex);
      const payload = held.bundle.payloads[vertex];
      if (stretch !== undefined) this.#queue.again(stretch, vertex);
      // Of an earlier run: nobody waits for it, and it was promised all the same.
      else if (payload !== undefined) this.#queue.submit([payload], nowMs);
    }
    return vertices.length;
  }

  /** The node stops or its disk failed: whoever waits learns it. What is durable stays accepted. */
  failAll(error: Error): void {
    this.#queue.failAll(error);
    for (const { stretches } of this.#waiting.values()) for (const stretch of stretches) failStretch(stretch, error);
    this.#waiting.clear();
  }
}

function stretchOf(stretches: readonly Stretch[], vertex: number): Stretch | undefined {
  return stretches.find(({ offset, count }) => vertex >= offset && vertex < offset + count);
}
