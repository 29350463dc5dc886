import { getOutcome, postCommand, postCommands, postQuery } from "./application-routes.ts";
import { BATCH_PAYLOADS_MAX, WAIT_MS_DEFAULT, WAIT_MS_MAX } from "./limits.ts";
import type { ProblemKind } from "./problem.ts";
import type { Parameter, Route } from "./route.ts";
import { BASE64, CLIENT, NUMBER, object } from "./schema-parts.ts";

export const TIMEOUT: Parameter = {
  name: "timeoutMs",
  description: "how long to wait, in milliseconds",
  schema: { type: "integer", minimum: 1, maximum: WAIT_MS_MAX, default: WAIT_MS_DEFAULT },
};

export const NAME_HEADERS: readonly Parameter[] = [
  { name: "x-cretoai-client", description: "chosen by the client at random, once", schema: CLIENT },
  { name: "x-cretoai-number", description: "the client's number of this command, from 1", schema: NUMBER },
];

export const CONSISTENCY = {
  type: "string",
  enum: ["linearizable", "local"],
  default: "linearizable",
  description: "`linearizable`: all that anybody was told before this request is in it; `local`: quick, may lag",
} as const;

/** What may keep anything from being ordered. */
export const ORDER_PROBLEMS: readonly ProblemKind[] = [
  "overloaded",
  "not-ready",
  "observer",
  "stopping",
  "storage-failed",
  "timeout",
];

const COMMAND = object({ client: CLIENT, number: NUMBER, command: BASE64 });

const COMMAND_PROBLEMS: readonly ProblemKind[] = [
  "malformed",
  "no-application",
  "number-forgotten",
  "payload-too-large",
  "unsupported-media-type",
  ...ORDER_PROBLEMS,
];

/** Routes of every replicated application. */
export const APPLICATION_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/commands",
    summary:
      "Have a command take effect once, however often and wherever it is sent under its number: JSON, or the body's bytes with the name in headers. Answered with what became of it; after a 504 it may be sent again as it was",
    query: [TIMEOUT],
    headers: NAME_HEADERS,
    body: { "application/json": COMMAND, "application/octet-stream": {} },
    answers: { 200: "Outcome" },
    problems: COMMAND_PROBLEMS,
    handle: postCommand,
  },
  {
    method: "POST",
    path: "/v1/commands/batch",
    summary: `Up to ${BATCH_PAYLOADS_MAX} commands; answered in their order when the last has taken effect`,
    query: [TIMEOUT],
    body: {
      "application/json": object({ commands: { type: "array", items: COMMAND, maxItems: BATCH_PAYLOADS_MAX } }),
    },
    answers: { 200: "Outcomes" },
    problems: [...COMMAND_PROBLEMS, "batch-too-large"],
    handle: postCommands,
  },
  {
    method: "GET",
    path: "/v1/commands/{client}/{number}",
    summary: "What this node remembers of a command; one that lags knows less, and says so by 404",
    answers: { 200: "Outcome" },
    problems: ["malformed", "no-application", "unknown-command", "number-forgotten"],
    handle: getOutcome,
  },
  {
    method: "POST",
    path: "/v1/query",
    summary: "Ask the application a question, in its own encoding",
    query: [TIMEOUT],
    body: { "application/json": object({ question: BASE64 }, { consistency: CONSISTENCY }) },
    answers: { 200: "QueryAnswer" },
    problems: [
      "malformed",
      "malformed-question",
      "no-application",
      "query-refused",
      "unsupported-media-type",
      ...ORDER_PROBLEMS,
    ],
    handle: postQuery,
  },
];
