import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hashOf } from "../../crypto/hash.ts";
import type { NodeId } from "../../crypto/identity.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import { type ClientId, encodeCommand } from "../command.ts";
import { type OrderedBatch, Replica } from "../replica.ts";
import { pourSnapshot } from "../snapshot.ts";
import { KeyValueStore } from "./key-value-store.ts";
import { decodeAnswer, encodeQuestion } from "./kv-query.ts";
import { encodeKvCommand, type KvCommand } from "./kv-command.ts";

const CREATOR = "c".repeat(64) as NodeId;
const clientOf = (index: number): ClientId => index.toString(16).padStart(32, "0") as ClientId;
const counter = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >> 8);

interface Said {
  readonly client: number;
  readonly number: number;
  readonly command: KvCommand;
}

function batchAt(sequence: number, firstPosition: number, list: readonly Said[]): OrderedBatch {
  return {
    sequence: sequence as Sequence,
    timestampMs: sequence,
    history: hashOf("record", counter(sequence)),
    payloads: list.map(({ client, number, command }, index) => ({
      position: (firstPosition + index) as Position,
      creator: CREATOR,
      payload: encodeCommand({ client: clientOf(client), number, body: encodeKvCommand(command) }),
    })),
  };
}

function batchesOf(lists: readonly (readonly Said[])[]): readonly OrderedBatch[] {
  let position = 1;
  return lists.map((list, index) => {
    const batch = batchAt(index + 1, position, list);
    position += list.length;
    return batch;
  });
}

function movedOn(replica: Replica): Replica {
  const chunks: Uint8Array[] = [];
  const pouring = pourSnapshot(replica.snapshot());
  let next = pouring.next();
  for (; next.done !== true; next = pouring.next()) chunks.push(next.value.bytes);
  const other = new Replica(new KeyValueStore());
  other.restore(next.value, chunks);
  return other;
}

function valueAt(replica: Replica, key: string): string | undefined {
  const answer = decodeAnswer(replica.query(encodeQuestion({ kind: "get", key })));
  return answer.kind === "get" ? answer.entry?.value.toHex() : undefined;
}

const key = fc.constantFrom("a", "b", "c");
const value = fc.nat(3).map(counter);
const command: fc.Arbitrary<KvCommand> = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), key, value }),
  fc.record({ kind: fc.constant("delete" as const), key }),
  fc.record({
    kind: fc.constant("compare-and-set" as const),
    key,
    expected: fc.record({ kind: fc.constant("value" as const), value }),
    next: fc.option(value),
  }),
);
const said = fc.record({ client: fc.nat(3), number: fc.integer({ min: 1, max: 30 }), command });
const histories = fc.array(fc.array(said, { maxLength: 15, size: "max" }), { minLength: 1, maxLength: 8, size: "max" });
const restarts = fc.array(fc.boolean(), { minLength: 8, maxLength: 8 });

describe("a replicated key-value store", () => {
  test("has one root and one set of answers, whatever snapshots it went through", () => {
    fc.assert(
      fc.property(histories, restarts, (lists, moves) => {
        const steady = new Replica(new KeyValueStore());
        let other = new Replica(new KeyValueStore());
        for (const [index, batch] of batchesOf(lists).entries()) {
          expect(other.applyBatch(batch)).toEqual([...steady.applyBatch(batch)]);
          if (moves[index] === true) other = movedOn(other);
          expect(other.root()).toBe(steady.root());
          for (const name of ["a", "b", "c"]) expect(valueAt(other, name)).toBe(valueAt(steady, name));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("counts each increment once, however often its client tries again and wherever the tries end up", () => {
    const increments = fc.integer({ min: 1, max: 40 });
    const repeats = fc.array(fc.nat(39), { maxLength: 120, size: "max" });
    fc.assert(
      fc.property(increments, repeats, restarts, (count, again, moves) => {
        const list = Array.from({ length: count }, (_, at): Said => {
          const expected = at === 0 ? ({ kind: "absent" } as const) : ({ kind: "value", value: counter(at) } as const);
          return {
            client: 1,
            number: at + 1,
            command: { kind: "compare-and-set", key: "n", expected, next: counter(at + 1) },
          };
        });
        // A try again stands behind the first one, as far behind as it likes.
        const all = again.reduce<Said[]>(
          (so, at) => {
            const first = so.findIndex(({ number }) => number === (at % count) + 1);
            const copy = so[first];
            return copy === undefined ? so : so.toSpliced(first + 1 + ((at * 7) % (so.length - first)), 0, copy);
          },
          [...list],
        );
        let replica = new Replica(new KeyValueStore());
        const size = Math.ceil(all.length / moves.length);
        const lists = moves.map((_, at) => all.slice(at * size, (at + 1) * size));
        const fresh: number[] = [];
        for (const [index, batch] of batchesOf(lists).entries()) {
          for (const handled of replica.applyBatch(batch)) {
            if (handled.kind !== "outcome") throw new Error("nobody leaves the window");
            expect(handled.outcome.status).toBe("applied");
            if (!handled.isReplay) fresh.push(handled.number);
          }
          if (moves[index] === true) replica = movedOn(replica);
        }
        expect(fresh).toEqual(list.map(({ number }) => number));
        expect(valueAt(replica, "n")).toBe(counter(count).toHex());
      }),
      { numRuns: 300 },
    );
  });
});
