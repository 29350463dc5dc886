import type { AvalancheCore } from "../../consensus/avalanche/core.ts";
import type { Participant } from "../../consensus/avalanche/participant.ts";
import type { DagClaim, DagDecision, DagOpen, DagRestored } from "../../consensus/dag-engine.ts";
import type { DurableWrite, TimerName } from "../../consensus/engine.ts";
import { type HeldBundle, holdBundle } from "../../dag/bundle.ts";
import { conflictSetOf, openEnvelope } from "../../dag/conflict-keys.ts";
import type { LaneTip } from "../../dag/lanes.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { NetworkContext, ValidatorSet } from "../../membership/validator-set.ts";
import { DagViolation } from "./dag-violation.ts";

interface Status {
  place: "open" | "accepted" | "rejected";
  readonly accepted: Set<number>;
  readonly rejected: Set<number>;
}

/** What the cluster makes anew when a member begins an epoch or comes back. */
export interface MemberEngine {
  readonly network: NetworkContext;
  readonly core: AvalancheCore;
  /** The engine's inside, for liars that see everything. */
  readonly inside: Participant;
}

/** One engine with what its node would hold for it: bundles, what became of them, rows, timers. */
export class DagMember {
  readonly index: ValidatorIndex;
  readonly isCorrect: boolean;
  /** Accepted vertices in this member's own order. */
  readonly order: Hash[] = [];
  /** When each vertex became final here, in virtual milliseconds. */
  readonly finalAtMs: Map<Hash, number> = new Map();
  /** The engine's rows as they are on the disk. */
  readonly disk: Map<string, Uint8Array> = new Map();
  /** The validators of the epoch before. */
  previous: ValidatorSet | null = null;
  /** Those before that one, the newest first. */
  earlier: readonly ValidatorSet[] = [];
  isDown = false;
  /** Counts restarts: what was under way to an earlier process does not arrive. */
  life = 0;
  /** How many entries of the log it has heard. */
  heardOfLog = 0;
  /** A crash in the middle of a step: so many effects are still performed; null for none. */
  effectsLeft: number | null = null;
  #engine: MemberEngine;
  readonly #held = new Map<Hash, HeldBundle>();
  readonly #tips = new Map<Hash, HeldBundle>();
  readonly #status = new Map<Hash, Status>();
  readonly #winners = new Map<Hash, Hash>();
  readonly #timers = new Map<TimerName, () => void>();
  #tip: { nonce: Nonce; tip: Hash };

  constructor(index: ValidatorIndex, engine: MemberEngine, isCorrect: boolean) {
    this.index = index;
    this.#engine = engine;
    this.isCorrect = isCorrect;
    this.#tip = { nonce: 0 as Nonce, tip: engine.network.genesis };
  }

  get core(): AvalancheCore {
    return this.#engine.core;
  }

  get inside(): Participant {
    return this.#engine.inside;
  }

  get network(): NetworkContext {
    return this.#engine.network;
  }

  /** The engine of another epoch, or of another process. */
  begin(engine: MemberEngine): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#engine = engine;
  }

  form(payloads: readonly Uint8Array[], nowMs: number): HeldBundle {
    const held = this.formAfter(this.#tip, payloads, { nowMs, second: this.core.secondParent(nowMs) });
    this.#tip = { nonce: (this.#tip.nonce + payloads.length) as Nonce, tip: held.ref.tip };
    return held;
  }

  /** Where the own lane goes on. */
  get tip(): LaneTip {
    return this.#tip;
  }

  /** A bundle after any place of the own lane; its parents may lie. */
  formAfter(
    { nonce, tip }: LaneTip,
    payloads: readonly Uint8Array[],
    { nowMs, second }: { readonly nowMs: number; readonly second: Hash },
  ): HeldBundle {
    return holdBundle(this.network, {
      creator: this.index,
      term: this.network.set.termOf(this.index),
      purpose: "dag",
      firstNonce: (nonce + 1) as Nonce,
      timestampMs: Math.floor(nowMs),
      parents: [tip, second],
      payloads,
    });
  }

  /** A validator whose last bundle died builds on what has its place, as the node's lane does. */
  mendTip(): void {
    const last = this.#tips.get(this.#tip.tip);
    if (last !== undefined && this.placeOf(last.ref.digest) === "rejected")
      this.#tip = this.#lanes()[this.index] ?? this.#tip;
  }

  /** Answers whether it was not held yet. */
  hold(held: HeldBundle): boolean {
    const isNew = !this.#held.has(held.ref.digest);
    this.#held.set(held.ref.digest, held);
    this.#tips.set(held.ref.tip, held);
    return isNew;
  }

  get held(): IterableIterator<HeldBundle> {
    return this.#held.values();
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

  isAccepted(bundle: Hash, vertex: number | null): boolean {
    const status = this.#status.get(bundle);
    return vertex === null ? status?.place === "accepted" : status?.accepted.has(vertex) === true;
  }

  isRejected(bundle: Hash, vertex: number): boolean {
    return this.#status.get(bundle)?.rejected.has(vertex) === true;
  }

  placeOf(bundle: Hash): Status["place"] {
    return this.#status.get(bundle)?.place ?? "open";
  }

  winnerOf(set: Hash): Hash | undefined {
    return this.#winners.get(set);
  }

  /** Held bundles above a frontier, by creator and nonce. */
  above(frontier: readonly Nonce[]): readonly HeldBundle[] {
    return [...this.#held.values()]
      .filter(({ ref }) => ref.firstNonce > (frontier[ref.creator] ?? 0))
      .sort((left, right) => left.ref.creator - right.ref.creator || left.ref.firstNonce - right.ref.firstNonce);
  }

  claimOf({ ref: { digest, count } }: HeldBundle, isForEpoch: boolean): DagClaim {
    const claim = this.core.claimOf(digest, isForEpoch);
    if (claim !== null) return claim;
    const status = this.#status.get(digest);
    const undecided = Array.from({ length: count }, (_, vertex) => vertex).filter(
      (vertex) => status?.accepted.has(vertex) !== true && status?.rejected.has(vertex) !== true,
    );
    const rejected = [...(status?.rejected ?? [])].sort((left, right) => left - right);
    return { bundle: digest, state: status?.place ?? "open", undecided, rejected };
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
    return this.#isSettled(ref) && this.core.claimOf(ref.digest) === null ? status.place : null;
  }

  /** What a process that begins finds on its disk: what is open or was accepted, parents before children. */
  restored(): DagRestored {
    const open: DagOpen[] = [];
    const reached = new Set<Hash>();
    const isThere = (tip: Hash): boolean => {
      if (tip === this.network.genesis) return true;
      const parent = this.#tips.get(tip)?.ref.digest;
      return parent !== undefined && reached.has(parent);
    };
    const left = new Set([...this.#held.values()].filter(({ ref }) => this.placeOf(ref.digest) !== "rejected"));
    for (let before = -1; before !== left.size; ) {
      before = left.size;
      for (const held of left) {
        if (!held.bundle.parents.every(isThere)) continue;
        left.delete(held);
        reached.add(held.ref.digest);
        open.push(this.#openOf(held));
      }
    }
    // Whatever waited for a parent is fetched again with it.
    for (const { ref } of left) this.#drop(ref);
    return { lanes: this.#lanes(), open };
  }

  /** Lets go of what its engine keeps waiting for a parent. */
  dropOrphans(): void {
    const { orphans } = this.inside.graph;
    for (const { ref } of [...this.#held.values()]) if (orphans.has(ref.digest)) this.#drop(ref);
  }

  write(writes: readonly DurableWrite[]): void {
    for (const { key, value } of writes) {
      if (value === null) this.disk.delete(key);
      else this.disk.set(key, value);
    }
  }

  decide(decisions: readonly DagDecision[], nowMs: number): void {
    for (const { bundle, place, accepted, rejected } of decisions) {
      const held = present(this.#held.get(bundle), "a decided bundle");
      const status = this.#statusOf(bundle);
      if (place !== null) {
        this.#require(
          "agreement",
          status.place === "open" || status.place === place,
          "a place is decided once",
          bundle,
        );
        status.place = place;
      }
      for (const vertex of accepted) this.#accept(held, status, vertex, nowMs);
      for (const vertex of rejected) {
        this.#require("agreement", !status.accepted.has(vertex), "what is accepted stays so", bundle);
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
    const { digest } = held.ref;
    const isOpen = !status.accepted.has(vertex) && !status.rejected.has(vertex);
    this.#require("agreement", isOpen, `vertex ${vertex} is decided once`, digest);
    this.#require("ancestors-first", status.place === "accepted", "a vertex after its bundle's place", digest);
    for (const parent of held.bundle.parents) {
      const before = this.#tips.get(parent);
      const isThere =
        parent === this.network.genesis || (before !== undefined && this.placeOf(before.ref.digest) === "accepted");
      this.#require("ancestors-first", isThere, "ancestors before descendants", digest);
    }
    status.accepted.add(vertex);
    const id = present(held.vertexIds[vertex], "a vertex id");
    this.order.push(id);
    this.finalAtMs.set(id, nowMs);
    const payload = present(held.bundle.payloads[vertex], "a payload");
    for (const key of openEnvelope(payload)?.conflictKeys ?? []) {
      const set = conflictSetOf(key);
      this.#require("agreement", (this.#winners.get(set) ?? id) === id, `conflict set ${set} has one winner`, digest);
      this.#winners.set(set, id);
    }
  }

  #require(code: "agreement" | "ancestors-first", condition: boolean, what: string, bundle: Hash): void {
    if (!condition) throw new DagViolation(code, `member ${this.index}, bundle ${bundle}: ${what}`);
  }

  #drop({ digest, tip }: HeldBundle["ref"]): void {
    this.#held.delete(digest);
    this.#tips.delete(tip);
  }

  #openOf(held: HeldBundle): DagOpen {
    const status = this.#status.get(held.ref.digest);
    const sorted = (list: ReadonlySet<number> | undefined): readonly number[] => {
      return [...(list ?? [])].sort((left, right) => left - right);
    };
    const place = status?.place === "accepted" ? "accepted" : "open";
    return { held, place, accepted: sorted(status?.accepted), rejected: sorted(status?.rejected), certified: [] };
  }

  #isSettled({ digest, count }: HeldBundle["ref"]): boolean {
    const status = this.#status.get(digest);
    if (status === undefined || status.place === "open") return false;
    return status.place === "rejected" || status.accepted.size + status.rejected.size === count;
  }

  #lanes(): readonly LaneTip[] {
    const { genesis, set } = this.network;
    const lanes: LaneTip[] = set.roster.map(() => ({ nonce: 0 as Nonce, tip: genesis }));
    for (const { ref } of this.#held.values()) {
      if (this.placeOf(ref.digest) !== "accepted") continue;
      const nonce = (ref.firstNonce + ref.count - 1) as Nonce;
      if (nonce > (lanes[ref.creator]?.nonce ?? 0)) lanes[ref.creator] = { nonce, tip: ref.tip };
    }
    return lanes;
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
