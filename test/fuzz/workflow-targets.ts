import { decode, encode } from "../../src/codec/codec.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import { compareHashes, ZERO_HASH } from "../../src/lib/hash.ts";
import type { Position, Sequence } from "../../src/membership/ids.ts";
import type { ClientId } from "../../src/replication/command.ts";
import { RESULT_KEPT_BYTES } from "../../src/replication/outcome.ts";
import { type CommandContext, CommandRejected, QueryRefused } from "../../src/replication/replicated.ts";
import { pathOf, recordCodec, type StateRecord } from "../../src/replication/workflow/records.ts";
import { decodeRefusal, refusalCodec } from "../../src/replication/workflow/refusal.ts";
import {
  decodeWorkflowResult,
  encodeWorkflowCommand,
  type WorkflowCommand,
  workflowCommandCodec,
  workflowResultCodec,
} from "../../src/replication/workflow/workflow-command.ts";
import {
  workflowAnswerCodec,
  type WorkflowQuestion,
  workflowQuestionCodec,
} from "../../src/replication/workflow/workflow-query.ts";
import { Workflows } from "../../src/replication/workflow/workflows.ts";
import { codecTarget, promise, type Target } from "./target.ts";

function contextAt(position: number, timestampMs: number): CommandContext {
  return {
    position: position as Position,
    sequence: position as Sequence,
    timestampMs,
    creator: "c".repeat(64) as NodeId,
    client: "0".repeat(32) as ClientId,
    number: 1,
    seed: new Uint8Array(32),
  };
}

/** A run of three steps: one has completed, one is held, and one waits for both. */
function filled(): Workflows {
  const workflows = new Workflows();
  const plain = { handler: "h", dependsOn: [], input: Uint8Array.of(1), attemptsMax: 2, backoffMs: 5 };
  const steps = [
    { ...plain, name: "a" },
    { ...plain, name: "b" },
    { ...plain, name: "c", dependsOn: ["a", "b"] },
  ];
  const claim = { kind: "claim", worker: "w", handlers: ["h"], leaseMs: 1_000 } as const;
  const complete = {
    kind: "complete",
    run: "r",
    step: "a",
    attempt: 1,
    worker: "w",
    output: Uint8Array.of(2),
  } as const;
  const commands: readonly WorkflowCommand[] = [{ kind: "start", run: "r", steps }, claim, claim, complete];
  for (const [at, command] of commands.entries())
    workflows.apply(encodeWorkflowCommand(command), contextAt(at + 1, 1_000));
  return workflows;
}

function applied(command: WorkflowCommand): string {
  const workflows = filled();
  const before = workflows.stateHash().toHex();
  try {
    const result = workflows.apply(encodeWorkflowCommand(command), contextAt(9, 1_500));
    promise(result.length <= RESULT_KEPT_BYTES, "a result that is not remembered");
    const copy = new Workflows();
    copy.restore(workflows.snapshot());
    promise(copy.stateHash().toHex() === workflows.stateHash().toHex(), "a snapshot of the state is another state");
    return decodeWorkflowResult(result).kind;
  } catch (error) {
    if (!(error instanceof CommandRejected)) throw error;
    promise(workflows.stateHash().toHex() === before, "a command that was refused changed the state");
    return decodeRefusal(error.detail).code;
  }
}

const questioned = filled();

function answered(question: WorkflowQuestion): string {
  try {
    return decode(workflowAnswerCodec, questioned.query(encode(workflowQuestionCodec, question))).kind;
  } catch (error) {
    if (!(error instanceof QueryRefused)) throw error;
    return error.code;
  }
}

/** The record that makes a whole state of this one, where that can be. */
function partnerOf(record: StateRecord): StateRecord {
  const plain = { run: record.run, attempt: 1, failures: 0 };
  if (record.kind === "run") {
    const state = { kind: "completed", output: new Uint8Array(1), atMs: 1 } as const;
    const step = { step: 0, name: "a", handler: "h", dependencies: [], input: new Uint8Array(1) };
    return { kind: "step", ...plain, ...step, attemptsMax: 1, backoffMs: 0, state };
  }
  const isOpen = ["blocked", "ready", "leased"].includes(record.state.kind);
  const ended = { kind: "ended", how: "failed", reason: "", atMs: 1, position: 1 as Position } as const;
  const state = isOpen ? ({ kind: "running" } as const) : ended;
  const started = { started: 1 as Position, startedAtMs: 1 };
  return { kind: "run", run: record.run, steps: 1, definition: ZERO_HASH, ...started, state };
}

/** A record in a snapshot: it is refused, or there is a state that goes on. */
function restored(record: StateRecord): string {
  const workflows = new Workflows();
  const records = [record, partnerOf(record)].sort((left, right) => compareHashes(pathOf(left), pathOf(right)));
  try {
    workflows.restore(records.map((each) => encode(recordCodec, each)));
  } catch (error) {
    if (error instanceof Error && error.name === "Bug") throw error;
    return "refused";
  }
  const [copy, hash] = [new Workflows(), workflows.stateHash().toHex()];
  copy.restore(workflows.snapshot());
  promise(copy.stateHash().toHex() === hash, "a snapshot of the state is another state");
  const handlers = record.kind === "step" ? [record.handler] : ["h"];
  const claim = encodeWorkflowCommand({ kind: "claim", worker: "w", handlers, leaseMs: 1_000 });
  const result = decodeWorkflowResult(workflows.apply(claim, contextAt(9, 2_000)));
  return result.kind === "claimed" && result.task !== null ? "claimed" : "nothing to claim";
}

export const WORKFLOW_TARGETS: readonly Target[] = [
  codecTarget("workflow-command", workflowCommandCodec, applied),
  codecTarget("workflow-result", workflowResultCodec),
  codecTarget("workflow-question", workflowQuestionCodec, answered),
  codecTarget("workflow-answer", workflowAnswerCodec),
  codecTarget("workflow-record", recordCodec, restored),
  codecTarget("workflow-refusal", refusalCodec),
];
