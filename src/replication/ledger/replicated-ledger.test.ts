import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hashOf } from "../../crypto/hash.ts";
import type { NodeId } from "../../crypto/identity.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import { type ClientId, encodeCommand } from "../command.ts";
import { type OrderedBatch, Replica } from "../replica.ts";
import { pourSnapshot } from "../snapshot.ts";
import { encodeLedgerCommand, type LedgerCommand } from "./ledger-command.ts";
import { OrderedLedger } from "./ordered-ledger.ts";
import { Owners } from "./owners.ts";

const OWNERS_OF = ["a", "b", "c"] as const;
const nodeOf = (owner: string): NodeId => owner.repeat(64) as NodeId;
const OPENING: ReadonlyMap<string, bigint> = new Map(OWNERS_OF.map((owner) => [`${owner}/x`, 100n]));

interface Said {
  readonly client: number;
  readonly number: number;
  readonly lane: string;
  readonly command: LedgerCommand;
}

/** A replica with its ledger, so that a test can look into it. */
class Node {
  ledger: OrderedLedger = newLedger();
  replica: Replica = new Replica(this.ledger);

  restart(): void {
    const chunks: Uint8Array[] = [];
    const pouring = pourSnapshot(this.replica.snapshot());
    let next = pouring.next();
    for (; next.done !== true; next = pouring.next()) chunks.push(next.value.bytes);
    this.ledger = newLedger();
    this.replica = new Replica(this.ledger);
    this.replica.restore(next.value, chunks);
  }
}

function newLedger(): OrderedLedger {
  const owners = new Owners(OWNERS_OF.map((name) => ({ name, nodeId: nodeOf(name) })));
  return new OrderedLedger({ accounts: OPENING, owners });
}

function batchesOf(lists: readonly (readonly Said[])[]): readonly OrderedBatch[] {
  let position = 0;
  return lists.map((list, index) => ({
    sequence: (index + 1) as Sequence,
    timestampMs: index,
    history: hashOf("record", Uint8Array.of(index)),
    payloads: list.map(({ client, number, lane, command }) => ({
      position: ++position as Position,
      creator: nodeOf(lane),
      payload: encodeCommand({
        client: client.toString(16).padStart(32, "0") as ClientId,
        number,
        body: encodeLedgerCommand(command),
      }),
    })),
  }));
}

const account = fc.constantFrom("a/x", "b/x", "c/x", "a/y");
const amount = fc.bigInt(0n, 60n);
const command: fc.Arbitrary<LedgerCommand> = fc.oneof(
  fc.record({ kind: fc.constant("transfer" as const), from: account, to: account, amount, number: fc.constant(null) }),
  fc.record({ kind: fc.constant("approve" as const), account, spender: account, amount, expected: fc.constant(null) }),
  fc.record({ kind: fc.constant("transfer-from" as const), spender: account, from: account, to: account, amount }),
);
const said = fc.record({
  client: fc.nat(2),
  number: fc.integer({ min: 1, max: 20 }),
  lane: fc.constantFrom(...OWNERS_OF),
  command,
});
const histories = fc.array(fc.array(said, { maxLength: 20, size: "max" }), { minLength: 1, maxLength: 8, size: "max" });
const restarts = fc.array(fc.boolean(), { minLength: 8, maxLength: 8 });

describe("a replicated ledger", () => {
  test("keeps all units and has one root at all nodes, whatever snapshots they went through", () => {
    fc.assert(
      fc.property(histories, restarts, (lists, moves) => {
        const [steady, other] = [new Node(), new Node()];
        for (const [index, batch] of batchesOf(lists).entries()) {
          expect(other.replica.applyBatch(batch)).toEqual([...steady.replica.applyBatch(batch)]);
          if (moves[index] === true) other.restart();
          expect(other.replica.root()).toBe(steady.replica.root());
          for (const { ledger } of [steady, other]) {
            const { total, lowest } = ledger.audit();
            expect([total, lowest >= 0n]).toEqual([300n, true]);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test("moves units once for each number of a client, however often it comes, wherever the tries end up", () => {
    const repeats = fc.array(fc.tuple(fc.nat(29), fc.nat(200)), { maxLength: 90, size: "max" });
    fc.assert(
      fc.property(repeats, restarts, (again, moves) => {
        const one = (number: number): Said => ({
          client: 1,
          number,
          lane: "a",
          command: { kind: "transfer", from: "a/x", to: "b/x", amount: BigInt(number % 5), number: null },
        });
        const firsts = Array.from({ length: 30 }, (_, at) => one(at + 1));
        // A try again stands somewhere behind the first one.
        const all = again.reduce<Said[]>((so, [at, far]) => {
          const first = so.findIndex(({ number }) => number === at + 1);
          return so.toSpliced(first + 1 + (far % (so.length - first)), 0, one(at + 1));
        }, firsts);
        const node = new Node();
        const size = Math.ceil(all.length / moves.length);
        const lists = moves.map((_, at) => all.slice(at * size, (at + 1) * size));
        for (const [index, batch] of batchesOf(lists).entries()) {
          node.replica.applyBatch(batch);
          if (moves[index] === true) node.restart();
        }
        // 1 + 2 + 3 + 4 + 0, six times; a transfer of nothing is refused as often as it comes.
        expect(node.ledger.audit().lowest).toBe(40n);
      }),
      { numRuns: 100 },
    );
  });
});
