import { expect, test } from "bun:test";
import { encode } from "../../src/codec/codec.ts";
import * as client from "../../src/client/workflow-codec.ts";
import { WorkflowRefused } from "../../src/client/workflow-refused.ts";
import type { Position } from "../../src/membership/ids.ts";
import { REFUSALS, refusalCodec } from "../../src/replication/workflow/refusal.ts";
import {
  encodeWorkflowCommand,
  encodeWorkflowResult,
  type WorkflowCommand,
} from "../../src/replication/workflow/workflow-command.ts";
import {
  encodeWorkflowAnswer,
  encodeWorkflowQuestion,
  type WorkflowQuestion,
} from "../../src/replication/workflow/workflow-query.ts";

// The client shares no line with the nodes: what it writes and reads is held against their codecs.
const lease = { run: "r-1", step: "a", attempt: 300, worker: "w" };
const data = Uint8Array.of(1, 2, 3);
const at = (position: number): Position => position as Position;

const COMMANDS: readonly (readonly [WorkflowCommand, Uint8Array])[] = [
  [
    {
      kind: "start",
      run: "r-1",
      steps: [
        { name: "a", handler: "a", dependsOn: [], input: new Uint8Array(0), attemptsMax: 3, backoffMs: 1_000 },
        { name: "b", handler: "h", dependsOn: ["a"], input: data, attemptsMax: 7, backoffMs: 0 },
      ],
    },
    client.startCommand("r-1", [
      { name: "a" },
      { name: "b", handler: "h", dependsOn: ["a"], input: data, attempts: 7, backoffMs: 0 },
    ]),
  ],
  [{ kind: "claim", worker: "w", handlers: ["a", "h"], leaseMs: 70_000 }, client.claimCommand("w", ["a", "h"], 70_000)],
  [{ kind: "heartbeat", ...lease, leaseMs: 1_000 }, client.heartbeatCommand(lease, 1_000)],
  [{ kind: "complete", ...lease, output: data }, client.completeCommand(lease, data)],
  [{ kind: "fail", ...lease, reason: "späť", isFinal: true }, client.failCommand(lease, "späť", true)],
  [{ kind: "release", ...lease }, client.releaseCommand(lease)],
  [{ kind: "cancel", run: "r-1", reason: "no" }, client.cancelCommand("r-1", "no")],
];

const QUESTIONS: readonly (readonly [WorkflowQuestion, Uint8Array])[] = [
  [{ kind: "status", run: "r-1" }, client.statusQuestion("r-1")],
  [{ kind: "runs", after: at(70_000), limit: 9 }, client.runsQuestion(70_000, 9)],
  [{ kind: "output", run: "r-1", step: "a" }, client.outputQuestion("r-1", "a")],
  [{ kind: "given", run: "r-1", step: "a", from: 2 }, client.givenQuestion("r-1", "a", 2)],
  [{ kind: "claimable", handlers: ["a"], byMs: 1_800_000_000_000 }, client.claimableQuestion(["a"], 1_800_000_000_000)],
];

test.each(COMMANDS.map(([command, bytes]) => [command.kind, bytes, command] as const))(
  "the client's bytes of a command are the nodes': %s",
  (_, bytes, command) => {
    expect(bytes.toHex()).toBe(encodeWorkflowCommand(command).toHex());
  },
);

test.each(QUESTIONS.map(([question, bytes]) => [question.kind, bytes, question] as const))(
  "the client's bytes of a question are the nodes': %s",
  (_, bytes, question) => {
    expect(bytes.toHex()).toBe(encodeWorkflowQuestion(question).toHex());
  },
);

test("the client reads what nodes answer a claim", () => {
  const given = { input: data, outputs: [{ step: "b", output: data }] };
  const task = { run: "r-1", step: "a", handler: "h", attempt: 2, untilMs: 9, given };
  const bytes = encodeWorkflowResult({ kind: "claimed", nowMs: 5, task, nextMs: null });
  const read = client.readResult("claimed", bytes, client.claimedOf);
  expect(read).toEqual({ nowMs: 5, task: { ...task, given: { input: data, outputs: [["b", data]] } }, nextMs: null });
  const nothing = encodeWorkflowResult({ kind: "claimed", nowMs: 5, task: null, nextMs: 8 });
  expect(client.readResult("claimed", nothing, client.claimedOf)).toEqual({ nowMs: 5, task: null, nextMs: 8 });
});

test("the client reads a status, of runs that go on and that ended", () => {
  const summary = { run: "r-1", started: at(4), startedAtMs: 5, steps: 2, completed: 1 };
  const step = { name: "a", handler: "h", attempt: 2, failures: 1, worker: "w", timeMs: 9, reason: null };
  const steps = [
    { ...step, state: "leased" as const },
    { ...step, name: "b", state: "failed" as const, worker: null, timeMs: null, reason: "it broke" },
  ];
  const running = { ...summary, state: { kind: "running" as const } };
  const read = client.readAnswer(
    "status",
    encodeWorkflowAnswer({ kind: "status", run: running, steps }),
    client.statusOf,
  );
  const common = { run: "r-1", position: 4, startedAtMs: 5, steps: 2, completed: 1 };
  expect(read).toEqual({ ...common, state: "running", reason: null, endedAtMs: null, all: steps });
  for (const [how, reason] of [
    ["completed", null],
    ["failed", "why"],
    ["cancelled", "why"],
  ] as const) {
    const state = { kind: "ended", how, reason: reason ?? "", atMs: 6, position: at(7) } as const;
    const bytes = encodeWorkflowAnswer({ kind: "status", run: { ...summary, state }, steps: [] });
    const ended = client.readAnswer("status", bytes, client.statusOf);
    expect(ended).toEqual({ ...common, state: how, reason, endedAtMs: 6, all: [] });
  }
});

test("the client knows every refusal of the nodes, and answers that are none", () => {
  for (const code of REFUSALS) {
    const detail = encode(refusalCodec, { code, step: 1, dependency: null, attempt: 9 });
    const refused = new WorkflowRefused("in words", detail);
    expect([refused.code, refused.refusal, refused.step, refused.dependency, refused.attempt]).toEqual([
      "workflow-refused",
      code,
      1,
      null,
      9,
    ]);
  }
  expect(client.readAnswer("output", encodeWorkflowAnswer({ kind: "unknown-step" }), () => 0)).toBe("unknown-step");
  const wrong = encodeWorkflowResult({ kind: "released" });
  expect(() => client.readResult("claimed", wrong, client.claimedOf)).toThrow("of this library's version");
  expect(() => client.readResult("claimed", Uint8Array.of(1, 0, 0, 0, 9), client.claimedOf)).toThrow("bytes missing");
});
