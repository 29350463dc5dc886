import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../../crypto/identity.ts";
import { sealEnvelope } from "../../dag/conflict-keys.ts";
import { envelopeFault } from "../application.ts";
import { AMOUNT_MAX, parseAmount } from "./amount.ts";
import { Ledger } from "./ledger.ts";
import { isAccountName, ownerNameFault, Owners } from "./owners.ts";
import { decodeTransfer, encodeTransfer, type Transfer, transferFault, transferKey } from "./transfer.ts";

const nodeOf = (digit: string): NodeId => digit.repeat(64) as NodeId;
const OWNERS = new Owners([
  { name: "bank-1", nodeId: nodeOf("1") },
  { name: "bank-2", nodeId: nodeOf("2") },
]);
const GOOD: Transfer = { from: "bank-1/main", to: "bank-2/main", amount: 7n, number: 1 };

describe("a transfer", () => {
  test("survives being written and read, up to 2^64 - 1 units", () => {
    const accounts = fc.stringMatching(/^[A-Za-z0-9._-]{1,32}\/[A-Za-z0-9._-]{1,31}$/);
    const transfers = fc.record({
      from: accounts,
      to: accounts,
      amount: fc.bigInt({ min: 0n, max: AMOUNT_MAX }),
      number: fc.maxSafeNat(),
    });
    fc.assert(
      fc.property(transfers, (transfer) => {
        expect(isAccountName(transfer.from)).toBe(true);
        expect(decodeTransfer(encodeTransfer(transfer))).toEqual(transfer);
      }),
    );
  });

  test("is laid out little-endian, behind its command's number", () => {
    const hex = encodeTransfer({ from: "a/b", to: "c/d", amount: 0x0102n, number: 3 }).toHex();
    const text = (letters: string): string => `0300000000000000${Buffer.from(letters).toString("hex")}`;
    expect(hex).toBe(`01000000${text("a/b")}${text("c/d")}02010000000000000300000000000000`);
  });

  test("of other bytes is none: short, long, of another command", () => {
    const payload = encodeTransfer(GOOD);
    const other = payload.with(0, 2);
    for (const bytes of [payload.subarray(1), payload.subarray(0, -1), new Uint8Array([...payload, 0]), other])
      expect(decodeTransfer(bytes)).toBeNull();
  });

  test("has a conflict key of its account and number, and of nothing else", () => {
    const key = (change: Partial<Transfer>): string => transferKey({ ...GOOD, ...change }).toHex();
    expect(key({ to: "bank-1/other", amount: 9n })).toBe(key({}));
    expect(new Set([key({}), key({ number: 2 }), key({ from: "bank-1/mai" })]).size).toBe(3);
    expect(transferKey(GOOD).length).toBe(32);
  });

  const faults: readonly (readonly [change: Partial<Transfer>, says: string])[] = [
    [{ from: "main" }, "no name of an account"],
    [{ to: "bank-2/" }, "no name of an account"],
    [{ to: "bank-2/a/b" }, "no name of an account"],
    [{ to: `bank-2/${"x".repeat(32)}` }, "no name of an account"],
    [{ to: "bank-2/Ø" }, "no name of an account"],
    [{ to: GOOD.from }, "to itself"],
    [{ amount: 0n }, "of nothing"],
    [{ number: 0 }, "numbered from 1"],
    [{ from: "bank-2/main", to: "bank-1/main" }, "only the node that owns bank-2/main"],
    [{ to: "bank-3/main" }, "no owner"],
  ];
  test.each(faults)("with %p is at fault", (change, says) => {
    expect(transferFault({ ...GOOD, ...change }, nodeOf("1"), OWNERS)).toContain(says);
  });

  test("may be made and received by a node that was admitted later, under its id", () => {
    const later = nodeOf("9");
    const account = `${OWNERS.nameOf(later)}/main`;
    expect(account).toBe(`${"9".repeat(32)}/main`);
    expect(transferFault({ ...GOOD, to: account }, nodeOf("1"), OWNERS)).toBeNull();
    expect(transferFault({ ...GOOD, from: account }, later, OWNERS)).toBeNull();
    expect(transferFault({ ...GOOD, from: account }, nodeOf("1"), OWNERS)).toContain("owns");
    expect(OWNERS.nameOf(nodeOf("2"))).toBe("bank-2");
  });
});

describe("an owner's name", () => {
  test("is one of accounts, and never 32 hexadecimal digits", () => {
    expect(ownerNameFault("bank-1")).toBeNull();
    expect(ownerNameFault("A_b.c")).toBeNull();
    for (const name of ["", "a b", "a/b", "x".repeat(33), "Ø", "f".repeat(32)])
      expect(ownerNameFault(name)).not.toBeNull();
  });
});

describe("an amount", () => {
  test("is a whole number of 64 bits in its one spelling", () => {
    expect(parseAmount("0")).toBe(0n);
    expect(parseAmount("18446744073709551615")).toBe(AMOUNT_MAX);
    for (const text of ["", "-1", "+1", "01", "1.0", "1e3", "0x1", " 1", "18446744073709551616", "9".repeat(21)])
      expect(parseAmount(text)).toBeNull();
  });
});

describe("an envelope", () => {
  const ledger = new Ledger({ accounts: new Map([["bank-1/main", 1n]]), owners: OWNERS });
  const payload = encodeTransfer(GOOD);
  const keys = [transferKey(GOOD)];

  test("of a transfer declares its key, no other and no more", () => {
    const fault = (conflictKeys: readonly Uint8Array[]): string | null =>
      envelopeFault(ledger, sealEnvelope({ conflictKeys, payload }), nodeOf("1"));
    expect(fault(keys)).toBeNull();
    expect(fault([])).toContain("declared conflict keys");
    expect(fault([transferKey({ ...GOOD, number: 2 })])).toContain("declared conflict keys");
    expect(fault([...keys, transferKey({ ...GOOD, number: 2 })])).toContain("declared conflict keys");
  });

  test("is at fault with what it carries, and where it is none", () => {
    const sealed = sealEnvelope({ conflictKeys: keys, payload });
    expect(envelopeFault(ledger, sealed, nodeOf("2"))).toContain("only the node that owns");
    expect(envelopeFault(ledger, payload, nodeOf("1"))).toContain("no envelope");
    expect(
      envelopeFault(ledger, sealEnvelope({ conflictKeys: [], payload: new Uint8Array(3) }), nodeOf("1")),
    ).toContain("no transfer");
  });

  test("of a log declares what it likes", () => {
    const opaque = sealEnvelope({ conflictKeys: [new Uint8Array([7])], payload: new Uint8Array([1]) });
    expect(envelopeFault(null, opaque, nodeOf("1"))).toBeNull();
    expect(envelopeFault(null, payload, nodeOf("1"))).toContain("no envelope");
  });
});
