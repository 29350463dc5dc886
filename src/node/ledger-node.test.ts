import { describe, expect, test } from "bun:test";
import type { NodeId } from "../crypto/identity.ts";
import { openEnvelope } from "../dag/conflict-keys.ts";
import type { Hash } from "../lib/hash.ts";
import { envelopeFault } from "../replication/application.ts";
import { Ledger } from "../replication/ledger/ledger.ts";
import { Owners } from "../replication/ledger/owners.ts";
import { encodeTransfer, type Transfer, transferKey } from "../replication/ledger/transfer.ts";
import { createIntake, vertexPayloadOf } from "./applications.ts";
import type { Genesis } from "./genesis.ts";
import { LedgerNode } from "./ledger-node.ts";
import { type FinalizedItem, NodeError, type NodeErrorCode, type Submission } from "./service.ts";

const SELF = "a".repeat(64) as NodeId;
const OTHER = "b".repeat(64) as NodeId;
const OWNERS = new Owners([
  { name: "self", nodeId: SELF },
  { name: "other", nodeId: OTHER },
]);

/** The node below the ledger: a list of final vertices, and what was submitted. */
class FakeNode {
  readonly items: FinalizedItem[] = [];
  readonly submitted: Uint8Array[] = [];
  listener: (items: readonly FinalizedItem[]) => void = () => undefined;
  readonly #failures: ((error: unknown) => void)[] = [];

  submit(payloads: readonly Uint8Array[]): Submission {
    this.submitted.push(...payloads);
    const finalized = Promise.withResolvers<never>();
    finalized.promise.catch(() => undefined);
    this.#failures.push(finalized.reject);
    return { accepted: Promise.resolve(payloads.map(() => "0".repeat(64) as Hash)), finalized: finalized.promise };
  }

  /** The last submission never becomes final. */
  async lose(): Promise<void> {
    this.#failures.pop()?.(new Error("lost"));
    await Promise.resolve();
  }

  async finalized({ from, limit }: { from: number; limit: number }): Promise<readonly FinalizedItem[]> {
    await Promise.resolve();
    return this.items.slice(from - 1, from - 1 + limit);
  }

  finalize(payload: Uint8Array, creator: NodeId = SELF, { tell = true } = {}): void {
    const sequence = this.items.length + 1;
    const hash = sequence.toString(16).padStart(64, "0") as Hash;
    const item: FinalizedItem = { sequence, purpose: "application", hash, creator, payload, timestampMs: 0 };
    this.items.push(item);
    if (tell) this.listener([item]);
  }

  /** The vertices that were submitted become final. */
  finalizeAll(): void {
    for (const payload of this.submitted.splice(0)) this.finalize(payload);
  }
}

interface Setup {
  readonly node: FakeNode;
  readonly ledger: Ledger;
  readonly service: LedgerNode;
}

function setup(waitingMax?: number): Setup {
  const node = new FakeNode();
  const accounts = new Map([
    ["self/main", 100n],
    ["other/main", 50n],
  ]);
  const ledger = new Ledger({ accounts, owners: OWNERS, ...(waitingMax === undefined ? {} : { waitingMax }) });
  const service = new LedgerNode({ ledger, owners: OWNERS, self: SELF, node, log: () => undefined });
  node.listener = (items) => service.onFinalized(items);
  return { node, ledger, service };
}

async function started(): Promise<Setup> {
  const parts = setup();
  await parts.service.start();
  return parts;
}

const pay = (amount: bigint, number: number | null = null) => ({ from: "self/main", to: "other/main", amount, number });
const vertex = (transfer: Transfer): Uint8Array =>
  vertexPayloadOf("avalanche", { payload: encodeTransfer(transfer), conflictKeys: [transferKey(transfer)] });

function codeOf(act: () => unknown): NodeErrorCode {
  try {
    act();
  } catch (error) {
    if (error instanceof NodeError) return error.code;
    throw error;
  }
  throw new Error("was not refused");
}

describe("the ledger at a node", () => {
  test("takes a transfer, and says what became of it once it is final", async () => {
    const { node, service } = await started();
    const { number, outcome } = service.transfer(pay(30n));
    expect(number).toBe(1);
    expect(service.account("self/main")).toMatchObject({ balance: 100n, nextNumber: 2, isOwn: true });
    node.finalizeAll();
    expect(await outcome).toEqual({ kind: "applied" });
    expect(service.account("self/main")).toMatchObject({ balance: 70n, nextNumber: 2, waiting: [] });
    expect(service.account("other/main")).toMatchObject({ balance: 80n, nextNumber: 1, isOwn: false });
    expect(service.summary()).toMatchObject({ total: 150n, accounts: 2, sequence: 1, isCurrent: true });
  });

  test("numbers transfers under way one after the other, and spends no unit of them twice", async () => {
    const { service } = await started();
    expect([service.transfer(pay(60n)).number, service.transfer(pay(40n)).number]).toEqual([1, 2]);
    expect(codeOf(() => service.transfer(pay(1n)))).toBe("insufficient-balance");
    expect(codeOf(() => service.transfer(pay(1n, 2)))).toBe("number-used");
  });

  test("gives number and money of a transfer back that never becomes final", async () => {
    const { node, service } = await started();
    const { outcome } = service.transfer(pay(100n));
    await node.lose();
    expect(await outcome.catch(String)).toBe("Error: lost");
    expect(service.transfer(pay(100n)).number).toBe(1);
  });

  test("tells the submitter when an older transfer of this node had the number", async () => {
    const { node, service } = await started();
    const { outcome } = service.transfer(pay(10n));
    node.finalize(vertex({ from: "self/main", to: "other/x", amount: 99n, number: 1 }));
    expect(await outcome).toMatchObject({ kind: "rejected", reason: expect.stringContaining("number 1") });
    expect(service.transfer(pay(1n)).number).toBe(2);
  });

  test.each([
    ["malformed-transfer", { from: "main" }],
    ["malformed-transfer", { to: "self/main" }],
    ["malformed-transfer", { to: "nobody/main" }],
    ["malformed-transfer", { amount: 0n }],
    ["malformed-transfer", { number: 0 }],
    ["not-owner", { from: "other/main", to: "self/main" }],
    ["insufficient-balance", { amount: 101n }],
    ["insufficient-balance", { from: "self/empty" }],
    ["overloaded", { number: 1_026 }],
  ] as const)("refuses with %s a transfer with %p", async (code, change) => {
    const { node, service } = await started();
    expect(codeOf(() => service.transfer({ ...pay(1n), ...change }))).toBe(code);
    expect(node.submitted).toEqual([]);
  });

  test("fills the gap that waits before a later number", async () => {
    const { node, service } = await started();
    const late = service.transfer(pay(10n, 2));
    node.finalizeAll();
    expect(await late.outcome).toMatchObject({ kind: "waiting" });
    expect(service.account("self/main")).toMatchObject({ nextNumber: 1, waiting: [{ to: "other/main", number: 2 }] });
    const first = service.transfer(pay(5n));
    expect(first.number).toBe(1);
    node.finalizeAll();
    expect(await first.outcome).toEqual({ kind: "applied" });
    expect(service.account("self/main")).toMatchObject({ balance: 85n, nextNumber: 3, waiting: [] });
  });

  test("rebuilds its state at the start, with what becomes final meanwhile, and takes nothing until then", async () => {
    const { node, service } = setup();
    for (let number = 1; number <= 2_500; number++)
      node.finalize(vertex({ from: "other/main", to: "self/main", amount: 1n, number }), OTHER, { tell: false });
    const start = service.start();
    expect(codeOf(() => service.transfer(pay(1n)))).toBe("not-ready");
    expect(service.summary().isCurrent).toBe(false);
    node.finalize(vertex({ from: "self/main", to: "other/main", amount: 20n, number: 1 }));
    await start;
    expect(service.summary()).toMatchObject({ sequence: 2_501, isCurrent: true });
    // 50 of other's, 20 more, and the rest of its transfers waits for money.
    expect(service.account("self/main")?.balance).toBe(150n);
    expect(service.account("other/main")?.balance).toBe(0n);
  });

  test("reads what it was not told of before it goes on", async () => {
    const { node, service } = await started();
    node.finalize(vertex({ from: "self/main", to: "other/main", amount: 1n, number: 1 }), SELF, { tell: false });
    node.finalize(vertex({ from: "self/main", to: "other/main", amount: 1n, number: 2 }));
    while (service.summary().sequence < 2) await Promise.resolve();
    expect(service.account("self/main")).toMatchObject({ balance: 98n, waiting: [] });
  });

  test("reads final vertices once more where a transfer that found no room is due", async () => {
    const { node, service } = setup(2);
    await service.start();
    for (const number of [6, 5, 4, 3, 2, 1])
      node.finalize(vertex({ from: "self/main", to: "other/main", amount: 1n, number }));
    while (service.account("self/main")?.balance !== 94n) await Promise.resolve();
    await service.stop();
    expect(service.account("self/main")).toMatchObject({ nextNumber: 7, waiting: [] });
  });

  test("passes over words about the validator set, and over payloads that are none", async () => {
    const { node, service } = await started();
    const payload = vertex({ from: "self/main", to: "other/main", amount: 1n, number: 1 });
    node.items.push({ ...membershipItem(), payload });
    service.onFinalized(node.items);
    node.finalize(new Uint8Array([1, 2, 3]));
    expect(service.summary().sequence).toBe(2);
    expect(service.account("self/main")?.balance).toBe(100n);
  });

  test("seals a transfer of a leaderless network so that validators vote for it", async () => {
    const { node, ledger, service } = await started();
    const { outcome } = service.transfer(pay(30n));
    const [payload = new Uint8Array(0)] = node.submitted;
    expect(envelopeFault(ledger, payload, SELF)).toBeNull();
    expect(envelopeFault(ledger, payload, OTHER)).toContain("owns");
    node.finalizeAll();
    expect(await outcome).toEqual({ kind: "applied" });
  });

  test("knows no account of nobody", async () => {
    const { service } = await started();
    for (const name of ["", "main", "nobody/main", "self/a/b"]) expect(service.account(name)).toBeNull();
    expect(service.account("self/unused")).toMatchObject({ balance: 0n, nextNumber: 1 });
  });
});

describe("what clients submit", () => {
  const payload = new Uint8Array([7]);
  const intake = (genesis: Partial<Genesis>): { node: FakeNode; submit: (keys: readonly Uint8Array[]) => unknown } => {
    const node = new FakeNode();
    const { submit } = createIntake(genesis as Genesis, node);
    return { node, submit: (conflictKeys) => submit([{ payload, conflictKeys }]) };
  };

  test("goes to pbft as it is, without keys", () => {
    const { node, submit } = intake({ engine: "pbft" });
    submit([]);
    expect(node.submitted).toEqual([payload]);
    expect(codeOf(() => submit([payload]))).toBe("conflict-keys-refused");
  });

  test("goes to avalanche in an envelope with its keys, in order and once", () => {
    const { node, submit } = intake({ engine: "avalanche" });
    const [low, high] = [new Uint8Array([1]), new Uint8Array([2])];
    submit([high, low, high]);
    expect(openEnvelope(node.submitted[0] ?? payload)).toEqual({ payload, conflictKeys: [low, high] });
    for (const keys of [[new Uint8Array(0)], [new Uint8Array(65)], Array.from({ length: 9 }, () => payload)])
      expect(codeOf(() => submit(keys))).toBe("malformed-keys");
  });

  test("goes nowhere where the application takes transfers", () => {
    for (const engine of ["pbft", "avalanche"] as const)
      expect(codeOf(() => intake({ engine, application: "ledger" }).submit([]))).toBe("transfers-only");
  });
});

function membershipItem(): FinalizedItem {
  const hash = "1".repeat(64) as Hash;
  return { sequence: 1, purpose: "membership", hash, creator: SELF, payload: new Uint8Array(1), timestampMs: 0 };
}
