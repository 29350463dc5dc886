import { CretoError } from "./creto-error.ts";
import { type Bytes, bytesOf } from "./vertices.ts";
import type { WorkflowStep } from "./workflow-types.ts";

const DATA_BYTES_MAX = 64 * 1024;
const STEPS_MAX = 1_000;
const ATTEMPTS_MAX = 100;
const BACKOFF_MS_MAX = 3_600_000;
const HANDLERS_MAX = 64;
const REASON_CHARS_MAX = 200;
export const LEASE_MS_MIN = 1_000;
export const LEASE_MS_MAX = 3_600_000;

function bad(what: string): never {
  throw new CretoError("invalid-argument", what);
}

/** @throws CretoError `invalid-argument`, as all of these */
export function checkName(name: string, what: string): string {
  if (/^[A-Za-z0-9._:-]{1,64}$/.test(name)) return name;
  return bad(`${what} is 1 to 64 letters, digits, dots, colons, hyphens and underscores, not ${JSON.stringify(name)}`);
}

export function checkWhole(value: number, min: number, max: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  return bad(`${what} is a whole number of ${min} to ${max}, not ${value}`);
}

export function checkData(data: Bytes, what: string): Uint8Array {
  const bytes = bytesOf(data);
  return bytes.length <= DATA_BYTES_MAX ? bytes : bad(`${what} has ${bytes.length} bytes, at most ${DATA_BYTES_MAX}`);
}

export function checkHandlers(handlers: readonly string[]): readonly string[] {
  checkWhole(handlers.length, 1, HANDLERS_MAX, "the number of handlers");
  return handlers.map((name) => checkName(name, "a handler's name"));
}

/** What the network would call malformed without a word; the rest it refuses with the place. */
export function checkSteps(steps: readonly WorkflowStep[]): readonly WorkflowStep[] {
  checkWhole(steps.length, 0, STEPS_MAX, "the number of steps");
  for (const [index, { name, handler = name, dependsOn = [], input = "", attempts, backoffMs }] of steps.entries()) {
    const at = `steps[${index}]`;
    checkName(name, `${at}.name`);
    checkName(handler, `${at}.handler`);
    for (const [place, each] of dependsOn.entries()) checkName(each, `${at}.dependsOn[${place}]`);
    checkData(input, `${at}.input`);
    if (attempts !== undefined) checkWhole(attempts, 1, ATTEMPTS_MAX, `${at}.attempts`);
    if (backoffMs !== undefined) checkWhole(backoffMs, 0, BACKOFF_MS_MAX, `${at}.backoffMs`);
  }
  return steps;
}

/** As much of it as is kept. */
export function cutReason(reason: string): string {
  return reason.slice(0, REASON_CHARS_MAX);
}
