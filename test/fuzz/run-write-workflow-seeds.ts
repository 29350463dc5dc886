/** Writes the seeds of workflow-targets.ts by the real encoders. Run by hand after a change of a format: `node scripts/bun.cjs test/fuzz/run-write-workflow-seeds.ts`. */
import { type Codec, encode } from "../../src/codec/codec.ts";
import { toHash } from "../../src/lib/hash.ts";
import type { Position } from "../../src/membership/ids.ts";
import { recordCodec, type StateRecord, type StepState } from "../../src/replication/workflow/records.ts";
import { REFUSALS, refusalCodec } from "../../src/replication/workflow/refusal.ts";
import {
  type WorkflowCommand,
  type WorkflowResult,
  workflowCommandCodec,
  workflowResultCodec,
} from "../../src/replication/workflow/workflow-command.ts";
import {
  type WorkflowAnswer,
  type WorkflowQuestion,
  workflowAnswerCodec,
  workflowQuestionCodec,
} from "../../src/replication/workflow/workflow-query.ts";
import { keep } from "./corpus.ts";

function seeds<T extends { readonly kind: string }>(target: string, codec: Codec<T>, values: readonly T[]): void {
  for (const [place, value] of values.entries()) keep(target, `seed-${place}-${value.kind}`, encode(codec, value));
}

const at = (position: number): Position => position as Position;
const data = Uint8Array.of(1, 2);
const plain = { handler: "h", input: data, attemptsMax: 2, backoffMs: 5 };
const held = { run: "r", step: "b", attempt: 1, worker: "w" };

const commands: readonly WorkflowCommand[] = [
  {
    kind: "start",
    run: "s",
    steps: [
      { ...plain, name: "a", dependsOn: ["b"] },
      { ...plain, name: "b", dependsOn: [] },
    ],
  },
  { kind: "start", run: "s", steps: [{ ...plain, name: "a", dependsOn: ["a"] }] },
  { kind: "claim", worker: "w", handlers: ["h", "g"], leaseMs: 1_000 },
  { kind: "heartbeat", ...held, leaseMs: 2_000 },
  { kind: "complete", ...held, output: data },
  { kind: "fail", ...held, reason: "why", isFinal: false },
  { kind: "release", ...held },
  { kind: "cancel", run: "r", reason: "why" },
];
seeds("workflow-command", workflowCommandCodec, commands);

const given = { input: data, outputs: [{ step: "a", output: data }] };
const task = { run: "r", step: "c", handler: "h", attempt: 1, untilMs: 9, given };
const results: readonly WorkflowResult[] = [
  { kind: "started", isNew: true },
  { kind: "claimed", nowMs: 5, task, nextMs: null },
  { kind: "claimed", nowMs: 5, task: null, nextMs: 7 },
  { kind: "extended", nowMs: 5, untilMs: 9 },
  { kind: "completed", released: 1, isRunEnded: false },
  { kind: "failed", retryMs: 9 },
];
seeds("workflow-result", workflowResultCodec, results);

const questions: readonly WorkflowQuestion[] = [
  { kind: "status", run: "r" },
  { kind: "runs", after: at(0), limit: 5 },
  { kind: "output", run: "r", step: "a" },
  { kind: "given", run: "r", step: "c", from: 0 },
  { kind: "claimable", handlers: ["h"], byMs: 5 },
];
seeds("workflow-question", workflowQuestionCodec, questions);

const ended = { kind: "ended", how: "cancelled", reason: "why", atMs: 6, position: at(7) } as const;
const run = { run: "r", started: at(4), startedAtMs: 5, state: ended, steps: 1, completed: 0 };
const step = { name: "a", handler: "h", attempt: 1, failures: 0, worker: "w", timeMs: 9, reason: null };
const answers: readonly WorkflowAnswer[] = [
  { kind: "status", run, steps: [{ ...step, state: "leased" }] },
  { kind: "runs", runs: [run, run], next: at(4) },
  { kind: "output", output: data },
  { kind: "given", ...given, next: 1 },
  { kind: "claimable", count: 3, nextMs: 9 },
  { kind: "unknown-run" },
];
seeds("workflow-answer", workflowAnswerCodec, answers);

const states: readonly StepState[] = [
  { kind: "ready", fromMs: 5 },
  { kind: "leased", worker: "w", untilMs: 9 },
  { kind: "completed", output: data, atMs: 6 },
  { kind: "failed", reason: "why", atMs: 6 },
];
const definition = toHash(new Uint8Array(32).fill(1));
const records: readonly StateRecord[] = [
  { kind: "run", run: "r", steps: 1, definition, started: at(4), startedAtMs: 5, state: ended },
  ...states.map((state): StateRecord => {
    const place = { kind: "step", run: "r", step: 0, name: "a", dependencies: [], attempt: 1, failures: 0 } as const;
    return { ...place, ...plain, state };
  }),
];
seeds("workflow-record", recordCodec, records);
for (const code of REFUSALS.slice(0, 3))
  keep("workflow-refusal", `seed-${code}`, encode(refusalCodec, { code, step: 1, dependency: null, attempt: 2 }));
