import type { HeldBundle } from "../dag/bundle.ts";
import { conflictSetOf, forkSetOf, openEnvelope } from "../dag/conflict-keys.ts";
import type { Hash } from "../lib/hash.ts";
import type { Unit } from "../dag/unit.ts";
import { textOf, Violation } from "./violation.ts";

/** A bundle that reached a correct node, with what is asked of it again and again. */
export interface KnownBundle {
  readonly held: HeldBundle;
  readonly forkSet: Hash;
  /** By vertex; absent where it declares no key. */
  readonly sets: ReadonlyMap<number, readonly Hash[]>;
}

/** A vertex that carries a client's payload: issued again, a payload has several. */
export interface Carrier {
  readonly bundle: Hash;
  readonly vertex: number;
}

/** All that any correct node ever held of the DAG: what bundles say, without any opinion. */
export class DagKnowledge {
  readonly #bundles = new Map<Hash, KnownBundle>();
  readonly #byTip = new Map<Hash, Hash[]>();
  /** More than one where a creator forks: what both branches have in common has one id. */
  readonly #byVertex = new Map<Hash, Carrier[]>();
  readonly #carriers = new Map<string, Carrier[]>();
  /** The first vertex that claimed a set, and whether another did. */
  readonly #claims = new Map<Hash, { readonly first: Hash; isContested: boolean }>();

  add(held: HeldBundle): void {
    const { digest, tip } = held.ref;
    if (this.#bundles.has(digest)) return;
    const sets = new Map<number, readonly Hash[]>();
    held.bundle.payloads.forEach((payload, vertex) => {
      const envelope = openEnvelope(payload);
      const carrier: Carrier = { bundle: digest, vertex };
      const id = held.vertexIds[vertex];
      if (id !== undefined) this.#byVertex.set(id, [...(this.#byVertex.get(id) ?? []), carrier]);
      if (envelope === null) return;
      const text = textOf(envelope.payload);
      this.#carriers.set(text, [...(this.#carriers.get(text) ?? []), carrier]);
      if (envelope.conflictKeys.length === 0 || id === undefined) return;
      const ofVertex = envelope.conflictKeys.map(conflictSetOf);
      sets.set(vertex, ofVertex);
      for (const set of ofVertex) this.#claim(set, id);
    });
    this.#bundles.set(digest, { held, forkSet: forkSetOf(held.ref), sets });
    this.#byTip.set(tip, [...(this.#byTip.get(tip) ?? []), digest]);
  }

  bundles(): Iterable<KnownBundle> {
    return this.#bundles.values();
  }

  find(digest: Hash): KnownBundle | undefined {
    return this.#bundles.get(digest);
  }

  /** @throws Violation where no correct node ever held it */
  get(digest: Hash, who: string): KnownBundle {
    const known = this.#bundles.get(digest);
    if (known === undefined) throw new Violation("validity", `${who} bundle ${digest}, which no correct node holds`);
    return known;
  }

  /** The bundles of which this is the last vertex: the branches of a fork may end alike. */
  byTip(tip: Hash): readonly Hash[] {
    return this.#byTip.get(tip) ?? [];
  }

  byVertex(id: Hash): readonly Carrier[] {
    return this.#byVertex.get(id) ?? [];
  }

  /** The vertices with this client's payload. */
  carriersOf(text: string): readonly Carrier[] {
    return this.#carriers.get(text) ?? [];
  }

  /** A place's fork set, or what a vertex declares. */
  setsOf({ bundle, vertex }: Unit): readonly Hash[] {
    const known = this.#bundles.get(bundle);
    if (known === undefined) return [];
    return vertex === null ? [known.forkSet] : (known.sets.get(vertex) ?? []);
  }

  /** Whether another vertex claims one of the keys of this one. */
  isContested(unit: Unit): boolean {
    return this.setsOf(unit).some((set) => this.#claims.get(set)?.isContested === true);
  }

  #claim(set: Hash, id: Hash): void {
    const known = this.#claims.get(set);
    if (known === undefined) this.#claims.set(set, { first: id, isContested: false });
    else if (known.first !== id) known.isContested = true;
  }
}
