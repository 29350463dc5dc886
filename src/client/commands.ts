import { Fields } from "./fields.ts";
import { type CommandOutcome, outcomeOf, type QueryAnswer, queryAnswerOf } from "./outcome.ts";
import type { CallOptions, Patience } from "./patience.ts";
import { CretoError } from "./creto-error.ts";
import { type CommandId, type Session, SESSION_WINDOW } from "./session.ts";
import type { Transport } from "./transport.ts";
import { type Bytes, base64Of } from "./vertices.ts";

export interface CommandOptions extends CallOptions {
  /** Sends the command of this number again, as after a crash; the next number unless given. */
  readonly number?: number;
}

/** `local`: the state of the node that answers, which may lag; `linearizable`: all that was final when it was asked. */
export type Consistency = "local" | "linearizable";

export interface ReadOptions extends CallOptions {
  readonly consistency?: Consistency;
}

/** Half of what nodes remember, so that a chunk and what is sent beside it fit. */
const CHUNK = SESSION_WINDOW / 2;

/** Applied once, however often it is sent: all nodes know it by its client and number. */
export async function sendCommand(
  transport: Transport,
  command: Bytes,
  id: CommandId,
  patience: Patience,
): Promise<CommandOutcome> {
  const body = { ...id, command: base64Of(command) };
  const ask = { method: "POST", path: "/v1/commands", body, isRepeatable: true, nodeWaits: true } as const;
  const answer = await transport.ask(ask, patience);
  return outcomeOf(new Fields(answer.body, "outcome"), id);
}

/** All of them, at most a chunk at a time; a chunk's numbers follow each other. */
export async function sendCommands(
  transport: Transport,
  session: Session,
  commands: readonly Bytes[],
  patience: Patience,
): Promise<readonly CommandOutcome[]> {
  const outcomes: CommandOutcome[] = [];
  for (let at = 0; at < commands.length; at += CHUNK) {
    const chunk = commands.slice(at, at + CHUNK);
    outcomes.push(
      ...(await session.runMany(patience, chunk.length, (ids) => sendChunk(transport, chunk, ids, patience))),
    );
  }
  return outcomes;
}

async function sendChunk(
  transport: Transport,
  chunk: readonly Bytes[],
  ids: readonly CommandId[],
  patience: Patience,
): Promise<readonly CommandOutcome[]> {
  const commands = ids.map((id, index) => ({ ...id, command: base64Of(chunk[index] ?? "") }));
  const path = "/v1/commands/batch";
  const ask = { method: "POST", path, body: { commands }, isRepeatable: true, nodeWaits: true } as const;
  const { body, node } = await transport.ask(ask, patience);
  const outcomes = new Fields(body, "answer").list("outcomes", (fields) => fields);
  if (outcomes.length !== ids.length) {
    const what = `${node.url} answers ${ids.length} commands with ${outcomes.length} outcomes`;
    throw new CretoError("bad-answer", what, { node: node.url, mayHaveHappened: true });
  }
  return ids.flatMap((id, index) => {
    const fields = outcomes[index];
    return fields === undefined ? [] : [outcomeOf(fields, id)];
  });
}

/** What a node remembers of a command; null where it remembers none. */
export async function rememberedOutcome(
  transport: Transport,
  id: CommandId,
  patience: Patience,
): Promise<CommandOutcome | null> {
  try {
    const path = `/v1/commands/${id.client}/${id.number}`;
    const { body } = await transport.ask({ method: "GET", path, isRepeatable: true }, patience);
    return outcomeOf(new Fields(body, "outcome"), id);
  } catch (error) {
    if (error instanceof CretoError && error.code === "unknown-command") return null;
    throw error;
  }
}

export async function sendQuery(
  transport: Transport,
  question: Bytes,
  consistency: Consistency,
  patience: Patience,
): Promise<QueryAnswer> {
  const body = { question: base64Of(question), consistency };
  const ask = { method: "POST", path: "/v1/query", body, isRepeatable: true, nodeWaits: true } as const;
  const { body: answer } = await transport.ask(ask, patience);
  return queryAnswerOf(new Fields(answer, "answer"));
}
