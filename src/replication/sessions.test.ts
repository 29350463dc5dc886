import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Bug } from "../lib/assert.ts";
import type { Position, Sequence } from "../membership/ids.ts";
import type { ClientId } from "./command.ts";
import { encodeOutcome, type Outcome, RESULT_KEPT_BYTES } from "./outcome.ts";
import { SESSION_WINDOW } from "./sessions-record.ts";
import { type SessionLimits, Sessions } from "./sessions.ts";

const clientOf = (index: number): ClientId => index.toString(16).padStart(32, "0") as ClientId;

function outcomeAt(position: number, number: number, bytes: Uint8Array = Uint8Array.of(position & 0xff)): Outcome {
  return {
    number,
    position: position as Position,
    sequence: Math.ceil(position / 3) as Sequence,
    status: "applied",
    result: { kind: "bytes", bytes },
    reason: null,
  };
}

/** Offers commands one after the other, as a replica does; answers which were applied. */
function offer(
  sessions: Sessions,
  commands: readonly (readonly [client: number, number: number])[],
  from = 1,
): number[] {
  const applied: number[] = [];
  commands.forEach(([client, number], index) => {
    if (sessions.recall(clientOf(client), number).kind !== "unknown") return;
    sessions.record(clientOf(client), outcomeAt(from + index, number));
    applied.push(index);
  });
  return applied;
}

const SMALL: SessionLimits = { clientsMax: 3, retired: { blocksMax: 2, blockClients: 2 } };

const commands = fc.array(
  fc.tuple(fc.nat(9), fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 200 }))),
  {
    maxLength: 120,
    size: "max",
  },
);

describe("sessions", () => {
  test("let a number take effect once, in whatever order and however often it comes, retired or not", () => {
    fc.assert(
      fc.property(commands, fc.constantFrom(3, 100), (list, clientsMax) => {
        const applied = offer(new Sessions({ clientsMax }), list).map((index) => list[index]?.join("/"));
        expect(new Set(applied).size).toBe(applied.length);
      }),
      { numRuns: 500 },
    );
  });

  test("agree with a list of all that was ever applied", () => {
    fc.assert(
      fc.property(commands, (list) => {
        const sessions = new Sessions();
        const known = new Map<number, Map<number, number>>();
        for (const [index, [client, number]] of list.entries()) {
          const of = known.get(client) ?? new Map<number, number>();
          const highest = Math.max(0, ...of.keys());
          const wanted =
            number <= highest - SESSION_WINDOW || (highest === 0 && number > SESSION_WINDOW)
              ? "forgotten"
              : of.has(number)
                ? "remembered"
                : "unknown";
          const recalled = sessions.recall(clientOf(client), number);
          expect(recalled.kind).toBe(wanted);
          if (recalled.kind === "remembered") expect(recalled.outcome).toEqual(outcomeAt(of.get(number) ?? 0, number));
          if (wanted !== "unknown") continue;
          sessions.record(clientOf(client), outcomeAt(index + 1, number));
          known.set(client, of.set(number, index + 1));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("remember a window of numbers, and refuse for ever what lies below", () => {
    const sessions = new Sessions();
    offer(sessions, [
      [1, 1],
      [1, 3],
      [1, SESSION_WINDOW + 2],
    ]);
    const kinds = [1, 2, 3, 4, SESSION_WINDOW + 2, SESSION_WINDOW + 3].map(
      (number) => sessions.recall(clientOf(1), number).kind,
    );
    expect(kinds).toEqual(["forgotten", "forgotten", "remembered", "unknown", "remembered", "unknown"]);
  });

  test("retire the client that was silent longest, and refuse what it still says", () => {
    const sessions = new Sessions(SMALL);
    offer(sessions, [
      [1, 1],
      [2, 1],
      [3, 1],
      [1, 2],
      [4, 1],
    ]);
    expect(sessions.size).toBe(3);
    const kinds = [1, 2, 3, 4, 5].map((client) => sessions.recall(clientOf(client), 2).kind);
    expect(kinds).toEqual(["remembered", "forgotten", "unknown", "unknown", "unknown"]);
  });

  test("never take a late number of a client that nobody knows for its first", () => {
    const sessions = new Sessions();
    expect(sessions.recall(clientOf(1), SESSION_WINDOW).kind).toBe("unknown");
    expect(sessions.recall(clientOf(1), SESSION_WINDOW + 1)).toEqual({ kind: "forgotten", isCertain: false });
  });

  test("hold no more bytes than they may, however large the outcomes", () => {
    const sessions = new Sessions({ bytesMax: 20_000 });
    const large = new Uint8Array(RESULT_KEPT_BYTES);
    for (let client = 1; client <= 10; client++) sessions.record(clientOf(client), outcomeAt(client, 1, large));
    expect(sessions.size).toBe(4);
    expect(sessions.recall(clientOf(6), 1).kind).toBe("forgotten");
    expect(sessions.recall(clientOf(7), 1).kind).toBe("remembered");
  });

  test("remember a large result by its hash", () => {
    const sessions = new Sessions();
    sessions.record(clientOf(1), outcomeAt(1, 1, new Uint8Array(RESULT_KEPT_BYTES)));
    sessions.record(clientOf(1), outcomeAt(2, 2, new Uint8Array(RESULT_KEPT_BYTES + 1)));
    expect(sessions.recall(clientOf(1), 1)).toMatchObject({ outcome: { result: { kind: "bytes" } } });
    const size = RESULT_KEPT_BYTES + 1;
    expect(sessions.recall(clientOf(1), 2)).toMatchObject({ outcome: { result: { kind: "hash", size } } });
    expect(encodeOutcome(outcomeAt(2, 2, new Uint8Array(size))).length).toBeLessThan(100);
  });

  test("do not record a number twice", () => {
    const sessions = new Sessions();
    offer(sessions, [[1, 1]]);
    expect(() => sessions.record(clientOf(1), outcomeAt(2, 1))).toThrow(Bug);
  });

  test("go on after a snapshot as if there had been none, with clients retired and forgotten", () => {
    fc.assert(
      fc.property(commands, commands, fc.boolean(), (before, after, isSmall) => {
        const limits = isSmall ? SMALL : {};
        const sessions = new Sessions(limits);
        offer(sessions, before);
        const snapshot = sessions.snapshot();
        const digest = sessions.digest().toHex();
        const applied = offer(sessions, after, 1_000);
        const restored = Sessions.restored(snapshot, limits);
        expect(restored.digest().toHex()).toBe(digest);
        expect([...restored.snapshot()].map((chunk) => chunk.toHex())).toEqual(
          [...snapshot].map((chunk) => chunk.toHex()),
        );
        expect(offer(restored, after, 1_000)).toEqual(applied);
        expect(restored.digest().toHex()).toBe(sessions.digest().toHex());
        const undisturbed = new Sessions(limits);
        offer(undisturbed, before);
        offer(undisturbed, after, 1_000);
        expect(undisturbed.digest().toHex()).toBe(sessions.digest().toHex());
      }),
      { numRuns: 300 },
    );
  });

  test("have another digest for every difference", () => {
    const digestOf = (...list: readonly (readonly [number, number])[]): string => {
      const sessions = new Sessions(SMALL);
      offer(sessions, list);
      return sessions.digest().toHex();
    };
    const digests = [
      digestOf(),
      digestOf([1, 1]),
      digestOf([1, 2]),
      digestOf([2, 1]),
      digestOf([1, 1], [2, 1]),
      digestOf([2, 1], [1, 1]),
      digestOf([1, 1], [2, 1], [3, 1], [4, 1]),
      digestOf([5, 1], [2, 1], [3, 1], [4, 1]),
    ];
    expect(new Set(digests).size).toBe(digests.length);
  });

  test("refuse chunks that hold no sessions", () => {
    const sessions = new Sessions();
    offer(sessions, [
      [1, 1],
      [2, 1],
    ]);
    const [chunk = new Uint8Array(0)] = sessions.snapshot();
    expect(() => Sessions.restored([chunk.subarray(1)])).toThrow();
    expect(() => Sessions.restored([chunk, chunk])).toThrow("two sessions");
  });
});
