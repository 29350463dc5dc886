import type { ApplicationService, CommandOutcome, Consistency } from "../node/application-service.ts";
import { NodeError } from "../node/service.ts";
import type { Command } from "../replication/command.ts";
import { base64Bytes, readObject } from "./bodies.ts";
import { nameOf, readCommand, readCommands } from "./command-bodies.ts";
import { type Call, json, numberOf } from "./handlers.ts";
import { WAIT_MS_DEFAULT, WAIT_MS_MAX } from "./limits.ts";
import { ApiProblem } from "./problem.ts";

export async function postCommand(call: Call): Promise<Response> {
  const application = applicationOf(call);
  const timeoutMs = timeoutOf(call.query);
  const outcome = await perform(application, await readCommand(call.request), timeoutMs);
  return json(outcomeBody(outcome));
}

export async function postCommands(call: Call): Promise<Response> {
  const application = applicationOf(call);
  const timeoutMs = timeoutOf(call.query);
  const commands = await readCommands(call.request);
  const outcomes = commands.length === 0 ? [] : await application.command(commands, { timeoutMs });
  return json({ outcomes: outcomes.map(outcomeBody) });
}

export function getOutcome(call: Call): Response {
  const application = applicationOf(call);
  const [who = "", which = ""] = call.parameter.split(/\/|%2f/i);
  const { client, number } = nameOf(who, /^[1-9]\d{0,15}$/.test(which) ? Number(which) : null, "the path's ");
  const outcome = application.outcome(client, number);
  if (outcome === null) {
    throw new ApiProblem("unknown-command", `nothing is remembered here of number ${number} of client ${client}`);
  }
  if (outcome !== "forgotten") return json(outcomeBody(outcome));
  throw new ApiProblem(
    "number-forgotten",
    `number ${number} of client ${client} is too old: it was applied long ago, or never will be`,
  );
}

export async function postQuery(call: Call): Promise<Response> {
  const application = applicationOf(call);
  const timeoutMs = timeoutOf(call.query);
  const body = await readObject(call.request, ["question", "consistency"]);
  const question = base64Bytes(body["question"], "question");
  const consistency = consistencyOf(body["consistency"] ?? null);
  const { answer, position, batch, stateHash } = await application.query(question, { consistency, timeoutMs });
  return json({ answer: answer.toBase64(), position, batch, stateHash });
}

/** Whatever becomes of one command; where that is not known, the problem names it for who asks later. */
export async function perform(
  application: ApplicationService,
  command: Command,
  timeoutMs: number,
): Promise<CommandOutcome> {
  try {
    const [outcome] = await application.command([command], { timeoutMs });
    if (outcome !== undefined) return outcome;
    throw new Error("one command has one outcome");
  } catch (error) {
    if (!(error instanceof NodeError) || error.code !== "timeout") throw error;
    const { client, number } = command;
    throw new ApiProblem("timeout", error.message, { extra: { client, number } });
  }
}

export function applicationOf({ application }: Call): ApplicationService {
  if (application !== null) return application;
  throw new ApiProblem(
    "no-application",
    "this network runs no replicated application: its genesis names one where it does",
  );
}

/** Safe unless the caller wants it quick. */
export function consistencyOf(value: unknown): Consistency {
  if (value === null) return "linearizable";
  if (value === "local" || value === "linearizable") return value;
  throw new ApiProblem("malformed", 'consistency must be "linearizable" (the default) or "local"');
}

export function timeoutOf(query: URLSearchParams): number {
  return numberOf(query, "timeoutMs", { min: 1, max: WAIT_MS_MAX, fallback: WAIT_MS_DEFAULT });
}

function outcomeBody(outcome: CommandOutcome): Readonly<Record<string, unknown>> {
  const { client, number, status, reason, position, sequence, hash, stateHash, isReplay } = outcome;
  return {
    client,
    number,
    status,
    result: resultBody(outcome),
    reason,
    position,
    batch: sequence,
    hash,
    stateHash,
    isReplay,
  };
}

/** Null where it was too large to be remembered, and where a refusal has no more than its reason. */
function resultBody({ status, result }: CommandOutcome): string | null {
  if (result.kind === "hash" || (status === "rejected" && result.bytes.length === 0)) return null;
  return result.bytes.toBase64();
}
