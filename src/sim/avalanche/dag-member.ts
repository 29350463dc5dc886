import type { AvalancheCore } from "../../consensus/avalanche/core.ts";
import type { DagClaim, DagDecision } from "../../consensus/dag-engine.ts";
import type { TimerName } from "../../consensus/engine.ts";
import { type HeldBundle, holdBundle } from "../../dag/bundle.ts";
import { conflictSetOf, openEnvelope } from "../../dag/conflict-keys.ts";
import { assert, present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";

interface Status {
  place: "open" | "accepted" | "rejected";
  readonly accepted: Set<number>;
  readonly rejected: Set<number>;
}

/** One engine with what its node would hold for it: bundles, what became of them, timers. */
export class DagMember {
  readonly network: NetworkContext;
  readonly index: ValidatorIndex;
  readonly core: AvalancheCore;
  readonly isCorrect: boolean;
  /** Accepted vertices in this member's own order. */
  readonly order: Hash[] = [];
  /** When each vertex became final here, in virtual milliseconds. */
  readonly finalAtMs: Map<Hash, number> = new Map();
  readonly #held = new Map<Hash, HeldBundle>();
  readonly #tips = new Map<Hash, HeldBundle>();
  readonly #status = new Map<Hash, Status>();
  readonly #winners = new Map<Hash, Hash>();
  readonly #timers = new Map<TimerName, () => void>();
  #tip: { nonce: Nonce; tip: Hash };

  constructor(network: NetworkContext, index: ValidatorIndex, core: AvalancheCore, isCorrect: boolean) {
    this.network = network;
    this.index = index;
    this.core = core;
    this.isCorrect = isCorrect;
    this.#tip = { nonce: 0 as Nonce, tip: network.genesis };
  }

  form(payloads: readonly Uint8Array[], nowMs: number): HeldBundle {
    const held = holdBundle(this.network, {
      creator: this.index,
      term: this.network.set.termOf(this.index),
      purpose: "dag",
      firstNonce: (this.#tip.nonce + 1) as Nonce,
      timestampMs: Math.floor(nowMs),
      parents: [this.#tip.tip, this.core.secondParent(nowMs)],
      payloads,
    });
    this.#tip = { nonce: (this.#tip.nonce + payloads.length) as Nonce, tip: held.ref.tip };
    return held;
  }

  hold(held: HeldBundle): void {
    this.#held.set(held.ref.digest, held);
    this.#tips.set(held.ref.tip, held);
  }

  get(digest: Hash): HeldBundle | undefined {
    return this.#held.get(digest);
  }

  byTip(tip: Hash): HeldBundle | undefined {
    return this.#tips.get(tip);
  }

  isFinal(vertex: Hash): boolean {
    return this.finalAtMs.has(vertex);
  }

  isRejected(bundle: Hash, vertex: number): boolean {
    return this.#status.get(bundle)?.rejected.has(vertex) === true;
  }

  placeOf(bundle: Hash): Status["place"] {
    return this.#status.get(bundle)?.place ?? "open";
  }

  /** Held bundles above a frontier, by creator and nonce. */
  above(frontier: readonly Nonce[]): readonly HeldBundle[] {
    return [...this.#held.values()]
      .filter(({ ref }) => ref.firstNonce > (frontier[ref.creator] ?? 0))
      .sort((left, right) => left.ref.creator - right.ref.creator || left.ref.firstNonce - right.ref.firstNonce);
  }

  claimOf({ ref: { digest, count } }: HeldBundle): DagClaim {
    const claim = this.core.claimOf(digest);
    if (claim !== null) return claim;
    const status = this.#status.get(digest);
    const undecided = Array.from({ length: count }, (_, vertex) => vertex).filter(
      (vertex) => status?.accepted.has(vertex) !== true && status?.rejected.has(vertex) !== true,
    );
    return { bundle: digest, state: status?.place ?? "open", undecided, rejected: [...(status?.rejected ?? [])] };
  }

  lostOf({ bundle, vertexIds }: HeldBundle): readonly number[] {
    return bundle.payloads.flatMap((payload, vertex) => {
      const sets = (openEnvelope(payload)?.conflictKeys ?? []).map(conflictSetOf);
      const isLost = sets.some((set) => this.#winners.has(set) && this.#winners.get(set) !== vertexIds[vertex]);
      return isLost ? [vertex] : [];
    });
  }

  settledOf({ ref }: HeldBundle): "accepted" | "rejected" | null {
    const status = this.#status.get(ref.digest);
    if (status === undefined || status.place === "open") return null;
    const isSettled = status.accepted.size + status.rejected.size === ref.count;
    return isSettled && this.core.claimOf(ref.digest) === null ? status.place : null;
  }

  decide(decisions: readonly DagDecision[], nowMs: number): void {
    for (const { bundle, place, accepted, rejected } of decisions) {
      const held = present(this.#held.get(bundle), "a decided bundle");
      const status = this.#statusOf(bundle);
      if (place !== null) {
        assert(status.place === "open", "a place is decided once");
        status.place = place;
      }
      for (const vertex of accepted) this.#accept(held, status, vertex, nowMs);
      for (const vertex of rejected) {
        assert(!status.accepted.has(vertex), "what is accepted stays so");
        status.rejected.add(vertex);
      }
    }
  }

  setTimer(name: TimerName, set: () => () => void): void {
    this.#timers.get(name)?.();
    this.#timers.set(name, set());
  }

  cancelTimer(name: TimerName): void {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }

  #accept(held: HeldBundle, status: Status, vertex: number, nowMs: number): void {
    assert(!status.accepted.has(vertex) && !status.rejected.has(vertex), "a vertex is decided once");
    assert(status.place === "accepted", "a vertex after its bundle's place");
    for (const parent of held.bundle.parents) {
      const before = this.#tips.get(parent);
      const isThere =
        parent === this.network.genesis || (before !== undefined && this.placeOf(before.ref.digest) === "accepted");
      assert(isThere, "ancestors before descendants");
    }
    status.accepted.add(vertex);
    const id = present(held.vertexIds[vertex], "a vertex id");
    this.order.push(id);
    this.finalAtMs.set(id, nowMs);
    const payload = present(held.bundle.payloads[vertex], "a payload");
    for (const key of openEnvelope(payload)?.conflictKeys ?? []) {
      const set = conflictSetOf(key);
      assert((this.#winners.get(set) ?? id) === id, "a conflict set has one winner");
      this.#winners.set(set, id);
    }
  }

  #statusOf(bundle: Hash): Status {
    let status = this.#status.get(bundle);
    if (status === undefined) {
      status = { place: "open", accepted: new Set(), rejected: new Set() };
      this.#status.set(bundle, status);
    }
    return status;
  }
}
