import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hashOf } from "../crypto/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
import { asciiBytes } from "../lib/ascii.ts";
import { hashBytes } from "../lib/hash.ts";
import type { Position, Sequence } from "../membership/ids.ts";
import { type ClientId, encodeCommand } from "./command.ts";
import { RESULT_KEPT_BYTES } from "./outcome.ts";
import { ApplicationFault, type Handled, type OrderedBatch, Replica } from "./replica.ts";
import {
  type Application,
  CHUNK_BYTES_MAX,
  type CommandContext,
  CommandRejected,
  QueryRefused,
  REASON_CHARS_MAX,
  RESULT_BYTES_MAX,
} from "./replicated.ts";
import { type Manifest, pourSnapshot, SnapshotFault } from "./snapshot.ts";

/** Remembers all that was applied, in order, and does wrong where it is asked to. */
class Journal implements Application {
  readonly name: string = "journal";
  lines: string[] = [];
  readonly contexts: CommandContext[] = [];
  hash: () => Uint8Array = () => hashBytes(hashOf("record", new TextEncoder().encode(this.lines.join("\n"))));
  chunks: () => Iterable<Uint8Array> = () => {
    const { lines } = this;
    return lines.map((line) => new TextEncoder().encode(line));
  };

  apply(command: Uint8Array, context: CommandContext): Uint8Array {
    this.contexts.push(context);
    const line = new TextDecoder().decode(command);
    if (line === "reject") throw new CommandRejected("as you wish", Uint8Array.of(1, 2));
    if (line === "reject at length") throw new CommandRejected(`${"\ud800".repeat(1_000)}`);
    if (line === "throw") throw new TypeError("undefined is no function");
    if (line === "answer nothing") return undefined as unknown as Uint8Array;
    if (line.startsWith("answer ")) return new Uint8Array(Number(line.slice(7)));
    this.lines.push(`${context.position} ${line}`);
    return asciiBytes(String(this.lines.length));
  }

  query(question: Uint8Array): Uint8Array {
    if (question.length === 0) throw new QueryRefused("malformed", "ask something");
    if (question.length > 1) throw new TypeError("undefined is no function");
    return asciiBytes(String(this.lines.length));
  }

  snapshot(): Iterable<Uint8Array> {
    return this.chunks();
  }

  restore(chunks: Iterable<Uint8Array>): void {
    this.lines = [...chunks].map((chunk) => new TextDecoder().decode(chunk));
  }

  stateHash(): Uint8Array {
    return this.hash();
  }
}

const CREATOR = "c".repeat(64) as NodeId;
const clientOf = (index: number): ClientId => index.toString(16).padStart(32, "0") as ClientId;

type Said = readonly [client: number, number: number, body: string] | null;

/** Batches of one history: null stands for a payload that is no command. */
function batchesOf(lists: readonly (readonly Said[])[]): readonly OrderedBatch[] {
  let position = 0;
  return lists.map((list, index) => ({
    sequence: (index + 1) as Sequence,
    timestampMs: 1_000 + index,
    history: hashOf("record", Uint8Array.of(index)),
    payloads: list.map((said) => {
      position++;
      const body = said === null ? "" : said[2];
      const command = said && { client: clientOf(said[0]), number: said[1], body: asciiBytes(body) };
      const payload = command === null ? Uint8Array.of(9) : encodeCommand(command);
      return { position: position as Position, creator: CREATOR, payload };
    }),
  }));
}

interface Saved {
  readonly manifest: Manifest;
  readonly chunks: readonly Uint8Array[];
}

function save(replica: Replica): Saved {
  const chunks: Uint8Array[] = [];
  const pouring = pourSnapshot(replica.snapshot());
  for (let next = pouring.next(); ; next = pouring.next()) {
    if (next.done === true) return { manifest: next.value, chunks };
    chunks.push(next.value.bytes);
  }
}

function restored({ manifest, chunks }: Saved, application: Application = new Journal()): Replica {
  const replica = new Replica(application);
  replica.restore(manifest, chunks);
  return replica;
}

const say = (...list: readonly Said[]): OrderedBatch => batchesOf([list])[0] as OrderedBatch;

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof ApplicationFault || error instanceof SnapshotFault || error instanceof QueryRefused) {
      return error.code;
    }
    throw error;
  }
  return "nothing thrown";
}

const said = fc.option(
  fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 12 }), fc.constantFrom("a", "b", "reject", "answer 5000")),
  { freq: 9 },
);
const histories = fc.array(fc.array(said, { maxLength: 12, size: "max" }), { minLength: 1, maxLength: 8, size: "max" });

describe("a replica", () => {
  test("says and becomes the same as one that is restored from a snapshot after any of the batches", () => {
    fc.assert(
      fc.property(histories, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (lists, restarts) => {
        const steady = new Replica(new Journal());
        let other = new Replica(new Journal());
        for (const [index, batch] of batchesOf(lists).entries()) {
          expect(other.applyBatch(batch)).toEqual([...steady.applyBatch(batch)]);
          if (restarts[index] === true) other = restored(save(other));
          expect(other.root()).toBe(steady.root());
          expect([other.sequence, other.position]).toEqual([steady.sequence, steady.position]);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("applies a command once however its duplicates lie between the others, and answers each with the same outcome", () => {
    fc.assert(
      fc.property(histories, (lists) => {
        const journal = new Journal();
        const replica = new Replica(journal);
        const first = new Map<string, Handled>();
        for (const handled of batchesOf(lists).flatMap((batch) => replica.applyBatch(batch))) {
          if (handled.kind === "forgotten") throw new Error("nobody leaves the window");
          const name = `${handled.client}/${handled.number}`;
          const before = first.get(name);
          expect(handled.isReplay).toBe(before !== undefined);
          if (before === undefined) first.set(name, handled);
          else if (before.kind === "outcome") {
            const { result: _, ...rest } = before.outcome;
            expect(handled.outcome).toMatchObject(rest);
            expect(handled.outcome.position).toBeLessThan(handled.position);
          }
        }
        const ran = new Set(journal.contexts.map(({ client, number }) => `${client}/${number}`));
        expect(ran.size).toBe(journal.contexts.length);
        expect(ran.size).toBe(first.size);
      }),
      { numRuns: 300 },
    );
  });

  test("has another root for another outcome that is remembered, though the application's state is the same", () => {
    const roots = [null, [1, 1, "reject"], [1, 2, "reject"], [2, 1, "reject"], [1, 1, "answer 3"]].map((each) => {
      const replica = new Replica(new Journal());
      replica.applyBatch(say(each as Said));
      return replica.root();
    });
    expect(new Set(roots).size).toBe(roots.length);
  });

  test("does not change by a duplicate, nor by a payload that is no command", () => {
    const replica = new Replica(new Journal());
    const [one, two] = batchesOf([[[1, 1, "a"]], [[1, 1, "b"], null]]) as [OrderedBatch, OrderedBatch];
    replica.applyBatch(one);
    const root = replica.root();
    expect(replica.applyBatch(two)).toMatchObject([{ position: 2, isReplay: true, outcome: { position: 1 } }]);
    expect(replica.root()).toBe(root);
    expect(replica.position).toBe(3 as Position);
  });

  test("tells a command where it stands, with a seed of its own", () => {
    const journal = new Journal();
    new Replica(journal).applyBatch(say([1, 1, "a"], null, [2, 1, "a"]));
    const place = { sequence: 1, timestampMs: 1_000, creator: CREATOR, number: 1 };
    expect(journal.contexts).toMatchObject([
      { ...place, position: 1, client: clientOf(1) },
      { ...place, position: 3, client: clientOf(2) },
    ]);
    expect(new Set(journal.contexts.map(({ seed }) => seed.toHex())).size).toBe(2);
    expect(journal.contexts[0]?.seed).toHaveLength(32);
  });

  test("hands on a refusal with its reason and detail, and remembers it", () => {
    const replica = new Replica(new Journal());
    const refused = {
      outcome: {
        status: "rejected",
        reason: "as you wish",
        result: { kind: "bytes", bytes: Uint8Array.of(1, 2) },
      },
    };
    expect(replica.applyBatch(say([1, 1, "reject"], [1, 1, "a"]))).toMatchObject([refused, refused]);
    expect(replica.recall(clientOf(1), 1)).toMatchObject({ kind: "remembered", ...refused });
    expect(replica.recall(clientOf(1), 2)).toEqual({ kind: "unknown" });
  });

  test("cuts a reason to what can be remembered and written", () => {
    const [handled] = new Replica(new Journal()).applyBatch(say([1, 1, "reject at length"]));
    expect(handled).toMatchObject({ outcome: { reason: "\ufffd".repeat(REASON_CHARS_MAX) } });
  });

  test("gives a large result whole the first time, and its hash and size after that", () => {
    const size = RESULT_KEPT_BYTES + 1;
    const [first, again] = new Replica(new Journal()).applyBatch(say([1, 1, `answer ${size}`], [1, 1, "a"]));
    expect(first).toMatchObject({ outcome: { result: { kind: "bytes", bytes: new Uint8Array(size) } } });
    expect(again).toMatchObject({ outcome: { result: { kind: "hash", size } } });
  });

  test.each([
    ["threw", "throw"],
    ["bad-result", "answer nothing"],
    ["bad-result", `answer ${RESULT_BYTES_MAX + 1}`],
  ] as const)("stops with %s where its application does %s, and stays stopped", (code, body) => {
    const replica = new Replica(new Journal());
    const batch = say(null, [1, 1, body]);
    expect(codeOf(() => replica.applyBatch(batch))).toBe(code);
    expect(() => replica.applyBatch(batch)).toThrow("failed at position 2");
    expect(codeOf(() => replica.root())).toBe(code);
    expect(codeOf(() => replica.snapshot())).toBe(code);
  });

  test("stops where the application has no hash of its state", () => {
    const journal = new Journal();
    journal.hash = () => new Uint8Array(31);
    expect(codeOf(() => new Replica(journal).root())).toBe("bad-hash");
    journal.hash = () => {
      throw new Error("no");
    };
    expect(codeOf(() => new Replica(journal).root())).toBe("threw");
  });

  test("answers a question, and goes on where the application cannot", () => {
    const replica = new Replica(new Journal());
    replica.applyBatch(say([1, 1, "a"]));
    expect(replica.query(Uint8Array.of(1))).toEqual(asciiBytes("1"));
    expect(codeOf(() => replica.query(new Uint8Array(0)))).toBe("malformed");
    expect(codeOf(() => replica.query(new Uint8Array(2)))).toBe("failed");
    expect(replica.root()).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe("a snapshot of a replica", () => {
  const replica = new Replica(new Journal());
  replica.applyBatch(say([1, 1, "a"], [2, 1, "b"], [1, 2, "reject"]));
  const saved = save(replica);
  const { manifest, chunks } = saved;
  const other = new Uint8Array([...(chunks[0] ?? []), 0]);

  test("is of the moment when it was made, however late it is written", () => {
    const busy = new Replica(new Journal());
    const [one, two] = batchesOf([[[1, 1, "a"]], [[1, 2, "b"]]]) as [OrderedBatch, OrderedBatch];
    busy.applyBatch(one);
    const root = busy.root();
    const pouring = pourSnapshot(busy.snapshot());
    busy.applyBatch(two);
    const late: Uint8Array[] = [];
    let next = pouring.next();
    for (; next.done !== true; next = pouring.next()) late.push(next.value.bytes);
    expect(next.value).toMatchObject({ application: "journal", sequence: 1, position: 1, root });
    const back = restored({ manifest: next.value, chunks: late });
    expect(back.root()).toBe(root);
    back.applyBatch(two);
    expect(back.root()).toBe(busy.root());
  });

  test.each([
    ["format", { ...saved, manifest: { ...manifest, format: 2 } }],
    ["application", { ...saved, manifest: { ...manifest, application: "ledger" } }],
    ["chunk-count", { ...saved, chunks: chunks.slice(0, -1) }],
    ["chunk-hash", { ...saved, chunks: [other, ...chunks.slice(1)] }],
    ["root", { ...saved, manifest: { ...manifest, root: manifest.stateChunks[0] ?? manifest.root } }],
    ["root", { manifest: { ...manifest, stateChunks: manifest.stateChunks.slice(1) }, chunks: chunks.toSpliced(1, 1) }],
    [
      "not-state",
      {
        ...saved,
        manifest: { ...manifest, sessionChunks: [...manifest.sessionChunks, ...manifest.stateChunks], stateChunks: [] },
      },
    ],
  ] as const)("is refused for its %s where that is another one", (code, spoilt) => {
    expect(codeOf(() => restored(spoilt))).toBe(code);
  });

  test("is refused where the application cannot even hash what it made of the bytes of whoever sent them", () => {
    const journal = new Journal();
    const target = new Replica(journal);
    journal.hash = (): never => {
      throw new RangeError("a line that is none");
    };
    expect(codeOf(() => target.restore(manifest, chunks))).toBe("not-state");
  });

  test("can be restored after one that was refused, over a state that is there", () => {
    const target = new Replica(new Journal());
    target.applyBatch(say([9, 1, "x"]));
    expect(codeOf(() => target.restore(manifest, [other]))).toBe("chunk-hash");
    target.restore(manifest, chunks);
    expect(target.root()).toBe(replica.root());
  });

  test("is refused to whoever pours chunks that are too large", () => {
    const journal = new Journal();
    journal.chunks = () => [new Uint8Array(CHUNK_BYTES_MAX + 1)];
    expect(codeOf(() => save(new Replica(journal)))).toBe("bad-chunk");
  });
});
