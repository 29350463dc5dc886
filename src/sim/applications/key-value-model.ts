import { present } from "../../lib/assert.ts";
import { equalBytes } from "../../lib/bytes.ts";
import type { Position } from "../../membership/ids.ts";
import type { Entry } from "../../replication/key-value/entry.ts";
import { KeyValueStore } from "../../replication/key-value/key-value-store.ts";
import {
  CONFLICT,
  decodeKvCommand,
  encodeConflict,
  encodeKvCommand,
  encodeWritten,
  type Expected,
  type KvWrite,
  type KvWritten,
  MALFORMED,
} from "../../replication/key-value/kv-command.ts";
import {
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  type KvAnswer,
  type KvQuestion,
  RANGE_ENTRIES_MAX,
} from "../../replication/key-value/kv-query.ts";
import type { Random } from "../random.ts";
import type {
  ApplicationModel,
  CommandPlace,
  Finding,
  ModelAnswer,
  Query,
  TestedApplication,
} from "./tested-application.ts";

/** So few that clients write the same ones, and all of them fit into one answer. */
const KEYS: readonly string[] = ["a", "b", "b/1", "b/2", "c", "d", "e", "z/longer"];

const VALUE_BYTES_MAX = 24;

type Entries = ReadonlyMap<string, Entry>;

const EVERYTHING: KvQuestion = {
  kind: "range",
  prefix: "",
  from: null,
  to: null,
  limit: RANGE_ENTRIES_MAX,
  reverse: false,
};

export function testedKeyValue(): TestedApplication {
  return {
    name: "key-value",
    takeChanges: (application) => (application instanceof KeyValueStore ? application.takeChanges() : NO_CHANGES),
    newApplication: () => new KeyValueStore(),
    newModel: () => new KeyValueModel(),
    commandOf: (random) => encodeKvCommand(commandBy(random)),
    questionOf: (random) => encodeQuestion(random.chance(0.7) ? { kind: "get", key: random.pick(KEYS) } : EVERYTHING),
  };
}

const NO_CHANGES: ReturnType<KeyValueStore["takeChanges"]> = { items: [], droppedThrough: null };

/** The store as a plain map, by what docs/key-value.md says of it. */
export class KeyValueModel implements ApplicationModel {
  #entries: Entries = new Map();

  apply(body: Uint8Array, { position }: CommandPlace): ModelAnswer {
    const command = decodeKvCommand(body);
    if (command === null) return { status: "rejected", result: new Uint8Array(0), reason: MALFORMED };
    const next = new Map(this.#entries);
    const written: KvWritten[] = [];
    for (const [index, write] of (command.kind === "batch" ? command.writes : [command]).entries()) {
      const before = next.get(write.key) ?? null;
      if (write.kind === "compare-and-set" && !isAs(before, write.expected)) {
        const detail = encodeConflict({ index, current: before?.version ?? null });
        return { status: "rejected", result: detail, reason: CONFLICT };
      }
      const value = newValue(write);
      if (value === null) next.delete(write.key);
      else next.set(write.key, entryOf(write.key, value, position, before));
      written.push({ version: value === null ? null : position, previous: before?.version ?? null });
    }
    this.#entries = next;
    return { status: "applied", result: encodeWritten(written), reason: null };
  }

  audit(query: Query): Finding | null {
    const wanted = answerFrom(this.#entries, EVERYTHING);
    const found = query(encodeQuestion(EVERYTHING));
    if (equalBytes(found, encodeAnswer(wanted))) return null;
    return { invariant: "application-answer", what: `has ${shown(decodeAnswer(found))}, not ${shown(wanted)}` };
  }

  freeze(): Query {
    const entries = this.#entries;
    return (question) => encodeAnswer(answerFrom(entries, decodeQuestion(question)));
  }
}

/** For one key, and for all keys. */
function answerFrom(entries: Entries, question: KvQuestion): KvAnswer {
  if (question.kind === "get") return { kind: "get", entry: entries.get(question.key) ?? null };
  const keys = [...entries.keys()].sort((left, right) => (left < right ? -1 : 1));
  return { kind: "range", entries: keys.map((key) => present(entries.get(key), "an entry")), next: null };
}

function isAs(entry: Entry | null, expected: Expected): boolean {
  switch (expected.kind) {
    case "absent":
      return entry === null;
    case "version":
      return entry?.version === expected.version;
    case "value":
      return entry !== null && equalBytes(entry.value, expected.value);
  }
}

function newValue(write: KvWrite): Uint8Array | null {
  if (write.kind === "delete") return null;
  return write.kind === "put" ? write.value : write.next;
}

function entryOf(key: string, value: Uint8Array, position: Position, before: Entry | null): Entry {
  return { key, value: value.slice(), version: position, created: before?.created ?? position };
}

function shown(answer: KvAnswer): string {
  if (answer.kind !== "range") return answer.kind;
  return `{${answer.entries.map(({ key, value, version }) => `${key}@${version}=${value.toHex()}`).join(", ")}}`;
}

function commandBy(random: Random): Parameters<typeof encodeKvCommand>[0] {
  if (random.chance(0.8)) return writeBy(random);
  return { kind: "batch", writes: Array.from({ length: random.between(0, 4) }, () => writeBy(random)) };
}

function writeBy(random: Random): KvWrite {
  const key = random.pick(KEYS);
  const value = bytesBy(random);
  if (random.chance(0.45)) return { kind: "put", key, value };
  if (random.chance(0.2)) return { kind: "delete", key };
  return { kind: "compare-and-set", key, expected: expectedBy(random), next: random.chance(0.8) ? value : null };
}

/** Clients of this world guess: about one in three guesses holds. */
function expectedBy(random: Random): Expected {
  if (random.chance(0.5)) return { kind: "absent" };
  if (random.chance(0.2)) return { kind: "version", version: random.between(1, 60) as Position };
  return { kind: "value", value: bytesBy(random) };
}

/** Mostly one of a few values, so that guesses hold. */
function bytesBy(random: Random): Uint8Array {
  if (random.chance(0.8)) return Uint8Array.of(random.below(3));
  return Uint8Array.from({ length: random.below(VALUE_BYTES_MAX) }, () => random.below(256));
}
