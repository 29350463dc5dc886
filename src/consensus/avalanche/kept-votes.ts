import { type Codec, decode, encode } from "../../codec/codec.ts";
import { u64 } from "../../codec/primitives.ts";
import { DecodeError } from "../../codec/reader.ts";
import { hashOf } from "../../crypto/hash.ts";
import { signedVotesCodec, type Votes } from "../../dag/votes.ts";
import { present } from "../../lib/assert.ts";
import { HASH_BYTES, type Hash, hashBytes } from "../../lib/hash.ts";
import type { Signed } from "../../membership/seal.ts";
import type { DurableWrite } from "../engine.ts";

const PREFIX = "dag/heard/";

/** About one message: a seal of 4.7 kB and what a turn votes for. */
const ROW_BYTES_HINT = 8_192;

/** The number of a row. Bundles name dozens of rows each, so a name is no digest. */
export type VotesNumber = number;

export const votesNumberCodec: Codec<VotesNumber> = u64;

/** One message, and how many bundles need its row. */
interface Kept {
  readonly number: VotesNumber;
  count: number;
}

/**
 * Votes of all validators on this node's disk, for what it must be able to show after a crash: who commits holds the accepts
 * that its commit rests on, as PBFT holds a prepared certificate (Castro & Liskov 1999, §4.4). One message votes for all bundles
 * of a turn, so it has one row, and the bundles' own rows name those that they need.
 *
 * Invariant: a row that an open bundle's row names is on the disk, in the same write or before; one that none names is
 * deleted by the end of the step, or at the next start. So there are at most as many as open bundles need.
 */
export class KeptVotes {
  /** Those that are on the disk. */
  readonly #kept = new Map<Signed<Votes>, Kept>();
  readonly #ofBundle = new Map<Hash, readonly Signed<Votes>[]>();
  readonly #unneeded = new Set<Signed<Votes>>();
  #next: VotesNumber = 1;

  /** What the disk has; nobody needs it so far. */
  restore(rows: ReadonlyMap<VotesNumber, Signed<Votes>>): void {
    for (const [number, signed] of rows) {
      this.#kept.set(signed, { number, count: 0 });
      this.#unneeded.add(signed);
      this.#next = Math.max(this.#next, number + 1);
    }
  }

  /** From now on a bundle needs these and no others. Answers the rows that must be written with that. */
  need(bundle: Hash, votes: readonly Signed<Votes>[]): readonly DurableWrite[] {
    const writes: DurableWrite[] = [];
    for (const signed of votes) {
      let kept = this.#kept.get(signed);
      if (kept === undefined) {
        kept = { number: this.#next++, count: 0 };
        this.#kept.set(signed, kept);
        writes.push({ key: PREFIX + kept.number, value: encodeRow(signed) });
      }
      if (kept.count === 0) this.#unneeded.delete(signed);
      kept.count++;
    }
    this.release(bundle);
    if (votes.length > 0) this.#ofBundle.set(bundle, votes);
    return writes;
  }

  /** The row of a message that a bundle needs. */
  numberOf(signed: Signed<Votes>): VotesNumber {
    return present(this.#kept.get(signed), "votes that are kept").number;
  }

  /** A bundle is settled, and needs none any more. */
  release(bundle: Hash): void {
    for (const signed of this.#ofBundle.get(bundle) ?? []) {
      const kept = present(this.#kept.get(signed), "votes that are kept");
      kept.count--;
      if (kept.count === 0) this.#unneeded.add(signed);
    }
    this.#ofBundle.delete(bundle);
  }

  /** So many of them, those first that are on the disk already. */
  pick(votes: readonly Signed<Votes>[], count: number): readonly Signed<Votes>[] {
    const picked: Signed<Votes>[] = [];
    const others: Signed<Votes>[] = [];
    for (const signed of votes) {
      if (picked.length === count) return picked;
      (this.#kept.has(signed) ? picked : others).push(signed);
    }
    for (const signed of others) if (picked.length < count) picked.push(signed);
    return picked;
  }

  /** Deletions, for the end of a step: what one bundle let go of another one may have needed since. */
  takeUnneeded(): readonly DurableWrite[] {
    const writes: DurableWrite[] = [];
    for (const signed of this.#unneeded) {
      writes.push({ key: PREFIX + this.numberOf(signed), value: null });
      this.#kept.delete(signed);
    }
    this.#unneeded.clear();
    return writes;
  }
}

/** Behind its digest: nothing else would tell that a row is not what was written. */
function encodeRow(signed: Signed<Votes>): Uint8Array {
  const content = encode(signedVotesCodec, signed, ROW_BYTES_HINT);
  const row = new Uint8Array(HASH_BYTES + content.length);
  row.set(hashBytes(hashOf("kept-votes", content)));
  row.set(content, HASH_BYTES);
  return row;
}

/** The messages on the disk, by their rows' numbers. @throws DecodeError where a row is damaged */
export function restoreKeptVotes(
  rows: readonly { readonly key: string; readonly value: Uint8Array }[],
): ReadonlyMap<VotesNumber, Signed<Votes>> {
  const kept = new Map<VotesNumber, Signed<Votes>>();
  for (const { key, value } of rows) {
    if (!key.startsWith(PREFIX)) continue;
    const content = value.subarray(HASH_BYTES);
    const number = Number(key.slice(PREFIX.length));
    const isWhole = Number.isSafeInteger(number) && number >= 1 && value.length > HASH_BYTES;
    if (!isWhole || value.subarray(0, HASH_BYTES).toHex() !== hashOf("kept-votes", content))
      throw new DecodeError("not-canonical", 0, `row ${key} is not what was written under it`);
    kept.set(number, decode(signedVotesCodec, content));
  }
  return kept;
}
