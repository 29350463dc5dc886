import { type Bytes, bytesOf } from "./vertices.ts";
import { ByteReader, ByteWriter } from "./workflow-bytes.ts";
import {
  type RunStatus,
  type RunSummary,
  STEP_STATES,
  type StepLease,
  type StepStatus,
  type WorkflowStep,
} from "./workflow-types.ts";

const ATTEMPTS = 3;
const BACKOFF_MS = 1_000;

/** Tags of commands and questions, and of their results and answers. */
const COMMAND = { start: 0, claim: 1, heartbeat: 2, complete: 3, fail: 4, release: 5, cancel: 6 } as const;
const RESULT = { started: 0, claimed: 1, extended: 2, completed: 3, failed: 4, released: 5, cancelled: 6 } as const;
const QUESTION = { status: 0, runs: 1, output: 2, given: 3, claimable: 4 } as const;
const UNKNOWN = { 5: "unknown-run", 6: "unknown-step" } as const;

const command = (kind: keyof typeof COMMAND): ByteWriter => new ByteWriter().u32(COMMAND[kind]);
const question = (kind: keyof typeof QUESTION): ByteWriter => new ByteWriter().u32(QUESTION[kind]);

function leased(kind: keyof typeof COMMAND, { run, step, attempt, worker }: StepLease): ByteWriter {
  return command(kind).text(run).text(step).u64(attempt).text(worker);
}

export function startCommand(run: string, steps: readonly WorkflowStep[]): Uint8Array {
  const writer = command("start").text(run);
  return writer
    .list(
      steps,
      ({ name, handler = name, dependsOn = [], input = "", attempts = ATTEMPTS, backoffMs = BACKOFF_MS }) => {
        writer
          .text(name)
          .text(handler)
          .list(dependsOn, (each) => writer.text(each));
        writer.bytes(bytesOf(input)).u32(attempts).u32(backoffMs);
      },
    )
    .finish();
}

export function claimCommand(worker: string, handlers: readonly string[], leaseMs: number): Uint8Array {
  const writer = command("claim").text(worker);
  return writer
    .list(handlers, (each) => writer.text(each))
    .u32(leaseMs)
    .finish();
}

export function heartbeatCommand(lease: StepLease, leaseMs: number): Uint8Array {
  return leased("heartbeat", lease).u32(leaseMs).finish();
}

export function completeCommand(lease: StepLease, output: Bytes): Uint8Array {
  return leased("complete", lease).bytes(bytesOf(output)).finish();
}

export function failCommand(lease: StepLease, reason: string, isFinal: boolean): Uint8Array {
  return leased("fail", lease)
    .text(reason)
    .u8(isFinal ? 1 : 0)
    .finish();
}

export function releaseCommand(lease: StepLease): Uint8Array {
  return leased("release", lease).finish();
}

export function cancelCommand(run: string, reason: string): Uint8Array {
  return command("cancel").text(run).text(reason).finish();
}

export function statusQuestion(run: string): Uint8Array {
  return question("status").text(run).finish();
}

export function runsQuestion(after: number, limit: number): Uint8Array {
  return question("runs").u64(after).u32(limit).finish();
}

export function outputQuestion(run: string, step: string): Uint8Array {
  return question("output").text(run).text(step).finish();
}

export function givenQuestion(run: string, step: string, from: number): Uint8Array {
  return question("given").text(run).text(step).u32(from).finish();
}

export function claimableQuestion(handlers: readonly string[], byMs: number): Uint8Array {
  const writer = question("claimable");
  return writer
    .list(handlers, (each) => writer.text(each))
    .u64(byMs)
    .finish();
}

/** The result of a command of that kind. @throws CretoError `bad-answer` */
export function readResult<T>(kind: keyof typeof RESULT, bytes: Uint8Array, read: (reader: ByteReader) => T): T {
  return whole(bytes, RESULT[kind], read);
}

/** The answer to a question of that kind. @throws CretoError `bad-answer` */
export function readAnswer<T>(
  kind: keyof typeof QUESTION,
  bytes: Uint8Array,
  read: (reader: ByteReader) => T,
): T | "unknown-run" | "unknown-step" {
  const tag = new ByteReader(bytes).u32();
  if (tag === 5 || tag === 6) return UNKNOWN[tag];
  return whole(bytes, QUESTION[kind], read);
}

export interface Given {
  readonly input: Uint8Array;
  readonly outputs: readonly (readonly [step: string, output: Uint8Array])[];
}

export interface ClaimResult {
  readonly nowMs: number;
  readonly task: {
    readonly run: string;
    readonly step: string;
    readonly handler: string;
    readonly attempt: number;
    readonly untilMs: number;
    /** Null where it has to be asked for. */
    readonly given: Given | null;
  } | null;
  readonly nextMs: number | null;
}

export function claimedOf(reader: ByteReader): ClaimResult {
  return {
    nowMs: reader.u64(),
    task: reader.option(() => ({
      run: reader.text(),
      step: reader.text(),
      handler: reader.text(),
      attempt: reader.u64(),
      untilMs: reader.u64(),
      given: reader.option(() => givenOf(reader)),
    })),
    nextMs: reader.option(() => reader.u64()),
  };
}

export function givenOf(reader: ByteReader): Given {
  return { input: reader.bytes(), outputs: reader.list(() => [reader.text(), reader.bytes()] as const) };
}

export function statusOf(reader: ByteReader): RunStatus {
  return { ...summaryOf(reader), all: reader.list(() => stepOf(reader)) };
}

export function summaryOf(reader: ByteReader): RunSummary {
  const [run, position, startedAtMs] = [reader.text(), reader.u64(), reader.u64()];
  const isRunning = reader.word(["running", "ended"], reader.u32()) === "running";
  const state = isRunning ? "running" : reader.word(["completed", "failed", "cancelled"]);
  const reason = isRunning ? "" : reader.text();
  const endedAtMs = isRunning ? null : reader.u64();
  if (!isRunning) reader.u64();
  const [steps, completed] = [reader.u32(), reader.u32()];
  const why = state === "failed" || state === "cancelled" ? reason : null;
  return { run, position, startedAtMs, state, reason: why, endedAtMs, steps, completed };
}

function stepOf(reader: ByteReader): StepStatus {
  return {
    name: reader.text(),
    handler: reader.text(),
    state: reader.word(STEP_STATES),
    attempt: reader.u64(),
    failures: reader.u32(),
    worker: reader.option(() => reader.text()),
    timeMs: reader.option(() => reader.u64()),
    reason: reader.option(() => reader.text()),
  };
}

function whole<T>(bytes: Uint8Array, wanted: number, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(bytes);
  const tag = reader.u32();
  if (tag !== wanted) reader.fail(`kind ${tag}, not ${wanted}`);
  const value = read(reader);
  reader.end();
  return value;
}
