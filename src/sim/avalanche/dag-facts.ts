import type { HeldBundle } from "../../dag/bundle.ts";
import { conflictSetOf, forkSetOf, openEnvelope } from "../../dag/conflict-keys.ts";
import { BUNDLE_VERTICES_MAX } from "../../dag/limits.ts";
import { type Unit, unitKey } from "../../dag/unit.ts";
import type { VoteEntry } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";

const NONE: readonly never[] = [];

/** What is true of the bundles that reached anybody correct: their sets, members and parents. */
export class DagFacts {
  readonly #bundles = new Map<Hash, HeldBundle>();
  readonly #byTip = new Map<Hash, HeldBundle>();
  readonly #sets = new Map<string, readonly Hash[]>();
  readonly #members = new Map<Hash, Unit[]>();
  /** By a parent's last vertex: it may come later than they. */
  readonly #children = new Map<Hash, Hash[]>();

  add(held: HeldBundle): void {
    const { digest } = held.ref;
    if (this.#bundles.has(digest)) return;
    this.#bundles.set(digest, held);
    this.#byTip.set(held.ref.tip, held);
    for (const tip of held.bundle.parents) this.#children.set(tip, [...(this.#children.get(tip) ?? NONE), digest]);
    this.#join({ bundle: digest, vertex: null }, [forkSetOf(held.ref)]);
    held.bundle.payloads.forEach((payload, vertex) => {
      const keys = openEnvelope(payload)?.conflictKeys ?? NONE;
      if (keys.length > 0) this.#join({ bundle: digest, vertex }, keys.map(conflictSetOf));
    });
  }

  get bundles(): IterableIterator<HeldBundle> {
    return this.#bundles.values();
  }

  get sets(): IterableIterator<Hash> {
    return this.#members.keys();
  }

  byTip(tip: Hash): HeldBundle | undefined {
    return this.#byTip.get(tip);
  }

  get(bundle: Hash): HeldBundle | undefined {
    return this.#bundles.get(bundle);
  }

  vertices(bundle: Hash): readonly { readonly bundle: Hash; readonly vertex: number }[] {
    const count = this.#bundles.get(bundle)?.ref.count ?? 0;
    return Array.from({ length: count }, (_, vertex) => ({ bundle, vertex }));
  }

  setsOf(unit: Unit): readonly Hash[] {
    return this.#sets.get(unitKey(unit)) ?? NONE;
  }

  membersOf(set: Hash): readonly Unit[] {
    return this.#members.get(set) ?? NONE;
  }

  childrenOf(bundle: Hash): readonly Hash[] {
    const tip = this.#bundles.get(bundle)?.ref.tip;
    return tip === undefined ? NONE : (this.#children.get(tip) ?? NONE);
  }

  /** Digests of the parents that are known. */
  parentsOf(bundle: Hash): readonly Hash[] {
    const parents = this.#bundles.get(bundle)?.bundle.parents ?? NONE;
    return parents.flatMap((tip) => this.#byTip.get(tip)?.ref.digest ?? NONE);
  }

  /** The units that a vote covers; of a bundle that is not known yet, those that the simulator's bundles can have. */
  keysOf({ bundle, except }: VoteEntry): readonly string[] {
    const count = this.#bundles.get(bundle)?.ref.count ?? Math.min(SIM_VERTICES_MAX, BUNDLE_VERTICES_MAX);
    const keys: string[] = [bundle];
    for (let vertex = 0; vertex < count; vertex++) if (!except.includes(vertex)) keys.push(unitKey({ bundle, vertex }));
    return keys;
  }

  #join(unit: Unit, sets: readonly Hash[]): void {
    this.#sets.set(unitKey(unit), sets);
    for (const set of sets) this.#members.set(set, [...(this.#members.get(set) ?? NONE), unit]);
  }
}

/** The most vertices that a bundle of a simulated run has. */
export const SIM_VERTICES_MAX = 8;
