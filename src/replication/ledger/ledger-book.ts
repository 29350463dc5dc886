import { type Codec, encode } from "../../codec/codec.ts";
import { union, variant } from "../../codec/composites.ts";
import { string, u64 } from "../../codec/primitives.ts";
import { digestOf, hashOf } from "../../crypto/hash.ts";
import { assert } from "../../lib/assert.ts";
import { HashTrie } from "../hash-trie.ts";
import { packChunks, unpackChunks } from "../snapshot-chunks.ts";
import { SortedEntries } from "../sorted-entries.ts";
import { AMOUNT_MAX, amountCodec } from "./amount.ts";
import type { AccountLine } from "./balance-sheet.ts";
import type { AllowanceLine } from "./ledger-query.ts";
import { ACCOUNT_NAME_CHARS_MAX, isAccountName, ownerOf } from "./owners.ts";

interface AccountEntry {
  readonly kind: "account";
  /** Its name. */
  readonly key: string;
  readonly balance: bigint;
  /** How many transfers its owner has made of it. */
  readonly applied: number;
}

interface AllowanceEntry {
  readonly kind: "allowance";
  /** Account and spender with a space between them, which sorts below every character of a name. */
  readonly key: string;
  readonly amount: bigint;
}

type BookEntry = AccountEntry | AllowanceEntry;

/** Two names and a space. */
const KEY_CHARS_MAX = 2 * ACCOUNT_NAME_CHARS_MAX + 1;

const key: Codec<string> = string(KEY_CHARS_MAX);

const entryCodec: Codec<BookEntry> = union<BookEntry>({
  account: variant("account", { key, balance: amountCodec, applied: u64 }),
  allowance: variant("allowance", { key, amount: amountCodec }),
});

/**
 * The state of an ordered ledger: accounts and allowances. What is empty is not there, so that the state is a function of what
 * every account has and may. Its hash is that of a Merkle tree, found anew along the paths that a batch touched.
 */
export class LedgerBook {
  readonly #accounts = new SortedEntries<AccountEntry>(compare);
  readonly #allowances = new SortedEntries<AllowanceEntry>(compare);
  /** How many allowances the accounts of an owner have given, where any. */
  readonly #given = new Map<string, number>();
  readonly #trie = new HashTrie<BookEntry>();
  /** Keys whose place in the trie is not yet what it has to be: those of one batch. */
  readonly #touched = new Set<string>();

  /**
   * @param chunks as `snapshot` gives them
   * @throws DecodeError, Error where the chunks are no state
   */
  static restored(chunks: Iterable<Uint8Array>): LedgerBook {
    const book = new LedgerBook();
    let last = "";
    for (const entry of unpackChunks(entryCodec, chunks)) {
      const fault = entryFault(entry);
      if (fault !== null) throw new Error(`${JSON.stringify(entry.key)} ${fault}`);
      const path = pathOf(entry);
      if (path <= last) throw new Error(`${JSON.stringify(entry.key)} is out of its place`);
      last = path;
      book.#put(entry);
    }
    return book;
  }

  get accounts(): number {
    return this.#accounts.size;
  }

  get allowances(): number {
    return this.#allowances.size;
  }

  account(name: string): AccountLine {
    const { balance, applied } = this.#accounts.get(name) ?? { balance: 0n, applied: 0 };
    return { name, balance, applied };
  }

  hasAccount(name: string): boolean {
    return this.#accounts.get(name) !== null;
  }

  allowance(account: string, spender: string): bigint {
    return this.#allowances.get(`${account} ${spender}`)?.amount ?? 0n;
  }

  /** How many allowances this owner's accounts have given. */
  givenBy(owner: string): number {
    return this.#given.get(owner) ?? 0;
  }

  setAccount({ name, balance, applied }: AccountLine): void {
    assert(balance >= 0n && balance <= AMOUNT_MAX, `a balance of ${balance}`);
    this.#put({ kind: "account", key: name, balance, applied });
  }

  setAllowance({ account, spender, amount }: AllowanceLine): void {
    assert(amount >= 0n && amount <= AMOUNT_MAX, `an allowance of ${amount}`);
    this.#put({ kind: "allowance", key: `${account} ${spender}`, amount });
  }

  /** In ascending order of the names, from the first that is not below this one. The book must not change meanwhile. */
  *accountsFrom(name: string): Generator<AccountLine> {
    for (const { key: found, balance, applied } of this.#accounts.ascending(name)) {
      yield { name: found, balance, applied };
    }
  }

  /** Of one account, in ascending order of the spenders, as `accountsFrom`. */
  *allowancesFrom(account: string, spender: string): Generator<AllowanceLine> {
    for (const { key: found, amount } of this.#allowances.ascending(`${account} ${spender}`)) {
      const [owned = "", allowed = ""] = found.split(" ");
      if (owned !== account) return;
      yield { account, spender: allowed, amount };
    }
  }

  snapshot(): Iterable<Uint8Array> {
    this.#settleTrie();
    return packChunks(this.#trie.freeze(), encodedEntry);
  }

  stateHash(): Uint8Array {
    this.#settleTrie();
    return digestOf("ledger-root", this.#trie.digest());
  }

  #put(entry: BookEntry): void {
    const isThere = !isEmpty(entry);
    this.#touched.add(entry.key);
    if (entry.kind === "account") {
      if (isThere) this.#accounts.set(entry);
      else this.#accounts.delete(entry.key);
      return;
    }
    const owner = ownerOf(entry.key);
    const was = this.#allowances.get(entry.key) === null ? 0 : 1;
    const given = this.givenBy(owner) + (isThere ? 1 : 0) - was;
    if (given === 0) this.#given.delete(owner);
    else this.#given.set(owner, given);
    if (isThere) this.#allowances.set(entry);
    else this.#allowances.delete(entry.key);
  }

  /** What is written several times in a batch is hashed once. */
  #settleTrie(): void {
    for (const touched of this.#touched) {
      const entry = touched.includes(" ") ? this.#allowances.get(touched) : this.#accounts.get(touched);
      if (entry === null) this.#trie.delete(pathOf({ key: touched }));
      else this.#trie.set({ path: pathOf(entry), digest: hashOf("ledger-line", encodedEntry(entry)), value: entry });
    }
    this.#touched.clear();
    assert(this.#trie.size === this.#accounts.size + this.#allowances.size, "the trie holds every line");
  }
}

/** One that nobody ever paid, and that never paid anybody, is none; so is an allowance of nothing. */
function isEmpty(entry: BookEntry): boolean {
  return entry.kind === "account" ? entry.balance === 0n && entry.applied === 0 : entry.amount === 0n;
}

function entryFault(entry: BookEntry): string | null {
  const names = entry.key.split(" ");
  if (names.length !== (entry.kind === "account" ? 1 : 2) || !names.every(isAccountName)) return "is no name";
  return isEmpty(entry) ? "is empty" : null;
}

function pathOf({ key: named }: Pick<BookEntry, "key">): ReturnType<typeof hashOf> {
  return hashOf("ledger-path", encode(key, named, KEY_CHARS_MAX + 8));
}

function encodedEntry(entry: BookEntry): Uint8Array {
  return encode(entryCodec, entry, 192);
}

/** Names are ASCII. */
function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
