import { describe, expect, test } from "bun:test";
import { Bug } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import {
  decodeLedgerCommand,
  decodeLedgerReceipt,
  encodeLedgerCommand,
  encodeLedgerReceipt,
  LEDGER_REFUSALS,
  type LedgerCommand,
  type LedgerReceipt,
  ledgerRefused,
  refusedAt,
} from "./ledger-command.ts";
import {
  decodeLedgerAnswer,
  decodeLedgerQuestion,
  encodeLedgerAnswer,
  encodeLedgerQuestion,
  type LedgerAnswer,
  type LedgerQuestion,
} from "./ledger-query.ts";

/** Names behind their lengths. */
const [AX, BX, CX] = ["0300000000000000 612f78", "0300000000000000 622f78", "0300000000000000 632f78"];
const HASH = "ab".repeat(32) as Hash;

const COMMANDS: readonly (readonly [string, LedgerCommand, hex: string])[] = [
  [
    "transfer",
    { kind: "transfer", from: "a/x", to: "b/x", amount: 0x0102n, number: null },
    `00000000 ${AX} ${BX} 0201000000000000 00`,
  ],
  [
    "transfer of a number",
    { kind: "transfer", from: "a/x", to: "b/x", amount: 2n ** 64n - 1n, number: 3 },
    `00000000 ${AX} ${BX} ffffffffffffffff 01 0300000000000000`,
  ],
  [
    "approve",
    { kind: "approve", account: "a/x", spender: "b/x", amount: 5n, expected: null },
    `01000000 ${AX} ${BX} 0500000000000000 00`,
  ],
  [
    "approve where nothing is allowed",
    { kind: "approve", account: "a/x", spender: "b/x", amount: 5n, expected: 0n },
    `01000000 ${AX} ${BX} 0500000000000000 01 0000000000000000`,
  ],
  [
    "transfer from",
    { kind: "transfer-from", spender: "b/x", from: "a/x", to: "c/x", amount: 5n },
    `02000000 ${BX} ${AX} ${CX} 0500000000000000`,
  ],
];

const BALANCES = { fromBalance: 9n, toBalance: 8n };
const BALANCES_HEX = "0900000000000000 0800000000000000";

const RECEIPTS: readonly (readonly [string, LedgerReceipt, hex: string])[] = [
  [
    "transfer",
    { kind: "transfer", from: "a/x", to: "b/x", amount: 5n, number: 7, ...BALANCES },
    `00000000 ${AX} ${BX} 0500000000000000 0700000000000000 ${BALANCES_HEX}`,
  ],
  [
    "approve",
    { kind: "approve", account: "a/x", spender: "b/x", amount: 5n, previous: 6n },
    `01000000 ${AX} ${BX} 0500000000000000 0600000000000000`,
  ],
  [
    "transfer from",
    { kind: "transfer-from", spender: "b/x", from: "a/x", to: "c/x", amount: 5n, allowance: 6n, ...BALANCES },
    `02000000 ${BX} ${AX} ${CX} 0500000000000000 0600000000000000 ${BALANCES_HEX}`,
  ],
];

const QUESTIONS: readonly (readonly [string, LedgerQuestion, hex: string])[] = [
  ["account", { kind: "account", name: "a/x" }, `00000000 ${AX}`],
  ["allowance", { kind: "allowance", account: "a/x", spender: "b/x" }, `01000000 ${AX} ${BX}`],
  ["accounts", { kind: "accounts", prefix: "", from: "a/x", limit: 3 }, `02000000 0000000000000000 01 ${AX} 03000000`],
  ["allowances", { kind: "allowances", account: "a/x", from: null, limit: 3 }, `03000000 ${AX} 00 03000000`],
  ["summary", { kind: "summary" }, "04000000"],
];

const LINE = { name: "a/x", balance: 9n, applied: 2 };
const LINE_HEX = `${AX} 0900000000000000 0200000000000000`;

const ANSWERS: readonly (readonly [string, LedgerAnswer, hex: string])[] = [
  ["account", { kind: "account", account: LINE }, `00000000 ${LINE_HEX}`],
  ["allowance", { kind: "allowance", amount: 4n }, "01000000 0400000000000000"],
  ["accounts", { kind: "accounts", accounts: [LINE], next: "b/x" }, `02000000 0100000000000000 ${LINE_HEX} 01 ${BX}`],
  [
    "allowances",
    { kind: "allowances", allowances: [{ account: "a/x", spender: "b/x", amount: 4n }], next: null },
    `03000000 0100000000000000 ${AX} ${BX} 0400000000000000 00`,
  ],
  [
    "summary",
    { kind: "summary", total: 9n, accounts: 1, allowances: 2, digest: HASH },
    `04000000 0900000000000000 0100000000000000 0200000000000000 ${HASH}`,
  ],
];

const plain = (hex: string): string => hex.replaceAll(" ", "");

describe("the bytes of the ledger's", () => {
  test.each(COMMANDS)("command: %s", (_, command, hex) => {
    expect(encodeLedgerCommand(command).toHex()).toBe(plain(hex));
    expect(decodeLedgerCommand(Uint8Array.fromHex(plain(hex)))).toEqual(command);
  });

  test.each(RECEIPTS)("receipt: %s", (_, receipt, hex) => {
    expect(encodeLedgerReceipt(receipt).toHex()).toBe(plain(hex));
    expect(decodeLedgerReceipt(Uint8Array.fromHex(plain(hex)))).toEqual(receipt);
  });

  test.each(QUESTIONS)("question: %s", (_, question, hex) => {
    expect(encodeLedgerQuestion(question).toHex()).toBe(plain(hex));
    expect(decodeLedgerQuestion(Uint8Array.fromHex(plain(hex)))).toEqual(question);
  });

  test.each(ANSWERS)("answer: %s", (_, answer, hex) => {
    expect(encodeLedgerAnswer(answer).toHex()).toBe(plain(hex));
    expect(decodeLedgerAnswer(Uint8Array.fromHex(plain(hex)))).toEqual(answer);
  });

  test("refusal: its reason, and what it found where that is a number", () => {
    const { message, detail } = ledgerRefused("insufficient-balance", 0x0304n);
    expect([message, detail.toHex(), refusedAt(detail)]).toEqual(["insufficient-balance", "0403000000000000", 772n]);
    expect(refusedAt(ledgerRefused("not-owner").detail)).toBeNull();
    for (const reason of Object.keys(LEDGER_REFUSALS)) expect(reason).toMatch(/^[a-z-]{1,40}$/);
  });
});

describe("a command of the ledger", () => {
  test.each([
    ["a kind that is none", "03000000"],
    ["a byte too many", `02000000 ${BX} ${AX} ${CX} 0500000000000000 00`],
    ["a byte too few", `02000000 ${BX} ${AX} ${CX} 05000000000000`],
    ["a name of 65 characters", `02000000 4100000000000000 ${"61".repeat(65)} ${AX} ${CX} 0500000000000000`],
    ["a number above 2^53", `00000000 ${AX} ${BX} 0100000000000000 01 0000000000002000`],
  ])("is none with %s", (_, hex) => {
    expect(decodeLedgerCommand(Uint8Array.fromHex(plain(hex)))).toBeNull();
  });

  test("has one encoding: what decodes is what was encoded", () => {
    for (const [, command] of COMMANDS) {
      const bytes = encodeLedgerCommand(command);
      for (let at = 0; at < bytes.length; at++) {
        const changed = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte));
        const decoded = decodeLedgerCommand(changed);
        if (decoded !== null) expect(encodeLedgerCommand(decoded)).toEqual(changed);
      }
    }
  });

  test("of no amount that there can be is not encoded", () => {
    for (const amount of [-1n, 2n ** 64n]) {
      const wanted = { kind: "transfer", from: "a/x", to: "b/x", amount, number: null } as const;
      expect(() => encodeLedgerCommand(wanted)).toThrow(Bug);
    }
  });
});
