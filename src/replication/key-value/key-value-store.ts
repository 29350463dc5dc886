import { encode } from "../../codec/codec.ts";
import { DecodeError } from "../../codec/reader.ts";
import { digestOf, hashOf } from "../../crypto/hash.ts";
import { assert } from "../../lib/assert.ts";
import { equalBytes } from "../../lib/bytes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Position } from "../../membership/ids.ts";
import { HashTrie } from "../hash-trie.ts";
import { type Application, type CommandContext, CommandRejected, QueryRefused } from "../replicated.ts";
import { packChunks, unpackChunks } from "../snapshot-chunks.ts";
import { SortedEntries } from "../sorted-entries.ts";
import { Changes, type TakenChanges } from "./changes.ts";
import { type Entry, entryCodec } from "./entry.ts";
import { boundCodec, compareKeys, prefixEnd } from "./key.ts";
import {
  CONFLICT,
  decodeKvCommand,
  type Expected,
  encodeConflict,
  encodeWritten,
  type KvWrite,
  type KvWritten,
  MALFORMED,
} from "./kv-command.ts";
import {
  type Bounds,
  decodeQuestion,
  encodeAnswer,
  type KvAnswer,
  type KvQuestion,
  RANGE_BYTES_MAX,
  RANGE_ENTRIES_MAX,
} from "./kv-query.ts";

/** What a command has made of the keys that it names, before it takes effect: null where a key is to go. */
type Staged = Map<string, Entry | null>;

/** Keys and values, with a version for each key. The state is the set of entries: neither order nor past are in it. */
export class KeyValueStore implements Application {
  readonly name = "key-value";
  readonly #changes = new Changes();
  #entries = new SortedEntries<Entry>(compareKeys);
  #trie = new HashTrie<Entry>();
  /** Keys whose place in the trie is not yet what it has to be: those of one batch. */
  readonly #touched = new Set<string>();

  /** The body is a `KvCommand`, the answer a list of `KvWritten`, the detail of a conflict a `KvConflict`. */
  apply(body: Uint8Array, { position }: CommandContext): Uint8Array {
    const command = decodeKvCommand(body);
    if (command === null) throw new CommandRejected(MALFORMED);
    const writes = command.kind === "batch" ? command.writes : [command];
    const staged: Staged = new Map();
    const written = writes.map((write, index) => this.#stage(staged, write, index, position));
    for (const [key, entry] of staged) this.#settle(key, entry, position);
    return encodeWritten(written);
  }

  /** The question is a `KvQuestion`, the answer a `KvAnswer` of the same kind. */
  query(question: Uint8Array): Uint8Array {
    return encodeAnswer(this.#answer(questionOf(question)));
  }

  snapshot(): Iterable<Uint8Array> {
    this.#settleTrie();
    return packChunks(this.#trie.freeze(), encodedEntry);
  }

  restore(chunks: Iterable<Uint8Array>): void {
    const entries = new SortedEntries<Entry>(compareKeys);
    const trie = new HashTrie<Entry>();
    let last = "";
    for (const { key, value, version, created } of unpackChunks(entryCodec, chunks)) {
      const entry: Entry = { key, value: value.slice(), version, created };
      const path = pathOf(key);
      if (path <= last) throw new Error(`key ${JSON.stringify(key)} is out of its place`);
      last = path;
      entries.set(entry);
      trie.set({ path, digest: digestOfEntry(entry), value: entry });
    }
    this.#entries = entries;
    this.#trie = trie;
    this.#touched.clear();
    this.#changes.clear();
  }

  stateHash(): Uint8Array {
    this.#settleTrie();
    return digestOf("kv-state", this.#trie.digest());
  }

  /** The changes since the last call, for those who watch. They are no part of the state; a restored store has none. */
  takeChanges(): TakenChanges {
    return this.#changes.take();
  }

  #stage(staged: Staged, write: KvWrite, index: number, position: Position): KvWritten {
    const { key } = write;
    const found = staged.get(key);
    const current = found === undefined ? this.#entries.get(key) : found;
    if (write.kind === "compare-and-set" && !meets(current, write.expected)) {
      throw new CommandRejected(CONFLICT, encodeConflict({ index, current: current?.version ?? null }));
    }
    const value = write.kind === "delete" ? null : write.kind === "put" ? write.value : write.next;
    // A copy: the view would keep the whole bundle that the command came in.
    const next = value && { key, value: value.slice(), version: position, created: current?.created ?? position };
    staged.set(key, next);
    return { version: next?.version ?? null, previous: current?.version ?? null };
  }

  #settle(key: string, entry: Entry | null, position: Position): void {
    if (entry !== null) this.#entries.set(entry);
    else if (this.#entries.get(key) === null) return;
    else this.#entries.delete(key);
    this.#touched.add(key);
    this.#changes.add({ position, key, value: entry?.value ?? null, version: position });
  }

  /** A key that is written several times in a batch is hashed once. */
  #settleTrie(): void {
    for (const key of this.#touched) {
      const entry = this.#entries.get(key);
      const path = pathOf(key);
      if (entry === null) this.#trie.delete(path);
      else this.#trie.set({ path, digest: digestOfEntry(entry), value: entry });
    }
    this.#touched.clear();
    assert(this.#trie.size === this.#entries.size, "the trie holds every entry");
  }

  #answer(question: KvQuestion): KvAnswer {
    if (question.kind === "get") return { kind: "get", entry: this.#entries.get(question.key) };
    const { from, to } = interval(question);
    if (question.kind === "range") return this.#range(question, from, to);
    return { kind: "count", count: Math.max(0, this.#entries.rank(to) - this.#entries.rank(from)) };
  }

  #range(question: Extract<KvQuestion, { kind: "range" }>, from: string, to: string | null): KvAnswer {
    const { limit, reverse } = question;
    const entries: Entry[] = [];
    let size = 0;
    for (const entry of reverse ? this.#entries.descending(to) : this.#entries.ascending(from)) {
      if (reverse ? compareKeys(entry.key, from) < 0 : to !== null && compareKeys(entry.key, to) >= 0) break;
      if (entries.length === limit || size >= RANGE_BYTES_MAX) {
        const next = reverse ? (entries.at(-1)?.key ?? entry.key) : entry.key;
        return { kind: "range", entries, next };
      }
      entries.push(entry);
      size += encodedEntry(entry).length;
    }
    return { kind: "range", entries, next: null };
  }
}

function questionOf(bytes: Uint8Array): KvQuestion {
  try {
    const question = decodeQuestion(bytes);
    if (question.kind === "range" && (question.limit < 1 || question.limit > RANGE_ENTRIES_MAX)) {
      throw new QueryRefused("malformed", `a limit of ${question.limit}: ask for 1 to ${RANGE_ENTRIES_MAX} entries`);
    }
    return question;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new QueryRefused("malformed", `no question to the key-value store: ${error.message}`, { cause: error });
  }
}

/** The bounds as one interval, the upper one not in it. */
function interval({ prefix, from, to }: Bounds): { readonly from: string; readonly to: string | null } {
  const end = prefixEnd(prefix);
  const isEarlier = to !== null && (end === null || compareKeys(to, end) < 0);
  return {
    from: from !== null && compareKeys(from, prefix) > 0 ? from : prefix,
    to: isEarlier ? to : end,
  };
}

function meets(current: Entry | null, expected: Expected): boolean {
  if (expected.kind === "absent") return current === null;
  if (current === null) return false;
  return expected.kind === "version" ? current.version === expected.version : equalBytes(current.value, expected.value);
}

function pathOf(key: string): Hash {
  return hashOf("kv-path", encode(boundCodec, key, 64));
}

function digestOfEntry(entry: Entry): Hash {
  return hashOf("kv-entry", encodedEntry(entry));
}

function encodedEntry(entry: Entry): Uint8Array {
  return encode(entryCodec, entry, 64 + entry.key.length + entry.value.length);
}
