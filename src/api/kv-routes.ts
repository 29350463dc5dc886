import type { ApplicationService, ApplicationStanding, CommandOutcome } from "../node/application-service.ts";
import type { Position } from "../membership/ids.ts";
import { VALUE_BYTES_MAX } from "../replication/key-value/entry.ts";
import { keyFault } from "../replication/key-value/key.ts";
import {
  CONFLICT,
  decodeConflict,
  decodeWritten,
  encodeKvCommand,
  type Expected,
  type KvWrite,
} from "../replication/key-value/kv-command.ts";
import {
  decodeAnswer,
  encodeQuestion,
  type KvAnswer,
  type KvQuestion,
  RANGE_ENTRIES_MAX,
} from "../replication/key-value/kv-query.ts";

import { applicationOf, consistencyOf, perform, timeoutOf } from "./application-routes.ts";
import { readBody } from "./bodies.ts";
import { nameOfHeaders } from "./command-bodies.ts";
import { type Call, json, numberOf } from "./handlers.ts";
import { PAGE_ITEMS_DEFAULT } from "./limits.ts";
import type { CommandName } from "./own-clients.ts";
import { ApiProblem } from "./problem.ts";

const STORE = "key-value";

export async function getKey(call: Call): Promise<Response> {
  const key = keyOf(call);
  const { entry } = (await ask(call, { kind: "get", key })).answer;
  if (entry === null) throw new ApiProblem("no-such-key", `there is no key ${JSON.stringify(key)}`);
  const { value, version } = entry;
  const answer = json({ key, value: value.toBase64(), version });
  answer.headers.set("etag", `"${version}"`);
  return answer;
}

export async function putKey(call: Call): Promise<Response> {
  const key = keyOf(call);
  const expected = expectedOf(call.request.headers);
  const value = await readBody(call.request);
  if (value.length > VALUE_BYTES_MAX) {
    const what = `a value of ${value.length} bytes, at most ${VALUE_BYTES_MAX} are allowed`;
    throw new ApiProblem("payload-too-large", `${what}: keep it elsewhere, and its hash here`);
  }
  if (expected === null) return await write(call, { kind: "put", key, value });
  return await write(call, { kind: "compare-and-set", key, expected, next: value });
}

export async function deleteKey(call: Call): Promise<Response> {
  const key = keyOf(call);
  const expected = expectedOf(call.request.headers);
  if (expected === null) return await write(call, { kind: "delete", key });
  return await write(call, { kind: "compare-and-set", key, expected, next: null });
}

export async function getRange(call: Call): Promise<Response> {
  storeOf(call);
  requireUtf8(call.request.url);
  const { query } = call;
  if (query.has("key")) throw new ApiProblem("malformed", "a range has no key: ask for /v1/kv/{key}, or /v1/kv/?key=");
  const { answer, position, batch, stateHash } = await ask(call, {
    kind: "range",
    prefix: boundOf(query, "prefix") ?? "",
    from: boundOf(query, "from"),
    to: boundOf(query, "to"),
    limit: numberOf(query, "limit", { min: 1, max: RANGE_ENTRIES_MAX, fallback: PAGE_ITEMS_DEFAULT }),
    reverse: flagOf(query, "reverse"),
  });
  const items = answer.entries.map(({ key, value, version }) => ({ key, value: value.toBase64(), version }));
  return json({ items, next: answer.next, position, batch, stateHash });
}

/** @throws ApiProblem where the application is another one, or none */
export function requireNamed(application: ApplicationService, name: string): void {
  if (application.name === name) return;
  throw new ApiProblem("no-application", `this network runs ${JSON.stringify(application.name)}, not "${name}"`);
}

/** A text that can begin a key. */
export function requireBound(text: string, name: string): string {
  const fault = text === "" ? null : keyFault(text);
  if (fault === null) return text;
  throw new ApiProblem("malformed", `${name} must be a key or the beginning of one: ${fault}`);
}

function storeOf(call: Call): ApplicationService {
  const application = applicationOf(call);
  requireNamed(application, STORE);
  return application;
}

/** Answers of the same kind as their questions, and the state that they are of. */
async function ask<K extends "get" | "range">(
  call: Call,
  question: Extract<KvQuestion, { kind: K }>,
): Promise<ApplicationStanding & { readonly answer: Extract<KvAnswer, { kind: K }> }> {
  const consistency = consistencyOf(call.query.get("consistency"));
  const options = { consistency, timeoutMs: timeoutOf(call.query) };
  const { answer, ...standing } = await storeOf(call).query(encodeQuestion(question), options);
  return { ...standing, answer: decodeAnswer(answer) as Extract<KvAnswer, { kind: K }> };
}

async function write(call: Call, wanted: KvWrite): Promise<Response> {
  const application = storeOf(call);
  const timeoutMs = timeoutOf(call.query);
  const body = encodeKvCommand(wanted);
  const named = nameOfHeaders(call.request.headers);
  const send = (name: CommandName): Promise<CommandOutcome> => perform(application, { ...name, body }, timeoutMs);
  const outcome = named === null ? await call.ownClients.run(send) : await send(named);
  const { position, sequence, stateHash, isReplay } = outcome;
  const previous = previousOf(outcome);
  const answer = json({ version: position, previous, batch: sequence, stateHash, isReplay });
  if (wanted.kind === "put" || (wanted.kind === "compare-and-set" && wanted.next !== null)) {
    answer.headers.set("etag", `"${position}"`);
  }
  return answer;
}

/** The version before an applied write. @throws ApiProblem `version-conflict` with the one that was met */
function previousOf({ status, result, reason, client, number }: CommandOutcome): number | null {
  if (result.kind === "bytes" && status === "applied") {
    const [written, ...others] = decodeWritten(result.bytes);
    if (written !== undefined && others.length === 0) return written.previous;
  }
  if (result.kind === "bytes" && reason === CONFLICT) {
    const { current } = decodeConflict(result.bytes);
    const what = current === null ? "the key is not there" : `the key has version ${current}`;
    throw new ApiProblem("version-conflict", `${what}: read it anew, and decide again`, { extra: { current } });
  }
  throw new ApiProblem("number-used", `number ${number} of client ${client} was another command: number on from there`);
}

/**
 * Percent-encoded in the path, because a bare slash of a key is one folder more to proxies in between; or, where the path's
 * is empty, in `?key=`: "." and ".." are folders to every client of HTTP, escaped or not (WHATWG URL §4.4).
 */
function keyOf(call: Call): string {
  storeOf(call);
  const { parameter, query } = call;
  const keys = query.getAll("key");
  if (keys.length > 0 && (keys.length > 1 || parameter !== ""))
    throw new ApiProblem("malformed", "give one key: /v1/kv/{key}, or /v1/kv/?key=");
  if (parameter.includes("/")) throw new ApiProblem("malformed", "write a slash of a key as %2F");
  if (keys.length > 0) requireUtf8(call.request.url);
  const key = keys[0] ?? decoded(parameter);
  const fault = keyFault(key);
  if (fault !== null) throw new ApiProblem("malformed", `the address has no key: ${fault}`);
  return key;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ApiProblem("malformed", "the address is not UTF-8 in percent-encoding (RFC 3986 §2.1)");
  }
}

/** A query's reader would take something else for what is no UTF-8. */
function requireUtf8(url: string): void {
  const start = url.indexOf("?");
  if (start >= 0) decoded(url.slice(start + 1));
}

function boundOf(query: URLSearchParams, name: string): string | null {
  const text = query.get(name);
  return text === null ? null : requireBound(text, name);
}

function flagOf(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? "false";
  if (text === "true" || text === "false") return text === "true";
  throw new ApiProblem("malformed", `${name} must be "true" or "false"`);
}

/** What the key is to be for the write to take effect (RFC 9110 §13.1); null where that does not matter. */
function expectedOf(headers: Headers): Expected | null {
  const [match, noneMatch] = [headers.get("if-match"), headers.get("if-none-match")];
  if (match === null && noneMatch === null) return null;
  if (match === null && noneMatch === "*") return { kind: "absent" };
  const [, quoted, bare] = (noneMatch === null && /^(?:"(\d{1,16})"|(\d{1,16}))$/.exec(match ?? "")) || [];
  const version = Number(quoted ?? bare ?? Number.NaN);
  if (Number.isSafeInteger(version)) return { kind: "version", version: version as Position };
  throw new ApiProblem("malformed", "a condition is `if-match: <version>`, or `if-none-match: *` for a key not there");
}
