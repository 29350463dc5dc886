import { describe, expect, test } from "bun:test";
import { type Codec, decode, encode } from "../../codec/codec.ts";
import { DecodeError } from "../../codec/reader.ts";
import { toHash } from "../../lib/hash.ts";
import type { Position } from "../../membership/ids.ts";
import { COMMAND_BODY_BYTES_MAX } from "../command.ts";
import { DATA_BYTES_MAX } from "./limits.ts";
import { recordCodec, type StateRecord } from "./records.ts";
import { decodeRefusal, type Refusal, refusalCodec } from "./refusal.ts";
import {
  decodeWorkflowCommand,
  encodeWorkflowCommand,
  type WorkflowCommand,
  type WorkflowResult,
  workflowCommandCodec,
  workflowResultCodec,
} from "./workflow-command.ts";
import {
  type WorkflowAnswer,
  type WorkflowQuestion,
  workflowAnswerCodec,
  workflowQuestionCodec,
} from "./workflow-query.ts";

const at = (position: number): Position => position as Position;
const DATA = Uint8Array.of(0xaa, 0xbb);
const HASH = toHash(new Uint8Array(32).fill(0x11));

/** `r`, `a`, `b`, `h`, `w`, the data, and other numbers, each as it is on the wire. */
const text = (hex: string): string => `${(hex.length / 2).toString(16).padStart(2, "0")}00000000000000 ${hex}`;
const [R, A, B, H, W, D] = ["72", "61", "62", "68", "77", "aabb"].map(text);
const u64 = (value: number): string => `${value.toString(16).padStart(2, "0")}00000000000000`;
const u32 = (value: number): string => `${value.toString(16).padStart(2, "0")}000000`;
const HELD = `${R} ${A} ${u64(2)} ${W}`;
const held = { run: "r", step: "a", attempt: 2, worker: "w" };
const step = { handler: "h", input: DATA, attemptsMax: 3, backoffMs: 7 };

const COMMANDS: readonly (readonly [WorkflowCommand, hex: string])[] = [
  [
    {
      kind: "start",
      run: "r",
      steps: [
        { name: "a", dependsOn: [], ...step },
        { name: "b", dependsOn: ["a"], ...step },
      ],
    },
    `00000000 ${R} ${u64(2)} ${A} ${H} ${u64(0)} ${D} ${u32(3)} ${u32(7)} ${B} ${H} ${u64(1)} ${A} ${D} ${u32(3)} ${u32(7)}`,
  ],
  [{ kind: "claim", worker: "w", handlers: ["h"], leaseMs: 1_000 }, `01000000 ${W} ${u64(1)} ${H} e8030000`],
  [{ kind: "heartbeat", ...held, leaseMs: 1_000 }, `02000000 ${HELD} e8030000`],
  [{ kind: "complete", ...held, output: DATA }, `03000000 ${HELD} ${D}`],
  [{ kind: "fail", ...held, reason: "b", isFinal: true }, `04000000 ${HELD} ${B} 01`],
  [{ kind: "release", ...held }, `05000000 ${HELD}`],
  [{ kind: "cancel", run: "r", reason: "" }, `06000000 ${R} ${u64(0)}`],
];

const given = { input: DATA, outputs: [{ step: "b", output: DATA }] };
const task = { run: "r", step: "a", handler: "h", attempt: 2, untilMs: 9 };
const TASK = `${R} ${A} ${H} ${u64(2)} ${u64(9)}`;

const RESULTS: readonly (readonly [WorkflowResult, hex: string])[] = [
  [{ kind: "started", isNew: true }, "00000000 01"],
  [{ kind: "claimed", nowMs: 5, task: null, nextMs: 8 }, `01000000 ${u64(5)} 00 01 ${u64(8)}`],
  [
    { kind: "claimed", nowMs: 5, task: { ...task, given }, nextMs: null },
    `01000000 ${u64(5)} 01 ${TASK} 01 ${D} ${u64(1)} ${B} ${D} 00`,
  ],
  [{ kind: "claimed", nowMs: 5, task: { ...task, given: null }, nextMs: null }, `01000000 ${u64(5)} 01 ${TASK} 00 00`],
  [{ kind: "extended", nowMs: 5, untilMs: 9 }, `02000000 ${u64(5)} ${u64(9)}`],
  [{ kind: "completed", released: 3, isRunEnded: false }, `03000000 ${u32(3)} 00`],
  [{ kind: "failed", retryMs: 6 }, `04000000 01 ${u64(6)}`],
  [{ kind: "released" }, "05000000"],
  [{ kind: "cancelled" }, "06000000"],
];

const QUESTIONS: readonly (readonly [WorkflowQuestion, hex: string])[] = [
  [{ kind: "status", run: "r" }, `00000000 ${R}`],
  [{ kind: "runs", after: at(4), limit: 2 }, `01000000 ${u64(4)} ${u32(2)}`],
  [{ kind: "output", run: "r", step: "a" }, `02000000 ${R} ${A}`],
  [{ kind: "given", run: "r", step: "a", from: 3 }, `03000000 ${R} ${A} ${u32(3)}`],
  [{ kind: "claimable", handlers: ["h"], byMs: 5 }, `04000000 ${u64(1)} ${H} ${u64(5)}`],
];

const running = { kind: "running" } as const;
const ended = { kind: "ended", how: "failed", reason: "b", atMs: 6, position: at(7) } as const;
const summary = { run: "r", started: at(4), startedAtMs: 5, steps: 2, completed: 1 };
const idle = { worker: null, timeMs: null, reason: null };

const ANSWERS: readonly (readonly [WorkflowAnswer, hex: string])[] = [
  [
    {
      kind: "status",
      run: { ...summary, state: running },
      steps: [
        { name: "a", handler: "h", state: "leased", attempt: 2, failures: 1, worker: "w", timeMs: 9, reason: null },
        { name: "b", handler: "h", state: "blocked", attempt: 0, failures: 0, ...idle },
      ],
    },
    `00000000 ${R} ${u64(4)} ${u64(5)} 00000000 ${u32(2)} ${u32(1)} ${u64(2)}
     ${A} ${H} 02 ${u64(2)} ${u32(1)} 01 ${W} 01 ${u64(9)} 00 ${B} ${H} 00 ${u64(0)} ${u32(0)} 00 00 00`,
  ],
  [
    { kind: "runs", runs: [{ ...summary, state: ended }], next: at(4) },
    `01000000 ${u64(1)} ${R} ${u64(4)} ${u64(5)} 01000000 01 ${B} ${u64(6)} ${u64(7)} ${u32(2)} ${u32(1)} 01 ${u64(4)}`,
  ],
  [{ kind: "output", output: DATA }, `02000000 01 ${D}`],
  [{ kind: "given", ...given, next: 3 }, `03000000 ${D} ${u64(1)} ${B} ${D} 01 ${u32(3)}`],
  [{ kind: "claimable", count: 2, nextMs: null }, `04000000 ${u32(2)} 00`],
  [{ kind: "unknown-run" }, "05000000"],
  [{ kind: "unknown-step" }, "06000000"],
];

const stepRecord = { kind: "step", run: "r", step: 1, name: "b", ...step, dependencies: [0] } as const;
const STEP = `01000000 ${R} ${u32(1)} ${B} ${H} ${u64(1)} ${u32(0)} ${D} ${u32(3)} ${u32(7)} ${u64(2)} ${u32(1)}`;
const counts = { attempt: 2, failures: 1 };

const RECORDS: readonly (readonly [StateRecord, hex: string])[] = [
  [
    { kind: "run", run: "r", steps: 2, definition: HASH, started: at(4), startedAtMs: 5, state: running },
    `00000000 ${R} ${u32(2)} ${HASH} ${u64(4)} ${u64(5)} 00000000`,
  ],
  [{ ...stepRecord, ...counts, state: { kind: "blocked" } }, `${STEP} 00000000`],
  [{ ...stepRecord, ...counts, state: { kind: "ready", fromMs: 6 } }, `${STEP} 01000000 ${u64(6)}`],
  [{ ...stepRecord, ...counts, state: { kind: "leased", worker: "w", untilMs: 6 } }, `${STEP} 02000000 ${W} ${u64(6)}`],
  [
    { ...stepRecord, ...counts, state: { kind: "completed", output: DATA, atMs: 6 } },
    `${STEP} 03000000 ${D} ${u64(6)}`,
  ],
  [{ ...stepRecord, ...counts, state: { kind: "failed", reason: "b", atMs: 6 } }, `${STEP} 04000000 ${B} ${u64(6)}`],
  [{ ...stepRecord, ...counts, state: { kind: "abandoned" } }, `${STEP} 05000000`],
];

const REFUSALS: readonly (readonly [Refusal, hex: string])[] = [
  [{ code: "malformed", step: null, dependency: null, attempt: null }, "00 00 00 00"],
  [{ code: "cycle", step: 1, dependency: 2, attempt: null }, `05 01 ${u32(1)} 01 ${u32(2)} 00`],
  [{ code: "lease-lost", step: 1, dependency: null, attempt: 3 }, `0b 01 ${u32(1)} 00 01 ${u64(3)}`],
];

const plain = (hex: string): string => hex.replaceAll(/\s/g, "");

function golden<T>(name: string, codec: Codec<T>, cases: readonly (readonly [T, string])[]): void {
  describe(name, () => {
    test.each(cases.map(([value, hex], index) => [index, value, hex] as const))("golden bytes %d", (_, value, hex) => {
      expect(encode(codec, value).toHex()).toBe(plain(hex));
      expect(decode(codec, Uint8Array.fromHex(plain(hex)))).toEqual(value);
    });

    test("has one encoding: what decodes is what was encoded", () => {
      for (const [value] of cases) {
        const bytes = encode(codec, value);
        for (let place = 0; place < bytes.length; place++) {
          const changed = Uint8Array.from(bytes, (byte, index) => (index === place ? byte ^ 1 : byte));
          try {
            expect(encode(codec, decode(codec, changed))).toEqual(changed);
          } catch (error) {
            if (!(error instanceof DecodeError)) throw error;
          }
        }
      }
    });
  });
}

golden("the commands", workflowCommandCodec, COMMANDS);
golden("the results", workflowResultCodec, RESULTS);
golden("the questions", workflowQuestionCodec, QUESTIONS);
golden("the answers", workflowAnswerCodec, ANSWERS);
golden("the records of the state", recordCodec, RECORDS);
golden("the refusals", refusalCodec, REFUSALS);

describe("a command to the workflow application", () => {
  const refused = (change: (hex: string) => string, place: number): void => {
    const [command] = COMMANDS[place] ?? [];
    if (command === undefined) throw new Error("no such command");
    const hex = encodeWorkflowCommand(command).toHex();
    expect(decodeWorkflowCommand(Uint8Array.fromHex(hex))).toEqual(command);
    expect(change(hex)).not.toBe(hex);
    expect(decodeWorkflowCommand(Uint8Array.fromHex(change(hex)))).toBeNull();
  };

  test("is none with a name that is none", () => {
    refused((hex) => hex.replace("0100000000000000" + "72", "0100000000000000" + "2f"), 6);
    refused((hex) => hex.replace("0100000000000000" + "72", "0000000000000000"), 6);
    refused((hex) => hex.replace("0100000000000000" + "72", `41000000000000${"00"}${"72".repeat(65)}`), 6);
  });

  test("is none with a lease that is too short or too long, and with no attempts or too many", () => {
    refused((hex) => hex.replace("e8030000", "e7030000"), 1);
    refused((hex) => hex.replace("e8030000", "81ee3600"), 1);
    refused((hex) => hex.replace("0300000007", "0000000007"), 0);
    refused((hex) => hex.replace("0300000007", "6500000007"), 0);
  });

  test("has room for an output of the largest size, under the longest names", () => {
    const name = "n".repeat(64);
    const output = new Uint8Array(DATA_BYTES_MAX);
    const command = { kind: "complete", run: name, step: name, attempt: 9, worker: name, output } as const;
    const bytes = encodeWorkflowCommand(command);
    expect(bytes.length).toBeLessThan(COMMAND_BODY_BYTES_MAX);
    expect(decodeWorkflowCommand(bytes)).toEqual(command);
  });

  test("is refused with a detail that says where", () => {
    const [refusal, hex] = REFUSALS[1] ?? [];
    expect(decodeRefusal(Uint8Array.fromHex(plain(hex ?? "")))).toEqual(refusal as Refusal);
  });
});
