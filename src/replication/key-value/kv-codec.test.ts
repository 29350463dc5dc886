import { describe, expect, test } from "bun:test";
import { COMMAND_BODY_BYTES_MAX } from "../command.ts";
import type { Position } from "../../membership/ids.ts";
import { VALUE_BYTES_MAX } from "./entry.ts";
import {
  BATCH_WRITES_MAX,
  decodeConflict,
  decodeKvCommand,
  decodeWritten,
  encodeConflict,
  encodeKvCommand,
  encodeWritten,
  type KvCommand,
} from "./kv-command.ts";
import {
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  type KvAnswer,
  type KvQuestion,
} from "./kv-query.ts";

const version = (value: number): Position => value as Position;
const VALUE = Uint8Array.of(0xaa, 0xbb);

/** `k` and the value, each behind a length. */
const [K, V] = ["0100000000000000 6b", "0200000000000000 aabb"];

const COMMANDS: readonly (readonly [string, KvCommand, hex: string])[] = [
  ["put", { kind: "put", key: "k", value: VALUE }, `00000000 ${K} ${V}`],
  ["delete", { kind: "delete", key: "k" }, `01000000 ${K}`],
  [
    "set where absent",
    { kind: "compare-and-set", key: "k", expected: { kind: "absent" }, next: VALUE },
    `02000000 ${K} 00000000 01 ${V}`,
  ],
  [
    "delete at a version",
    { kind: "compare-and-set", key: "k", expected: { kind: "version", version: version(7) }, next: null },
    `02000000 ${K} 01000000 0700000000000000 00`,
  ],
  [
    "set at a value",
    { kind: "compare-and-set", key: "k", expected: { kind: "value", value: VALUE }, next: new Uint8Array(0) },
    `02000000 ${K} 02000000 ${V} 01 0000000000000000`,
  ],
  [
    "batch",
    {
      kind: "batch",
      writes: [
        { kind: "put", key: "k", value: VALUE },
        { kind: "delete", key: "k" },
      ],
    },
    `03000000 0200000000000000 00000000 ${K} ${V} 01000000 ${K}`,
  ],
];

const QUESTIONS: readonly (readonly [string, KvQuestion, hex: string])[] = [
  ["get", { kind: "get", key: "k" }, `00000000 ${K}`],
  [
    "range",
    { kind: "range", prefix: "", from: "k", to: null, limit: 3, reverse: true },
    `01000000 0000000000000000 01 ${K} 00 03000000 01`,
  ],
  ["count", { kind: "count", prefix: "k", from: null, to: "k" }, `02000000 ${K} 00 01 ${K}`],
];

const ENTRY = { key: "k", value: VALUE, version: version(9), created: version(8) };
const ENTRY_HEX = `${K} ${V} 0900000000000000 0800000000000000`;

const ANSWERS: readonly (readonly [string, KvAnswer, hex: string])[] = [
  ["get", { kind: "get", entry: ENTRY }, `00000000 01 ${ENTRY_HEX}`],
  ["get of nothing", { kind: "get", entry: null }, "00000000 00"],
  ["range", { kind: "range", entries: [ENTRY], next: "k" }, `01000000 0100000000000000 ${ENTRY_HEX} 01 ${K}`],
  ["count", { kind: "count", count: 5 }, "02000000 0500000000000000"],
];

const plain = (hex: string): string => hex.replaceAll(" ", "");

describe("the bytes of", () => {
  test.each(COMMANDS)("the command: %s", (_, command, hex) => {
    expect(encodeKvCommand(command).toHex()).toBe(plain(hex));
    expect(decodeKvCommand(Uint8Array.fromHex(plain(hex)))).toEqual(command);
  });

  test.each(QUESTIONS)("the question: %s", (_, question, hex) => {
    expect(encodeQuestion(question).toHex()).toBe(plain(hex));
    expect(decodeQuestion(Uint8Array.fromHex(plain(hex)))).toEqual(question);
  });

  test.each(ANSWERS)("the answer: %s", (_, answer, hex) => {
    expect(encodeAnswer(answer).toHex()).toBe(plain(hex));
    expect(decodeAnswer(Uint8Array.fromHex(plain(hex)))).toEqual(answer);
  });

  test("a result and a conflict", () => {
    const written = [{ version: version(9), previous: null }];
    expect(encodeWritten(written).toHex()).toBe(plain("0100000000000000 01 0900000000000000 00"));
    expect(decodeWritten(encodeWritten(written))).toEqual(written);
    const conflict = { index: 2, current: version(9) };
    expect(encodeConflict(conflict).toHex()).toBe(plain("02000000 01 0900000000000000"));
    expect(decodeConflict(encodeConflict(conflict))).toEqual(conflict);
  });
});

describe("a command to the store", () => {
  const put = (key: string, value: Uint8Array): KvCommand => ({ kind: "put", key, value });

  test("has room for the longest key with the largest value, and with a value to expect as long as both fit", () => {
    const largest = encodeKvCommand(put("k".repeat(512), new Uint8Array(VALUE_BYTES_MAX)));
    expect(largest.length).toBeLessThan(COMMAND_BODY_BYTES_MAX);
    expect(decodeKvCommand(largest)).not.toBeNull();
  });

  test.each([
    ["an empty key", plain(`00000000 0000000000000000 ${V}`)],
    ["a key of 513 bytes", plain(`01000000 0102000000000000 ${"6b".repeat(513)}`)],
    ["a key that is no UTF-8", plain("01000000 0100000000000000 ff")],
    ["a kind that is none", plain(`04000000 ${K}`)],
    ["a batch in a batch", plain("03000000 0100000000000000 03000000 0000000000000000")],
    ["a byte too many", plain(`01000000 ${K} 00`)],
  ])("is none with %s", (_, hex) => {
    expect(decodeKvCommand(Uint8Array.fromHex(hex))).toBeNull();
  });

  test("is none with a write too many", () => {
    const one = plain(`01000000 ${K}`);
    const batchOf = (count: number): Uint8Array =>
      Uint8Array.fromHex(plain(`03000000 ${count.toString(16).padStart(2, "0")}00000000000000`) + one.repeat(count));
    expect(decodeKvCommand(batchOf(BATCH_WRITES_MAX))).not.toBeNull();
    expect(decodeKvCommand(batchOf(BATCH_WRITES_MAX + 1))).toBeNull();
  });

  test("has one encoding: what decodes is what was encoded", () => {
    for (const [, command] of COMMANDS) {
      const bytes = encodeKvCommand(command);
      for (let at = 0; at < bytes.length; at++) {
        const changed = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte));
        const decoded = decodeKvCommand(changed);
        if (decoded !== null) expect(encodeKvCommand(decoded)).toEqual(changed);
      }
    }
  });
});
