import { decode, encode } from "../../codec/codec.ts";
import { DecodeError } from "../../codec/reader.ts";
import { hashOf } from "../../crypto/hash.ts";
import { signedVotesCodec, type Votes } from "../../dag/votes.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Signed } from "../../membership/seal.ts";
import type { DurableWrite } from "../engine.ts";

const PREFIX = "dag/heard/";

/** About one message: a seal of 4.7 kB and what a turn votes for. */
const ROW_BYTES_HINT = 8_192;

/**
 * Votes of all validators on this node's disk, for what it must be able to show after a crash: who commits holds the accepts
 * that its commit rests on, as PBFT holds a prepared certificate (Castro & Liskov 1999, §4.4). One message votes for all bundles
 * of a turn, so it has one row, named after its content, and the bundles' own rows name those that they need.
 *
 * Invariant: a row that an open bundle's row names is on the disk, in the same write or before; one that none names is
 * deleted by the end of the step, or at the next start. So there are at most as many as open bundles need.
 */
export class KeptVotes {
  /** How many bundles need a row that is on the disk, 0 until the step's end. */
  readonly #counts = new Map<Hash, number>();
  readonly #ofBundle = new Map<Hash, ReadonlySet<Hash>>();
  readonly #unneeded = new Set<Hash>();
  readonly #names = new WeakMap<Signed<Votes>, Hash>();

  /** What the disk has, by name; nobody needs it so far. */
  restore(rows: ReadonlyMap<Hash, Signed<Votes>>): void {
    for (const [name, signed] of rows) {
      this.#names.set(signed, name);
      this.#counts.set(name, 0);
      this.#unneeded.add(name);
    }
  }

  /** From now on a bundle needs these and no others. Answers their names, and the rows that must be written with that. */
  need(
    bundle: Hash,
    votes: readonly Signed<Votes>[],
  ): { readonly names: ReadonlyMap<Signed<Votes>, Hash>; readonly writes: readonly DurableWrite[] } {
    const names = new Map<Signed<Votes>, Hash>();
    const writes: DurableWrite[] = [];
    const needed = new Set<Hash>();
    for (const signed of votes) {
      const { name, value } = this.#rowOf(signed);
      names.set(signed, name);
      if (needed.has(name)) continue;
      needed.add(name);
      const count = this.#counts.get(name);
      if (count === undefined) writes.push({ key: PREFIX + name, value: value ?? encodeRow(signed) });
      this.#counts.set(name, (count ?? 0) + 1);
      this.#unneeded.delete(name);
    }
    this.release(bundle);
    if (needed.size > 0) this.#ofBundle.set(bundle, needed);
    return { names, writes };
  }

  /** A bundle is settled, and needs none any more. */
  release(bundle: Hash): void {
    for (const name of this.#ofBundle.get(bundle) ?? []) {
      const left = present(this.#counts.get(name), `the count of kept votes ${name}`) - 1;
      this.#counts.set(name, left);
      if (left === 0) this.#unneeded.add(name);
    }
    this.#ofBundle.delete(bundle);
  }

  /** So many of them, those first that are on the disk already. */
  pick(votes: readonly Signed<Votes>[], count: number): readonly Signed<Votes>[] {
    const isKept = (signed: Signed<Votes>): boolean => this.#counts.has(this.#names.get(signed) ?? NO_NAME);
    return [...votes.filter(isKept), ...votes.filter((signed) => !isKept(signed))].slice(0, count);
  }

  /** Deletions, for the end of a step: what one bundle let go of another one may have needed since. */
  takeUnneeded(): readonly DurableWrite[] {
    const writes = [...this.#unneeded].map((name) => ({ key: PREFIX + name, value: null }));
    for (const name of this.#unneeded) this.#counts.delete(name);
    this.#unneeded.clear();
    return writes;
  }

  #rowOf(signed: Signed<Votes>): { readonly name: Hash; readonly value: Uint8Array | null } {
    const known = this.#names.get(signed);
    if (known !== undefined) return { name: known, value: null };
    const value = encodeRow(signed);
    const name = nameOf(value);
    this.#names.set(signed, name);
    return { name, value };
  }
}

const NO_NAME = "" as Hash;

function encodeRow(signed: Signed<Votes>): Uint8Array {
  return encode(signedVotesCodec, signed, ROW_BYTES_HINT);
}

/** After all of it: the seals of two turns differ under one and the same statement, and so do those of two epochs. */
function nameOf(value: Uint8Array): Hash {
  return hashOf("kept-votes", value);
}

/** The messages on the disk, by name. @throws DecodeError where a row is damaged */
export function restoreKeptVotes(
  rows: readonly { readonly key: string; readonly value: Uint8Array }[],
): ReadonlyMap<Hash, Signed<Votes>> {
  const kept = new Map<Hash, Signed<Votes>>();
  for (const { key, value } of rows) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length) as Hash;
    const signed = decode(signedVotesCodec, value);
    if (nameOf(value) !== name)
      throw new DecodeError("not-canonical", 0, `row ${key} is not what was written under it`);
    kept.set(name, signed);
  }
  return kept;
}
