import { describe, expect, test } from "bun:test";
import { createApplication } from "../../examples/counters.ts";
import { KeyValueStore } from "../replication/key-value/key-value-store.ts";
import { encodeKvCommand } from "../replication/key-value/kv-command.ts";
import { encodeQuestion } from "../replication/key-value/kv-query.ts";
import { type Application, type CommandContext, CommandRejected } from "../replication/replicated.ts";
import { ApplicationCheckFailed, checkApplication } from "./check-application.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A list of texts, done right; each flaw below is one method done wrong. */
class Notes implements Application {
  readonly name: string = "notes";
  notes: string[] = [];

  apply(command: Uint8Array, _context: CommandContext): Uint8Array {
    const note = text(command);
    if (!/^[a-z ]{1,20}$/.test(note)) throw new CommandRejected("a note is 1 to 20 small letters");
    this.notes.push(note);
    return bytes(String(this.notes.length));
  }

  query(_question: Uint8Array): Uint8Array {
    return bytes(String(this.notes.length));
  }

  snapshot(): Iterable<Uint8Array> {
    return this.notes.map(bytes);
  }

  restore(chunks: Iterable<Uint8Array>): void {
    this.notes = [...chunks].map(text);
  }

  stateHash(): Uint8Array {
    return new Bun.CryptoHasher("sha256").update(JSON.stringify(this.notes)).digest();
  }
}

const COMMANDS = ["one", "two", "Three", "four", "five", "six", "seven"];

function flawOf(make: () => Application): string {
  try {
    checkApplication(make, COMMANDS, { questions: ["how many?"] });
  } catch (error) {
    if (error instanceof ApplicationCheckFailed) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "none";
}

describe("a check of an application", () => {
  test("finds nothing in those that are sound, and says what it tried", () => {
    expect(checkApplication(() => new Notes(), COMMANDS, { questions: ["?"] })).toEqual({
      commands: 24,
      applied: 18,
      rejected: 6,
      snapshots: 8,
    });
    expect(checkApplication(() => new Notes(), COMMANDS, { isHostile: false })).toMatchObject({
      commands: 7,
      rejected: 1,
    });
    expect(checkApplication(() => new Notes(), [], { isHostile: false })).toMatchObject({ commands: 0, snapshots: 1 });
    const counts = Array.from({ length: 30 }, (_, at) => JSON.stringify({ counter: `c${at % 4}`, add: at }));
    expect(checkApplication(createApplication, counts, { questions: ["c1", "none"] }).applied).toBeGreaterThan(29);
    const puts = ["a", "b", "a"].map((key) => encodeKvCommand({ kind: "put", key, value: bytes(key) }));
    const questions = [encodeQuestion({ kind: "get", key: "a" })];
    expect(checkApplication(() => new KeyValueStore(), puts, { questions }).applied).toBeGreaterThan(2);
  });

  test("leaves the world as it was", () => {
    const before = [Date, Date.now, performance.now, crypto.randomUUID, setTimeout];
    checkApplication(() => new Notes(), COMMANDS);
    expect([Date, Date.now, performance.now, crypto.randomUUID, setTimeout]).toEqual(before);
    expect(Object.hasOwn(crypto, "randomUUID")).toBe(false);
  });

  let made = 0;
  const FLAWS: readonly (readonly [string, string, () => Application])[] = [
    [
      "throws something else than a refusal",
      "threw",
      () =>
        new (class extends Notes {
          override apply(command: Uint8Array, context: CommandContext): Uint8Array {
            if (command.length === 0) throw new TypeError("nothing");
            return super.apply(command, context);
          }
        })(),
    ],
    [
      "asks for the time",
      'ambient: apply of command 4 "one" asked for Date.now',
      () =>
        new (class extends Notes {
          override apply(command: Uint8Array, context: CommandContext): Uint8Array {
            super.apply(command, context);
            return bytes(String(Date.now()));
          }
        })(),
    ],
    [
      "makes a date of now",
      "ambient",
      () =>
        new (class extends Notes {
          override stateHash(): Uint8Array {
            if (this.notes.length > 3) new Date().toISOString();
            return super.stateHash();
          }
        })(),
    ],
    [
      "answers with a promise",
      "bad-bytes",
      () =>
        new (class extends Notes {
          override apply(): Uint8Array {
            return Promise.resolve(new Uint8Array(0)) as never;
          }
        })(),
    ],
    [
      "has a hash of another size",
      "bad-bytes",
      () =>
        new (class extends Notes {
          override stateHash(): Uint8Array {
            return new Uint8Array(20);
          }
        })(),
    ],
    [
      "depends on what differs from instance to instance",
      "not-deterministic",
      () => {
        made += 1;
        const mine = made;
        return new (class extends Notes {
          override apply(command: Uint8Array, context: CommandContext): Uint8Array {
            super.apply(command, context);
            return bytes(String(mine));
          }
        })();
      },
    ],
    [
      "changes something before it refuses",
      "changed-state",
      () =>
        new (class extends Notes {
          override apply(command: Uint8Array, context: CommandContext): Uint8Array {
            this.notes.push("attempt");
            return super.apply(command, context);
          }
        })(),
    ],
    [
      "counts its questions",
      "changed-state",
      () =>
        new (class extends Notes {
          override query(): Uint8Array {
            this.notes.push("asked");
            return new Uint8Array(0);
          }
        })(),
    ],
    [
      "keeps a command's own bytes",
      "kept-bytes",
      () => {
        return new (class extends Notes {
          readonly #own: Uint8Array[] = [];
          override apply(command: Uint8Array, context: CommandContext): Uint8Array {
            const answer = super.apply(command, context);
            this.#own.push(command);
            return answer;
          }
          override stateHash(): Uint8Array {
            return new Bun.CryptoHasher("sha256").update(this.#own.map(text).join()).digest();
          }
        })();
      },
    ],
    [
      "leaves some of the state out of its hash",
      "coarse-hash",
      () =>
        new (class extends Notes {
          override stateHash(): Uint8Array {
            return new Bun.CryptoHasher("sha256").update(this.notes.slice(0, 2).join()).digest();
          }
        })(),
    ],
    [
      "reads its state when the snapshot is read",
      "late-snapshot",
      () =>
        new (class extends Notes {
          override *snapshot(): Generator<Uint8Array> {
            for (const note of this.notes) yield bytes(note);
          }
        })(),
    ],
    [
      "adds what it restores to what it has",
      "bad-restore",
      () =>
        new (class extends Notes {
          override restore(chunks: Iterable<Uint8Array>): void {
            this.notes.push(...[...chunks].map(text));
          }
        })(),
    ],
  ];

  test.each(FLAWS)("finds one that %s", (_, code, make) => {
    expect(flawOf(make)).toStartWith(code);
  });
});
